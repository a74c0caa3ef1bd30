package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// statements are the prepared statements of the writing connection.
type statements struct {
	insert, episode, episodeLatest *sql.Stmt
}

func (st *statements) all() []struct {
	into *(*sql.Stmt)
	text string
} {
	return []struct {
		into *(*sql.Stmt)
		text string
	}{
		{&st.insert, `INSERT INTO docs(id,stream,time,action,host,agent,severity,kind,alert_id,status,rules,body)
			VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO NOTHING`},
		{&st.episode, `INSERT INTO episodes(alert_id,doc,severity,kind,status,started,updated,documents) VALUES(?1,?2,?3,?4,?5,?6,?6,1)
			ON CONFLICT(alert_id) DO UPDATE SET documents=documents+1, started=min(started,excluded.started)`},
		{&st.episodeLatest, `UPDATE episodes SET doc=?2, severity=?3, kind=?4, status=?5, updated=?6 WHERE alert_id=?1
			AND ((?5 = 'resolved') > (status = 'resolved') OR (?5 = 'resolved') = (status = 'resolved') AND updated <= ?6)`},
	}
}

// in returns the statements within a transaction.
func (st *statements) in(tx *sql.Tx) *statements {
	var within statements
	from := st.all()
	for i, s := range within.all() {
		*s.into = tx.Stmt(*from[i].into)
	}
	return &within
}

func (st *statements) prepare(db *sql.DB) error {
	for _, s := range st.all() {
		var err error
		if *s.into, err = db.Prepare(s.text); err != nil {
			return fmt.Errorf("preparing %q: %w", strings.Fields(s.text)[:3], err)
		}
	}
	return nil
}

func (st *statements) close() error {
	var errs []error
	for _, s := range st.all() {
		if *s.into != nil {
			errs = append(errs, (*s.into).Close())
		}
	}
	return errors.Join(errs...)
}

// Write stores the documents in one transaction that is on the disk when it
// returns nil. A document whose id is stored already is a Duplicate; one that
// is not JSON, or larger than a sixteenth of the store, is Refused. After an
// error nothing of the batch is stored and every result is Pending.
//
// A document that was evicted and comes again is stored again.
func (s *Store) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	if len(docs) == 0 {
		return nil
	}
	contents, outcomes := make([]content, len(docs)), make([]event.Result, len(docs))
	for i, d := range docs {
		outcomes[i] = s.examine(d, &contents[i])
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	start := time.Now()
	if err := s.makeRoom(ctx); err != nil {
		return classify("evicting from the store", err)
	}
	if err := s.commit(ctx, docs, contents, outcomes); err != nil {
		return classify("writing to the store", err)
	}
	copy(results, outcomes)
	s.metrics.seconds.Observe(time.Since(start).Seconds())
	fresh := docs[:0:0]
	for i, d := range docs {
		if outcomes[i].Outcome == event.Indexed {
			s.counts[d.Stream].Add(1)
			fresh = append(fresh, d)
		}
	}
	if s.set.Observe != nil && len(fresh) > 0 {
		s.set.Observe(fresh)
	}
	return nil
}

// examine reads the body of a document and refuses one that cannot be stored.
func (s *Store) examine(d *event.Document, c *content) event.Result {
	if limit := int64(s.cfg.MaxBytes) / 16; int64(len(d.Body)) > limit {
		err := fault.New(fault.Permanent, fault.TooLarge, "document of %d bytes, the store takes up to %d", len(d.Body), limit).WithHint("raise max_bytes of the store")
		return event.Result{Outcome: event.Refused, Err: err}
	}
	if err := c.read(d.Body); err != nil {
		return event.Result{Outcome: event.Refused, Err: fault.New(fault.Permanent, fault.Rejected, "reading document %s: %w", d.ID, err)}
	}
	return event.Result{}
}

func (s *Store) commit(ctx context.Context, docs []*event.Document, contents []content, outcomes []event.Result) error {
	// When ctx ends, database/sql rolls back. The statements themselves run
	// without ctx: they are short, and watching it costs a goroutine for each.
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // After Commit it does nothing.
	if err := s.put(s.stmts.in(tx), docs, contents, outcomes); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return tx.Commit()
}

// put adds the documents and what they say about alerts to the transaction.
func (s *Store) put(in *statements, docs []*event.Document, contents []content, outcomes []event.Result) error {
	for i, d := range docs {
		if outcomes[i].Outcome != event.Pending {
			continue
		}
		seq, alert, err := in.insertDoc(d, &contents[i])
		switch {
		case err != nil:
			return err
		case seq == 0:
			outcomes[i].Outcome = event.Duplicate
			continue
		}
		outcomes[i].Outcome = event.Indexed
		if d.Stream != event.Alerts {
			continue
		}
		for _, stmt := range []*sql.Stmt{in.episode, in.episodeLatest} {
			if _, err := stmt.Exec(alert.ID, seq, alert.Severity, alert.Kind, alert.Status, d.Time); err != nil {
				return err
			}
		}
	}
	return nil
}

// insertDoc inserts a document and returns its row's number, 0 when its id is
// stored already, and what is stored of the alert that it belongs to.
func (st *statements) insertDoc(d *event.Document, c *content) (seq int64, alert alertContent, err error) {
	if d.Stream == event.Alerts {
		alert = c.EDR.Alert
		alert.ID = first(alert.ID, d.ID)
		alert.Severity, alert.Kind = first(d.Severity, alert.Severity), first(d.AlertKind, alert.Kind)
	}
	res, err := st.insert.Exec(d.ID, int64(d.Stream), d.Time, d.Action, d.Host, d.AgentID,
		alert.Severity, alert.Kind, alert.ID, alert.Status, joinRules(d.Rules), event.View(d.Body))
	if err != nil {
		return 0, alert, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return 0, alert, err
	}
	seq, err = res.LastInsertId()
	return seq, alert, err
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// joinRules puts every rule id between line feeds, so that one of them can be
// found by its text.
func joinRules(rules []string) string {
	if len(rules) == 0 {
		return ""
	}
	return "\n" + strings.Join(rules, "\n") + "\n"
}

func splitRules(rules string) []string {
	if rules == "" {
		return nil
	}
	return strings.Split(strings.Trim(rules, "\n"), "\n")
}
