package fleetsync

import (
	"context"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// MostLinks is how many facts about names a partition may report in a step, so that
// they are no larger than a topic takes.
const MostLinks = 2048

// CloseStep sends all gateways what the partitions of this one did up to the end
// of a step, and the names that they learned in it, and returns when all
// partitions of all gateways have ended it and it is judged.
func (e *Exchange) CloseStep(ctx context.Context, c pipeline.Closing, learned []*identity.Links) error {
	values, lost := encodeLinks(c.End, learned)
	if lost > 0 {
		e.log.Warn("names that partitions learned are too large for the exchange; they are learned again from later records", "partitions", lost)
	}
	steps, err := encode(c.End, e.fleet.Outbox(c.End, c.Ended))
	if err != nil {
		e.steps.WithLabelValues("lost").Inc()
		return err
	}
	values = append(values, steps...)
	if len(c.Left) > 0 {
		values = append(values, names(skips, c.Left))
	}
	for _, value := range values {
		if err := e.enqueue(ctx, value); err != nil {
			return err
		}
	}
	for {
		e.mu.Lock()
		advanced := e.advanced
		e.mu.Unlock()
		if e.fleet.Closed() >= c.End {
			return nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hear gives a message to the fleet as this gateway knows it.
func (e *Exchange) hear(m message) {
	before := e.fleet.Closed()
	m.tell(e.fleet)
	e.heard.Inc()
	e.mu.Lock()
	if e.fleet.Closed() > before {
		e.changed = e.now()
	}
	close(e.advanced)
	e.advanced = make(chan struct{})
	e.mu.Unlock()
	if m.kind == tells && m.gateway != e.gateway {
		e.demand(m.end)
	}
}

// watchEvery is how often it is looked at which partitions this gateway has, and
// what holds the fleet.
const watchEvery = 250 * time.Millisecond

// watch announces partitions that this gateway got, and lets the fleet go on
// without those that no gateway has reported on for too long.
func (e *Exchange) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := e.look(ctx); err != nil {
			return
		}
	}
}

func (e *Exchange) look(ctx context.Context) error {
	owned := e.fleet.Partitions()
	e.mu.Lock()
	news := !slices.Equal(owned, e.owned)
	e.owned = owned
	held := e.now().Sub(e.changed)
	e.mu.Unlock()
	if news && len(owned) > 0 {
		if err := e.enqueue(ctx, names(owns, owned)); err != nil {
			return err
		}
	}
	awaited := slices.DeleteFunc(e.fleet.Awaited(), func(name string) bool { return slices.Contains(owned, name) })
	if len(awaited) == 0 || held < e.cfg.MaxHold {
		return nil
	}
	e.log.Warn("partitions that no gateway reports on hold up the steps of the fleet; it is judged without them, and alerts say so, until a gateway reports on them again",
		"partitions", awaited, "max_hold", e.cfg.MaxHold)
	e.mu.Lock()
	e.changed = e.now()
	e.mu.Unlock()
	return e.enqueue(ctx, names(skips, awaited))
}
