package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	_ "modernc.org/sqlite" // registers the database/sql driver "sqlite"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Store is a sink and a small query engine over one file. It is safe for
// concurrent use.
type Store struct {
	cfg     Config
	set     Settings
	log     *slog.Logger
	dict    *ecs.Dictionary
	metrics *metrics

	write *sql.DB // one connection
	read  *sql.DB // a few connections that cannot write
	turn  chan struct{}
	stmts statements

	counts [4]atomic.Int64 // documents held, by stream
	bytes  atomic.Int64
	evicts atomic.Int64
}

// readers bounds the queries that run at once; each holds up to 8 MiB of cache.
const readers = 4

// New opens or creates the store. A file that is not a store of this version,
// or that is damaged, is an error; nothing is overwritten.
func New(cfg Config, set Settings) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, set: set, log: set.Logger, dict: set.Dictionary, turn: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.dict == nil {
		var err error
		if s.dict, err = ecs.New(); err != nil {
			return nil, err
		}
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening store %s: %w", cfg.Path, err), s.Close())
	}
	var err error
	if s.metrics, err = newMetrics(s, set); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open() error {
	if err := os.MkdirAll(filepath.Dir(s.cfg.Path), 0o700); err != nil {
		return err
	}
	// SQLite would create the file with the umask's rights; what agents report
	// is nobody else's business.
	f, err := os.OpenFile(s.cfg.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if s.write, err = s.connect(1, "page_size(8192)", "journal_mode(WAL)", "synchronous(FULL)",
		"cache_size(-32768)", "journal_size_limit(67108864)", "wal_autocheckpoint(1000)"); err != nil {
		return err
	}
	if err := s.createSchema(); err != nil {
		return err
	}
	if s.read, err = s.connect(readers, "query_only(1)", "cache_size(-8192)"); err != nil {
		return err
	}
	if err := s.stmts.prepare(s.write); err != nil {
		return err
	}
	return s.load()
}

func (s *Store) connect(connections int, pragmas ...string) (*sql.DB, error) {
	values := url.Values{"_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: s.cfg.Path}).EscapedPath(), RawQuery: values.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, db.Ping()
}

func (s *Store) createSchema() error {
	var version, tables int
	if err := s.write.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if err := s.write.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	switch {
	case version == schemaVersion:
		return nil
	case tables > 0:
		return fmt.Errorf("expected a store of version %d, found another database (version %d, %d tables): move the file away", schemaVersion, version, tables)
	}
	tx, err := s.write.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // After Commit it does nothing.
	if _, err := tx.Exec(schema + fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion)); err != nil {
		return err
	}
	return tx.Commit()
}

// load reads the counts that are kept in memory from then on.
func (s *Store) load() error {
	rows, err := s.write.Query("SELECT stream, count(*) FROM docs GROUP BY stream")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var stream, n int64
		if err := rows.Scan(&stream, &n); err != nil {
			return err
		}
		if stream >= 0 && stream < int64(len(s.counts)) {
			s.counts[stream].Store(n)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var evicted int64
	if err := s.write.QueryRow("SELECT value FROM counters WHERE name = 'evicted'").Scan(&evicted); err != nil {
		return err
	}
	s.evicts.Store(evicted)
	_, err = s.used(context.Background())
	return err
}

// used returns the bytes in use: the pages of the file that are not free.
func (s *Store) used(ctx context.Context) (int64, error) {
	var pages, free, size int64
	for _, q := range []struct {
		pragma string
		into   *int64
	}{{"page_count", &pages}, {"freelist_count", &free}, {"page_size", &size}} {
		if err := s.write.QueryRowContext(ctx, "PRAGMA "+q.pragma).Scan(q.into); err != nil {
			return 0, err
		}
	}
	s.bytes.Store((pages - free) * size)
	return s.bytes.Load(), nil
}

// Check reports whether the store can be written to.
func (s *Store) Check(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return classify("checking store", err)
	}
	defer tx.Rollback() //nolint:errcheck // Nothing is to be kept.
	if _, err := tx.ExecContext(ctx, "UPDATE counters SET value = value WHERE name = 'evicted'"); err != nil {
		return classify("checking store", err)
	}
	return nil
}

// Close waits for the running write and closes the file.
func (s *Store) Close() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	errs := []error{s.stmts.close()}
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	s.metrics.unregister()
	return errors.Join(errs...)
}

// Stats is what the store holds.
type Stats struct {
	Documents map[string]int64 `json:"documents"` // by stream
	Bytes     int64            `json:"bytes"`
	MaxBytes  int64            `json:"max_bytes"`
	Evicted   int64            `json:"evicted"` // documents, since the file was created
	Oldest    int64            `json:"-"`       // time of the oldest document, nanoseconds since 1970; 0 if none
	Newest    int64            `json:"-"`       // time of the newest document
}

// Stats returns what the store holds.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	st := Stats{Documents: make(map[string]int64, 4), Bytes: s.bytes.Load(), MaxBytes: int64(s.cfg.MaxBytes), Evicted: s.evicts.Load()}
	for _, stream := range event.Streams() {
		st.Documents[stream.String()] = s.counts[stream].Load()
	}
	var err error
	st.Oldest, st.Newest, err = s.span(ctx, []string{noAlerts, onlyAlerts}, condition{})
	return st, err
}

// classify tells the pipeline what a failure of the database means.
func classify(doing string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if e := diskFault(err); e != nil {
		e.Err = fmt.Errorf("%s: %w", doing, err)
		return e
	}
	return fault.New(fault.Transient, fault.Unavailable, "%s: %w", doing, err)
}
