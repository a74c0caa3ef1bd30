package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Query selects documents. Every zero field selects all.
type Query struct {
	// Text is a search as [ParseText] reads it.
	Text string
	// From (inclusive) and To (exclusive) bound the time, in nanoseconds since
	// 1970 UTC; 0 is open.
	From, To int64
	// Streams are the streams to search; none means all.
	Streams []event.Stream

	Action, Host, Agent, Severity, Kind, Status, Rule string // equal, without regard to case

	// Limit is the greatest number of documents to return: 1 to MaxLimit, 50 if 0.
	Limit int
	// Before continues where the page that returned it ended.
	Before Cursor
}

// MaxLimit bounds Query.Limit.
const MaxLimit = 1000

// countLimit is where counting stops.
const countLimit = 10_000

// countTime is how long the documents of a page are counted.
const countTime = 2 * time.Second

// Cursor is a position in the documents, newest first. The zero Cursor is the
// beginning.
type Cursor struct{ Time, Seq int64 }

// String returns the cursor as text for [ParseCursor]; "" for the zero Cursor.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return strconv.FormatInt(c.Time, 10) + "." + strconv.FormatInt(c.Seq, 10)
}

// ParseCursor reads what Cursor.String wrote.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	at, seq, ok := strings.Cut(text, ".")
	c := Cursor{}
	var errTime, errSeq error
	c.Time, errTime = strconv.ParseInt(at, 10, 64)
	c.Seq, errSeq = strconv.ParseInt(seq, 10, 64)
	if !ok || errTime != nil || errSeq != nil {
		return Cursor{}, fmt.Errorf("expected the cursor of a page, found %q", text)
	}
	return c, nil
}

// Doc is a stored document.
type Doc struct {
	ID       string
	Stream   event.Stream
	Time     int64 // nanoseconds since 1970 UTC
	Action   string
	Host     string
	AgentID  string
	Severity string // of alerts, as are the next three
	Kind     string
	AlertID  string
	Status   string
	Rules    []string
	Body     json.RawMessage
	seq      int64
}

// Page is a part of the documents that a query selects, newest first.
type Page struct {
	Docs []Doc
	// Total is how many documents the query selects, all pages together. It is
	// only known (not -1) on the first page; with More there are more than that.
	Total int
	More  bool
	// Next continues after this page; the zero Cursor when it is the last.
	Next Cursor
}

// ErrNotFound is returned for an id that is not in the store.
var ErrNotFound = errors.New("not in the store (it may have been evicted)")

const docColumns = "d.seq, d.id, d.stream, d.time, d.action, d.host, d.agent, d.severity, d.kind, d.alert_id, d.status, d.rules, d.body"

func scanDoc(row interface{ Scan(...any) error }, more ...any) (Doc, error) {
	var d Doc
	var rules, body string
	err := row.Scan(append([]any{&d.seq, &d.ID, &d.Stream, &d.Time, &d.Action, &d.Host, &d.AgentID,
		&d.Severity, &d.Kind, &d.AlertID, &d.Status, &rules, &body}, more...)...)
	d.Rules, d.Body = splitRules(rules), json.RawMessage(body)
	return d, err
}

// Search returns the newest documents that a query selects. An error in the
// query's text is a *SyntaxError.
func (s *Store) Search(ctx context.Context, q Query) (Page, error) {
	where, err := s.compile(&q)
	if err != nil {
		return Page{}, err
	}
	limit := bounded(q.Limit)
	counting := q.Before == (Cursor{})
	paged := where
	if !counting {
		paged = where.and(condition{"(d.time, d.seq) < (?, ?)", []any{q.Before.Time, q.Before.Seq}})
	}
	page := Page{Total: -1}
	parts := partsOf(q.Streams)
	for _, part := range parts {
		docs, err := s.selectDocs(ctx, paged.and(condition{text: part}), limit+1)
		if err != nil {
			return Page{}, fmt.Errorf("searching: %w", err)
		}
		page.Docs = mergeNewest(page.Docs, docs)
	}
	if len(page.Docs) > limit {
		page.Docs = page.Docs[:limit]
		last := &page.Docs[limit-1]
		page.Next = Cursor{last.Time, last.seq}
	}
	if counting {
		page.Total, page.More = len(page.Docs), false
		if page.Next != (Cursor{}) {
			page.Total, page.More, err = s.count(ctx, where, parts, limit)
		}
	}
	return page, err
}

// Count returns how many documents a query selects, counting up to 10,000;
// more tells that there are more.
func (s *Store) Count(ctx context.Context, q Query) (n int, more bool, err error) {
	where, err := s.compile(&q)
	if err != nil {
		return 0, false, err
	}
	return s.count(ctx, where, partsOf(q.Streams), 0)
}

// count gives up after countTime and then returns what is known at least.
func (s *Store) count(ctx context.Context, where condition, parts []string, atLeast int) (n int, more bool, err error) {
	short, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	for _, part := range parts {
		c := where.and(condition{text: part})
		var k int
		err := s.read.QueryRowContext(short, "SELECT count(*) FROM (SELECT 1 FROM docs d WHERE "+c.text+" LIMIT ?)", append(c.args, countLimit+1)...).Scan(&k)
		if err != nil {
			if short.Err() != nil && ctx.Err() == nil {
				return max(n, atLeast), true, nil
			}
			return 0, false, fmt.Errorf("counting: %w", err)
		}
		n += k
	}
	return min(n, countLimit), n > countLimit, nil
}

// Document returns the document with an id, or ErrNotFound.
func (s *Store) Document(ctx context.Context, id string) (Doc, error) {
	d, err := scanDoc(s.read.QueryRowContext(ctx, "SELECT "+docColumns+" FROM docs d WHERE d.id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return Doc{}, ErrNotFound
	}
	return d, err
}

func (s *Store) selectDocs(ctx context.Context, where condition, limit int) ([]Doc, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+docColumns+" FROM docs d WHERE "+where.text+" ORDER BY d.time DESC, d.seq DESC LIMIT ?", append(where.args, limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var docs []Doc
	for rows.Next() {
		d, err := scanDoc(rows)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, rows.Err()
}

// mergeNewest merges two lists that are sorted newest first.
func mergeNewest(a, b []Doc) []Doc {
	if len(a) == 0 {
		return b
	}
	merged := make([]Doc, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if x, y := &a[0], &b[0]; x.Time > y.Time || x.Time == y.Time && x.seq > y.seq {
			merged, a = append(merged, *x), a[1:]
		} else {
			merged, b = append(merged, *y), b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

// partsOf returns the halves of the store that hold the streams.
func partsOf(streams []event.Stream) []string {
	alerts, others := len(streams) == 0, len(streams) == 0
	for _, s := range streams {
		alerts = alerts || s == event.Alerts
		others = others || s != event.Alerts
	}
	var parts []string
	if others {
		parts = append(parts, noAlerts)
	}
	if alerts {
		parts = append(parts, onlyAlerts)
	}
	return parts
}

func bounded(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, MaxLimit)
}

// span returns the times of the oldest and the newest document; 0 if none.
func (s *Store) span(ctx context.Context, parts []string, where condition) (oldest, newest int64, err error) {
	for _, part := range parts {
		c := where.and(condition{text: part})
		for _, q := range []struct {
			order string
			take  func(t int64)
		}{
			{"ASC", func(t int64) {
				if oldest == 0 || t < oldest {
					oldest = t
				}
			}},
			{"DESC", func(t int64) { newest = max(newest, t) }},
		} {
			var t int64
			err := s.read.QueryRowContext(ctx, "SELECT d.time FROM docs d WHERE "+c.text+" ORDER BY d.time "+q.order+" LIMIT 1", c.args...).Scan(&t)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return 0, 0, err
			}
			q.take(t)
		}
	}
	return oldest, newest, nil
}
