package selfreport

import (
	"context"
	"log/slog"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Periodic is what tells of things once a period.
type Periodic struct {
	Dictionary *ecs.Dictionary
	Period     time.Duration
	Publish    func(ctx context.Context, docs []*event.Document) error
	Now        func() time.Time
	Logger     *slog.Logger
	// Sent counts documents by whether they were delivered.
	Sent func(n int, ok bool)
}

// deliver publishes documents within a time and reports whether that was done.
// What was not done is logged as failure, unless ctx has ended.
func (p *Periodic) deliver(ctx context.Context, docs []*event.Document, within time.Duration, failure string) bool {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := p.Publish(limited, docs)
	p.Sent(len(docs), err == nil)
	if err != nil && ctx.Err() == nil {
		p.Logger.Warn(failure, "documents", len(docs), "error", err)
	}
	return err == nil
}
