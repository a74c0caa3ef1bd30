package file

import (
	"context"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Sink writes documents as NDJSON. It is safe for concurrent use.
type Sink struct{ out *appender }

// New returns a sink. The file is opened by the first write or Check.
func New(cfg Config, set Settings) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Sink{newAppender(cfg, set)}, nil
}

// Write appends the bodies of docs, all or none of them.
func (s *Sink) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	size := 0
	for _, d := range docs {
		size += len(d.Body) + 1
	}
	if size == 0 {
		return nil
	}
	lines := make([]byte, 0, size)
	for _, d := range docs {
		lines = append(append(lines, d.Body...), '\n')
	}
	if err := s.out.append(lines); err != nil {
		return err
	}
	for i := range results {
		results[i] = event.Result{Outcome: event.Indexed}
	}
	return nil
}

// Check reports whether the file can be written.
func (s *Sink) Check(context.Context) error { return s.out.check() }

// Close closes the file.
func (s *Sink) Close() error { return s.out.close() }

func (a *appender) check() error {
	if a.cfg.Path == Stdout {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reopen()
}
