package fleetsync

import (
	"context"
	"slices"
	"time"
)

// CloseStep tells all gateways what the partitions of this one did up to the end of
// a step, nanoseconds since 1970, and returns when all partitions of all gateways
// have ended it and it is judged.
func (e *Exchange) CloseStep(ctx context.Context, end int64) error {
	told, behind := e.fleet.Outbox(end)
	if len(told) > 0 {
		values, err := encode(end, told)
		if err != nil {
			e.steps.WithLabelValues("lost").Inc()
			return err
		}
		for _, value := range values {
			if err := e.enqueue(ctx, value); err != nil {
				return err
			}
		}
	}
	if len(behind) > 0 {
		e.log.Warn("the fleet is judged without partitions of this gateway that stand still", "partitions", behind)
		if err := e.enqueue(ctx, names(skips, behind)); err != nil {
			return err
		}
	}
	for {
		e.mu.Lock()
		advanced := e.advanced
		e.mu.Unlock()
		if e.fleet.Closed() >= end {
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
// without those that nobody has told of for too long.
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
	e.log.Warn("partitions that no gateway tells of hold the fleet; it is judged without them, and alerts say so, until somebody does",
		"partitions", awaited, "max_hold", e.cfg.MaxHold)
	e.mu.Lock()
	e.changed = e.now()
	e.mu.Unlock()
	return e.enqueue(ctx, names(skips, awaited))
}
