package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Bucket is the documents of one interval, by stream.
type Bucket struct {
	Start int64 // nanoseconds since 1970 UTC
	Count int64
	// By is the count of each stream, in the order of event.Streams.
	By [4]int64
}

// Histogram is a query's documents over time. Buckets are complete: an
// interval without documents has a bucket with zero.
type Histogram struct {
	From, To int64 // nanoseconds since 1970 UTC: first bucket's start, last bucket's end
	Interval time.Duration
	Buckets  []Bucket
}

// maxBuckets bounds Histogram.
const maxBuckets = 500

// Histogram counts the documents that a query selects over time, in at most
// the given number of buckets (1 to 500; 60 if 0) of a round length. Without
// bounds in the query it spans what the query selects; Limit and Before are
// not used.
func (s *Store) Histogram(ctx context.Context, q Query, buckets int) (Histogram, error) {
	where, err := s.compile(&q)
	if err != nil {
		return Histogram{}, err
	}
	if buckets <= 0 {
		buckets = 60
	}
	parts := partsOf(q.Streams)
	from, to := q.From, q.To
	if from == 0 || to == 0 {
		oldest, newest, err := s.span(ctx, parts, where)
		if err != nil {
			return Histogram{}, fmt.Errorf("finding the times of a histogram: %w", err)
		}
		if newest == 0 {
			return Histogram{From: from, To: to}, nil
		}
		if from == 0 {
			from = oldest
		}
		if to == 0 {
			to = newest + 1
		}
	}
	if to <= from {
		return Histogram{From: from, To: to}, nil
	}
	h := Histogram{Interval: niceInterval(time.Duration(to-from), min(buckets, maxBuckets))}
	step := int64(h.Interval)
	h.From = floorTo(from, step)
	h.To = floorTo(to-1, step) + step
	h.Buckets = make([]Bucket, (h.To-h.From)/step)
	for i := range h.Buckets {
		h.Buckets[i].Start = h.From + int64(i)*step
	}
	if err := s.fill(ctx, &h, where, parts, from, to); err != nil {
		return Histogram{}, fmt.Errorf("counting over time: %w", err)
	}
	return h, nil
}

// fill counts bucket by bucket, on one snapshot: each is a range of an index
// in order. Grouping by a computed bucket would sort all documents instead.
func (s *Store) fill(ctx context.Context, h *Histogram, where condition, parts []string, from, to int64) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // It only ends the snapshot.
	for _, part := range parts {
		c := where.and(condition{text: part + " AND d.time >= ? AND d.time < ?"})
		stmt, err := tx.PrepareContext(ctx, "SELECT count(*), total(d.stream = 1), total(d.stream = 2), total(d.stream = 3) FROM docs d WHERE "+c.text)
		if err != nil {
			return err
		}
		defer stmt.Close()
		args := append(c.args, 0, 0)
		for i := range h.Buckets {
			b := &h.Buckets[i]
			args[len(args)-2], args[len(args)-1] = max(b.Start, from), min(b.Start+int64(h.Interval), to)
			var n int64
			var metrics, alerts, gateway float64
			if err := stmt.QueryRowContext(ctx, args...).Scan(&n, &metrics, &alerts, &gateway); err != nil {
				return err
			}
			b.Count += n
			b.By[event.Metrics] += int64(metrics)
			b.By[event.Alerts] += int64(alerts)
			b.By[event.Gateway] += int64(gateway)
		}
	}
	for i := range h.Buckets {
		b := &h.Buckets[i]
		b.By[event.Telemetry] = b.Count - b.By[event.Metrics] - b.By[event.Alerts] - b.By[event.Gateway]
	}
	return nil
}

// niceInterval returns the smallest round interval that needs at most the
// given number of buckets, one bucket's slack for the alignment included.
func niceInterval(span time.Duration, buckets int) time.Duration {
	const day = 24 * time.Hour
	for _, step := range []time.Duration{
		time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 30 * day, 90 * day,
	} {
		if int64(span)/int64(step)+2 <= int64(buckets) || buckets <= 2 && span <= step {
			return step
		}
	}
	years := 365 * day
	return (span/time.Duration(max(buckets-2, 1))/years + 1) * years
}

func floorTo(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return t - r
}
