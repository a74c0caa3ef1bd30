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

// take takes the acts in order and then tells of them. It stops at the first
// that has to be tried again and returns it and what came after, with the
// reason.
func (l *lane) take(ctx context.Context, jobs []job) ([]job, error) {
	left, told, err := l.act(ctx, jobs)
	if len(told) == 0 {
		return left, err
	}
	// Told of when all of it is done and the next may have their turn: a store
	// that is down holds no act up, and a batch is one request to it.
	if problem := l.d.set.Publish(ctx, told); problem != nil {
		// The acts themselves stand; doing them again to tell of them would be worse.
		l.d.set.Logger.Error("acts could not be told of", "responder", l.to.Name, "acts", len(told), "error", problem)
	}
	return left, err
}

// act takes the acts in order and returns those that are left, and a document
// about each attempt.
func (l *lane) act(ctx context.Context, jobs []job) (left []job, told []*event.Document, err error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return jobs, nil, context.Cause(ctx)
	}
	for i := range jobs {
		t, err := l.attempt(ctx, &jobs[i].act)
		if t != nil {
			told = append(told, l.d.set.Tell(t))
		}
		if err != nil {
			return jobs[i:], told, err
		}
	}
	return nil, told, nil
}

// attempt takes an act unless it is done, and returns what is to be told of it;
// an error means that it is to be tried again.
func (l *lane) attempt(ctx context.Context, a *Act) (*Taken, error) {
	if l.taken.has(a.ID) {
		return nil, nil
	}
	d := l.d
	t := &Taken{Act: a, At: d.set.Now(), Attempt: l.attempts[a.ID] + 1, DryRun: !d.cfg.Enabled}
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
			l.tried(t)
			return nil, context.Cause(ctx)
		case fault.Of(t.Err).Class == fault.Permanent:
			t.Outcome = Refused
		default:
			t.Outcome = Failed
		}
	}
	switch t.Outcome {
	case Failed:
		l.tried(t)
	case Suppressed:
		// Not taken: the next document of the alert, when it has grown, asks again.
	default:
		delete(l.attempts, a.ID)
		l.taken.add(a.ID)
	}
	d.count.WithLabelValues(a.Responder, a.Action, string(t.Outcome)).Inc()
	d.log(t)
	if t.Outcome == Failed {
		return t, t.Err
	}
	return t, nil
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
