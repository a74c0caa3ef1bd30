package respond

import (
	"context"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// lane is the way to one responder with what is known of its acts. Whoever
// holds turn owns the rest.
type lane struct {
	d    *Dispatcher
	to   Named
	turn chan struct{} // A lock that a context can give up waiting for.

	taken    taken
	attempts map[string]int     // by id of acts that are being tried
	buckets  map[string]*bucket // by action
}

// job is an act that a document of a batch asks for.
type job struct {
	document int
	act      Act
}

// maxAttempts bounds the acts whose attempts are counted at a time.
const maxAttempts = 1000

func newLane(d *Dispatcher, to Named) *lane {
	return &lane{d: d, to: to, turn: make(chan struct{}, 1), attempts: map[string]int{}, buckets: map[string]*bucket{}}
}

// take takes the acts in order. It stops at the first that has to be tried
// again and returns it and what came after, with the reason.
func (l *lane) take(ctx context.Context, jobs []job) ([]job, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return jobs, context.Cause(ctx)
	}
	for i := range jobs {
		if err := l.takeOne(ctx, &jobs[i].act); err != nil {
			return jobs[i:], err
		}
	}
	return nil, nil
}

// takeOne takes an act unless it is done; an error means that it is to be tried
// again.
func (l *lane) takeOne(ctx context.Context, a *Act) error {
	if l.taken.has(a.ID) {
		return nil
	}
	d := l.d
	t := Taken{Act: a, At: d.set.Now(), Attempt: l.attempts[a.ID] + 1, DryRun: !d.cfg.Enabled}
	switch {
	case t.Attempt == 1 && !l.begun(a) && !l.allowed(a.Action, t.At):
		t.Outcome = Suppressed
	case t.DryRun:
		t.Outcome = DryRun
	default:
		t.Status, t.Err = l.to.Responder.Send(ctx, a)
		switch {
		case t.Err == nil:
			t.Outcome = Sent
		case ctx.Err() != nil:
			// Not an attempt that failed; it is not known whether it arrived.
			l.tried(&t)
			return context.Cause(ctx)
		case fault.Of(t.Err).Class == fault.Permanent:
			t.Outcome = Refused
		default:
			t.Outcome = Failed
		}
	}
	switch t.Outcome {
	case Failed:
		l.tried(&t)
	case Suppressed:
		// Not taken: the next document of the alert, when it has grown, asks again.
	default:
		delete(l.attempts, a.ID)
		l.taken.add(a.ID)
	}
	d.count.WithLabelValues(a.Responder, a.Action, string(t.Outcome)).Inc()
	d.log(&t)
	if err := d.set.Publish(ctx, []*event.Document{d.set.Tell(&t)}); err != nil {
		// The act itself stands; doing it again to tell of it would be worse.
		d.set.Logger.Error("an act could not be told of", "response", a.ID, "error", err)
	}
	if t.Outcome == Failed {
		return t.Err
	}
	return nil
}

// tried counts an attempt of an act that is to be tried again.
func (l *lane) tried(t *Taken) {
	if len(l.attempts) >= maxAttempts {
		clear(l.attempts)
	}
	l.attempts[t.Act.ID] = t.Attempt
}

// begun reports whether a is the end of what the responder was told had begun.
// The limit does not keep it: an Alertmanager would go on alerting.
func (l *lane) begun(a *Act) bool {
	return a.Alert.Status == "resolved" && l.taken.has(id(a.Alert.ID, "firing", a.Action, a.Responder))
}

func (l *lane) allowed(action string, now time.Time) bool {
	b := l.buckets[action]
	if b == nil {
		b = &bucket{}
		l.buckets[action] = b
	}
	return b.take(now, l.d.cfg.MaxPerHour)
}
