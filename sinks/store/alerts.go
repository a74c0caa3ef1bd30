package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// Episode is an alert from its beginning to its latest status.
type Episode struct {
	AlertID   string
	Started   int64 // time of the first stored document, nanoseconds since 1970 UTC
	Updated   int64 // time of the latest
	Documents int64 // how many documents it has, evicted ones included
	Latest    Doc   // the document with the latest status
}

// AlertPage is a part of the episodes that a query selects, the latest updated
// first.
type AlertPage struct {
	Episodes []Episode
	Total    int // all pages together; -1 on pages after the first
	More     bool
	Next     Cursor
}

// Alerts returns the episodes whose latest document a query selects. Host also
// finds an alert that names the host among several (edr.alert.hosts). Streams
// is not used.
func (s *Store) Alerts(ctx context.Context, q Query) (AlertPage, error) {
	q.Streams = nil
	host := q.Host
	q.Host = ""
	where, err := s.compile(&q)
	if err != nil {
		return AlertPage{}, err
	}
	if host != "" {
		where = where.and(condition{`(d.host = ? OR EXISTS (SELECT 1 FROM json_each(d.body, '$.edr.alert.hosts') WHERE value = ? COLLATE NOCASE))`, []any{host, host}})
	}
	limit := bounded(q.Limit)
	first := q.Before == (Cursor{})
	paged := where
	if !first {
		paged = where.and(condition{"(e.updated, e.doc) < (?, ?)", []any{q.Before.Time, q.Before.Seq}})
	}
	page := AlertPage{Total: -1}
	const from = " FROM episodes e JOIN docs d ON d.seq = e.doc WHERE "
	rows, err := s.read.QueryContext(ctx, "SELECT "+docColumns+", e.alert_id, e.started, e.updated, e.documents"+from+orTrue(paged)+
		" ORDER BY e.updated DESC, e.doc DESC LIMIT ?", append(slices.Clone(paged.args), limit+1)...)
	if err != nil {
		return AlertPage{}, fmt.Errorf("listing alerts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scanEpisode(rows)
		if err != nil {
			return AlertPage{}, fmt.Errorf("listing alerts: %w", err)
		}
		page.Episodes = append(page.Episodes, e)
	}
	if err := rows.Err(); err != nil {
		return AlertPage{}, fmt.Errorf("listing alerts: %w", err)
	}
	if len(page.Episodes) > limit {
		page.Episodes = page.Episodes[:limit]
		last := &page.Episodes[limit-1]
		page.Next = Cursor{last.Updated, last.Latest.seq}
	}
	if first {
		err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1"+from+orTrue(where)+" LIMIT ?)", append(slices.Clone(where.args), countLimit+1)...).Scan(&page.Total)
		if page.Total > countLimit {
			page.Total, page.More = countLimit, true
		}
	}
	return page, err
}

func orTrue(c condition) string {
	if c.text == "" {
		return "1"
	}
	return c.text
}

func scanEpisode(row interface{ Scan(...any) error }) (Episode, error) {
	var e Episode
	var err error
	e.Latest, err = scanDoc(row, &e.AlertID, &e.Started, &e.Updated, &e.Documents)
	return e, err
}

// Alert returns an episode and its stored documents, oldest first, or
// ErrNotFound. At most MaxLimit documents are returned, the latest ones.
func (s *Store) Alert(ctx context.Context, alertID string) (Episode, []Doc, error) {
	e, err := scanEpisode(s.read.QueryRowContext(ctx, "SELECT "+docColumns+", e.alert_id, e.started, e.updated, e.documents FROM episodes e JOIN docs d ON d.seq = e.doc WHERE e.alert_id = ?", alertID))
	if errors.Is(err, sql.ErrNoRows) {
		return Episode{}, nil, ErrNotFound
	}
	if err != nil {
		return Episode{}, nil, fmt.Errorf("reading alert: %w", err)
	}
	docs, err := s.selectDocs(ctx, condition{"d.alert_id <> '' AND d.alert_id = ?", []any{alertID}}, MaxLimit)
	if err != nil {
		return Episode{}, nil, fmt.Errorf("reading the documents of alert: %w", err)
	}
	slices.Reverse(docs)
	return e, docs, nil
}

// AlertCount is how many episodes share status, severity and kind.
type AlertCount struct {
	Status, Severity, Kind string
	Count                  int64
}

// AlertSummary counts the episodes that were updated from (inclusive) to
// (exclusive), in nanoseconds since 1970 UTC; 0 is open.
func (s *Store) AlertSummary(ctx context.Context, from, to int64) ([]AlertCount, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT status, severity, kind, count(*) FROM episodes
		WHERE (?1 = 0 OR updated >= ?1) AND (?2 = 0 OR updated < ?2) GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3`, from, to)
	if err != nil {
		return nil, fmt.Errorf("counting alerts: %w", err)
	}
	defer rows.Close()
	var counts []AlertCount
	for rows.Next() {
		var c AlertCount
		if err := rows.Scan(&c.Status, &c.Severity, &c.Kind, &c.Count); err != nil {
			return nil, fmt.Errorf("counting alerts: %w", err)
		}
		counts = append(counts, c)
	}
	return counts, rows.Err()
}
