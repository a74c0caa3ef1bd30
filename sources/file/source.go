package file

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Stdin as a path means standard input; its stream is called stdin.
const Stdin = "-"

// Config is the YAML of a file source.
type Config struct {
	// Paths are read one after the other; "-" is standard input.
	Paths  []string `yaml:"paths,required"`
	Format Format   `yaml:"format"`
	// MaxLineBytes is the longest line that becomes a record.
	MaxLineBytes strict.Bytes `yaml:"max_line_bytes"`
	// MaxInflatedBytes bounds what one gzip file may decompress to.
	MaxInflatedBytes strict.Bytes `yaml:"max_inflated_bytes"`
	// BatchRecords and BatchBytes limit what a worker gets at a time.
	BatchRecords int          `yaml:"batch_records"`
	BatchBytes   strict.Bytes `yaml:"batch_bytes"`
}

// DefaultConfig returns the defaults, without paths.
func DefaultConfig() Config {
	return Config{MaxLineBytes: 8 << 20, MaxInflatedBytes: 64 << 30, BatchRecords: 512, BatchBytes: 1 << 20}
}

// Validate returns every setting that cannot work.
func (c *Config) Validate() error {
	var problems []error
	if len(c.Paths) == 0 {
		problems = append(problems, errors.New("paths: expected at least one path, found none"))
	}
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"max_line_bytes", int64(c.MaxLineBytes)}, {"max_inflated_bytes", int64(c.MaxInflatedBytes)},
		{"batch_records", int64(c.BatchRecords)}, {"batch_bytes", int64(c.BatchBytes)},
	} {
		if limit.value <= 0 {
			problems = append(problems, fmt.Errorf("%s: expected more than 0, found %d", limit.name, limit.value))
		}
	}
	return errors.Join(problems...)
}

// Settings are what the composition root gives a source.
type Settings struct {
	Name    string
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	Stdin   io.Reader // default os.Stdin
}

// Source delivers the lines of files to workers, one a partition. It remembers
// in memory what was acknowledged: a further Run goes on from there, a new
// process starts at the first line. Standard input cannot be read again.
type Source struct {
	cfg    Config
	stdin  io.Reader
	logger *slog.Logger
	acked  map[event.Partition]int64 // acknowledged records per partition
	lines  *prometheus.CounterVec
}

// New returns a source over cfg.Paths.
func New(cfg Config, set Settings) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring source %s: %w", set.Name, err)
	}
	s := &Source{
		cfg: cfg, stdin: cmp.Or[io.Reader](set.Stdin, os.Stdin), logger: set.Logger, acked: make(map[event.Partition]int64),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name:        "edrwatch_file_lines_total",
			Help:        "Lines read from files, by kind: record, blank or bad (over the limit, or not a capture line).",
			ConstLabels: prometheus.Labels{"source": set.Name},
		}, []string{"kind"}),
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if set.Metrics != nil {
		if err := set.Metrics.Register(s.lines); err != nil {
			return nil, fmt.Errorf("registering metrics of source %s: %w", set.Name, err)
		}
	}
	return s, nil
}

// Check reports whether every file can be opened.
func (s *Source) Check(context.Context) error {
	var problems []error
	for _, path := range s.cfg.Paths {
		in, _, err := s.openPath(path)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if path != Stdin {
			problems = append(problems, in.Close())
		}
	}
	return errors.Join(problems...)
}

// openPath opens a path and returns the name of its stream.
func (s *Source) openPath(path string) (io.ReadCloser, string, error) {
	if path == Stdin {
		return io.NopCloser(s.stdin), "stdin", nil
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, path, fault.New(fault.Operator, fault.Misconfigured, "opening input: %w", err).WithHint("check the path and its permissions")
	}
	return in, path, nil
}

// Run reads the files to their end. It implements pipeline.Source; it must not
// run twice at a time.
func (s *Source) Run(ctx context.Context, open func(ctx context.Context, p event.Partition) (event.Worker, error)) error {
	group, inner := errgroup.WithContext(ctx)
	run := &reading{source: s, ctx: inner, group: group, open: open, lanes: make(map[event.Partition]*lane), seen: make(map[event.Partition]int64)}
	err := run.files()
	for _, l := range run.lanes {
		close(l.batches)
	}
	failed := group.Wait()
	for p, l := range run.lanes {
		l.worker.Close() // Not before all are through: others wait for what is due of a partition that has ended.
		s.acked[p] = l.acked
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case failed != nil:
		return failed
	}
	return err
}

// reading is one Run.
type reading struct {
	source *Source
	ctx    context.Context
	group  *errgroup.Group
	open   func(ctx context.Context, p event.Partition) (event.Worker, error)
	lanes  map[event.Partition]*lane
	seen   map[event.Partition]int64 // records read, per partition
	latest int64                     // time of a record that was read, milliseconds since 1970
}

func (r *reading) files() error {
	for _, path := range r.source.cfg.Paths {
		if err := r.file(path); err != nil {
			return err
		}
		// A batch ends with its file, so that nothing waits for the next one.
		if err := r.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) file(path string) error {
	s := r.source
	in, name, err := s.openPath(path)
	if err != nil {
		return err
	}
	defer in.Close()
	s.logger.Info("reading file", "path", name)
	records, bad, blanks := s.lines.WithLabelValues("record"), s.lines.WithLabelValues("bad"), s.lines.WithLabelValues("blank")
	reader := NewReader(in, name, Options{Format: s.cfg.Format, MaxLineBytes: int(s.cfg.MaxLineBytes), MaxInflatedBytes: int64(s.cfg.MaxInflatedBytes)})
	for r.ctx.Err() == nil {
		line, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case line.Blank:
			blanks.Inc()
			continue
		case line.Record.Fault != nil:
			bad.Inc()
		default:
			records.Inc()
		}
		if err := r.add(&line); err != nil {
			return err
		}
	}
	return r.ctx.Err()
}

// add puts a record into the batch of its partition, unless it was acknowledged
// in an earlier Run.
func (r *reading) add(line *Line) error {
	r.seen[line.Partition]++
	if r.seen[line.Partition] <= r.source.acked[line.Partition] {
		return nil
	}
	l, ok := r.lanes[line.Partition]
	if !ok {
		worker, err := r.open(r.ctx, line.Partition)
		if err != nil {
			return fmt.Errorf("opening a worker for %q partition %d: %w", line.Partition.Topic, line.Partition.Number, err)
		}
		l = newLane(line.Partition, worker, r.source.acked[line.Partition])
		r.lanes[line.Partition] = l
		if l.paced != nil {
			// What was read before holds nothing of it.
			l.paced.CaughtUp(untilOf(max(r.latest, line.Record.Time)))
		}
		r.group.Go(func() error { return l.work(r.ctx) })
	}
	r.latest = max(r.latest, line.Record.Time)
	l.building.add(&line.Record)
	if len(l.building.batch.Records) >= r.source.cfg.BatchRecords || l.building.size >= int(r.source.cfg.BatchBytes) {
		return r.flush()
	}
	return nil
}

// flush hands all batches over, those of partitions without a record, too: what
// comes later in a file is not of an earlier time, so that who is through with
// its batch has nothing left until then, and others need not wait for it.
func (r *reading) flush() error {
	for _, l := range r.lanes {
		if err := l.send(r.ctx, untilOf(r.latest)); err != nil {
			return err
		}
	}
	return nil
}

// untilOf is the time in nanoseconds of one in milliseconds; the end of all times
// where records have none.
func untilOf(ms int64) int64 {
	if ms <= 0 {
		return math.MaxInt64
	}
	return ms * int64(time.Millisecond)
}

// lane carries the batches of one partition to its worker: one is being
// handled while the next is read.
type lane struct {
	worker   event.Worker
	paced    event.Paced // the worker, where its records wait for those of others; else nil
	building *block
	free     chan *block
	batches  chan *block
	acked    int64
}

func newLane(p event.Partition, worker event.Worker, acked int64) *lane {
	l := &lane{worker: worker, building: &block{}, free: make(chan *block, 1), batches: make(chan *block), acked: acked}
	l.paced, _ = worker.(event.Paced)
	spare := &block{}
	l.building.batch.Partition, spare.batch.Partition = p, p
	l.free <- spare
	return l
}

// send hands the batch being built over and takes a free one. Until is the time
// up to which the partition has nothing left then.
func (l *lane) send(ctx context.Context, until int64) error {
	if len(l.building.batch.Records) == 0 && l.paced == nil {
		return nil
	}
	l.building.until = until
	select {
	case l.batches <- l.building:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case l.building = <-l.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (l *lane) work(ctx context.Context) error {
	if l.paced != nil {
		defer context.AfterFunc(ctx, l.paced.GiveUp)()
	}
	for {
		select {
		case b, ok := <-l.batches:
			if !ok || ctx.Err() != nil {
				return nil
			}
			if len(b.batch.Records) > 0 {
				if err := l.worker.Handle(ctx, &b.batch); err != nil {
					return err
				}
			}
			if l.paced != nil {
				l.paced.CaughtUp(b.until)
			}
			l.acked += int64(len(b.batch.Records))
			b.reset()
			l.free <- b
		case <-ctx.Done():
			return nil
		}
	}
}

// block is a batch with the bytes that its records point to.
type block struct {
	batch   event.Batch
	arena   []byte
	headers []event.Header
	size    int   // bytes held, over all arenas
	until   int64 // nothing is left of the partition then, once the batch is handled
}

// add copies a record into the block.
func (b *block) add(r *event.Record) {
	kept := *r
	kept.Key = b.keep(r.Key)
	kept.Value = b.keep(r.Value)
	if len(r.Headers) > 0 {
		from := len(b.headers)
		b.headers = slices.Grow(b.headers, len(r.Headers))
		for _, h := range r.Headers {
			b.headers = append(b.headers, event.Header{Key: h.Key, Value: b.keep(h.Value)})
		}
		kept.Headers = b.headers[from:len(b.headers):len(b.headers)]
	}
	b.batch.Records = append(b.batch.Records, kept)
}

// keep copies bytes into the arena. When it has to grow, what was copied before
// stays where it is.
func (b *block) keep(src []byte) []byte {
	if len(src) == 0 {
		return bytes.Clone(src)
	}
	if cap(b.arena)-len(b.arena) < len(src) {
		b.arena = make([]byte, 0, max(2*cap(b.arena), len(src), 4096))
	}
	b.size += len(src)
	from := len(b.arena)
	b.arena = append(b.arena, src...)
	return b.arena[from:len(b.arena):len(b.arena)]
}

func (b *block) reset() {
	clear(b.batch.Records)
	clear(b.headers)
	b.batch.Records, b.arena, b.headers, b.size = b.batch.Records[:0], b.arena[:0], b.headers[:0], 0
}
