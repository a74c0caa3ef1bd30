package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// evictChunk is how many documents one transaction of an eviction removes.
const evictChunk = 2000

// makeRoom evicts the oldest events, and alerts when no event is left, while
// the store is over its size; then some more, so that not every write evicts.
// It runs before a write: what is over the size afterwards is one batch.
func (s *Store) makeRoom(ctx context.Context) error {
	size, err := s.used(ctx)
	limit := int64(s.cfg.MaxBytes)
	if err != nil || size <= limit {
		return err
	}
	total := int64(0)
	for size > limit-limit/32 {
		n, err := s.evict(ctx, noAlerts)
		if err == nil && n == 0 {
			n, err = s.evict(ctx, onlyAlerts)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			s.log.Warn("the store is over its size without any document", slog.Int64("bytes", size), slog.Int64("max_bytes", limit))
			break
		}
		total += n
		if size, err = s.used(ctx); err != nil {
			return err
		}
	}
	s.log.Debug("evicted the oldest documents", slog.Int64("documents", total), slog.Int64("bytes", size))
	return nil
}

// evict removes the oldest documents of one kind, up to evictChunk of them.
func (s *Store) evict(ctx context.Context, part string) (int64, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // After Commit it does nothing.
	// The chunk ends at the evictChunk-th document, or takes all.
	var time, seq int64
	err = tx.QueryRowContext(ctx, "SELECT d.time, d.seq FROM docs d WHERE "+part+" ORDER BY d.time, d.seq LIMIT 1 OFFSET ?", evictChunk-1).Scan(&time, &seq)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, "SELECT d.time, d.seq FROM docs d WHERE "+part+" ORDER BY d.time DESC, d.seq DESC LIMIT 1").Scan(&time, &seq)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	chunk := " FROM docs AS d WHERE " + part + " AND (d.time, d.seq) <= (?, ?)"
	removed, total, err := countStreams(ctx, tx, "SELECT d.stream, count(*)"+chunk+" GROUP BY d.stream", time, seq)
	if err != nil {
		return 0, err
	}
	if part == onlyAlerts {
		if _, err := tx.ExecContext(ctx, "DELETE FROM episodes WHERE doc IN (SELECT d.seq"+chunk+")", time, seq); err != nil {
			return 0, err
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE"+chunk, time, seq); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE counters SET value = value + ? WHERE name = 'evicted'", total); err != nil {
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	for stream, n := range removed {
		s.counts[stream].Add(-n)
	}
	s.evicts.Add(total)
	return total, nil
}

func countStreams(ctx context.Context, tx *sql.Tx, query string, args ...any) (by [4]int64, total int64, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return by, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var stream event.Stream
		var n int64
		if err := rows.Scan(&stream, &n); err != nil {
			return by, 0, err
		}
		by[stream] += n
		total += n
	}
	return by, total, rows.Err()
}
