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
	failing  failing
}

// failing is since when a responder takes nothing, and why.
type failing struct {
	since, last time.Time
	err         error
}

// job is an act that a document of a batch asks for.
type job struct {
	document int
	act      Act
	err      error // why it was given up
}

// maxAttempts bounds the acts whose attempts are counted at a time.
const maxAttempts = 1000

func newLane(d *Dispatcher, to Named) *lane {
	return &lane{d: d, to: to, turn: make(chan struct{}, 1), attempts: map[string]int{}, buckets: map[string]*bucket{}}
}

// takeActs takes the acts in order and then writes the events about them. It stops at the first
// that has to be tried again and returns it and what came after, with the
// reason, besides what was given up.
func (l *lane) takeActs(ctx context.Context, jobs []job) (left, givenUp []job, err error) {
	left, givenUp, events, err := l.act(ctx, jobs)
	if len(events) == 0 {
		return left, givenUp, err
	}
	// Written when all of it is done and the next may have their turn: a store
	// that is down holds no act up, and a batch is one request to it.
	if problem := l.d.set.Publish(ctx, events); problem != nil {
		// The acts themselves stand; doing them again to get the events written would be worse.
		l.d.set.Logger.Error("events about acts not delivered; the acts themselves were sent", "responder", l.to.Name, "acts", len(events), "error", problem)
	}
	return left, givenUp, err
}

// act takes the acts in order and returns those that are left and those that
// were given up, and a document about each attempt.
func (l *lane) act(ctx context.Context, jobs []job) (left, givenUp []job, events []*event.Document, err error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return jobs, nil, nil, context.Cause(ctx)
	}
	l.recallDone(ctx, jobs)
	for i := range jobs {
		t, err := l.attempt(ctx, &jobs[i].act)
		if t != nil {
			events = append(events, l.d.set.Document(t))
		}
		if err != nil {
			return jobs[i:], givenUp, events, err
		}
		if t != nil && t.Outcome == GivenUp {
			jobs[i].err = t.Err
			givenUp = append(givenUp, jobs[i])
		}
	}
	return nil, givenUp, events, nil
}

// attempt takes an act unless it is done, and returns the outcome to write as an event;
// an error means that it is to be tried again.
func (l *lane) attempt(ctx context.Context, a *Act) (*Taken, error) {
	if l.taken.has(a.ID) {
		return nil, nil
	}
	d := l.d
	t := &Taken{Act: a, At: d.set.Now(), Attempt: l.attempts[a.ID] + 1, DryRun: !d.cfg.Enabled}
	switch {
	case l.givesUp(t.At) && t.At.Sub(l.failing.last) < d.cfg.GiveUpAfter:
		t.Outcome, t.Attempt, t.Err = GivenUp, t.Attempt-1, l.gaveUp(t.At)
	case t.Attempt == 1 && !l.begun(a) && !l.allowed(a.Action, t.At):
		t.Outcome = Suppressed
	case t.DryRun:
		t.Outcome = DryRun
	default:
		t.Status, t.Err = l.to.Responder.Send(ctx, a)
		switch {
		case t.Err == nil:
			t.Outcome, l.failing = Sent, failing{}
		case ctx.Err() != nil:
			// Not an attempt that failed; it is not known whether it arrived.
			l.tried(t)
			return nil, context.Cause(ctx)
		case fault.Of(t.Err).Class == fault.Permanent:
			t.Outcome, l.failing = Refused, failing{}
		default:
			t.Outcome = Failed
			l.failed(t)
		}
	}
	switch t.Outcome {
	case Failed:
		l.tried(t)
	case Suppressed:
		// Not taken: the next document of the alert, when it has grown, asks again.
	case GivenUp: // Nor is this.
		if t.Attempt > 0 {
			l.tried(t)
		}
	default:
		delete(l.attempts, a.ID)
		l.taken.add(a.ID)
		if !t.DryRun {
			l.recordDone(ctx, a)
		}
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

// failed notes an attempt that failed, which is the last if the responder has
// failed for too long.
func (l *lane) failed(t *Taken) {
	f, now := &l.failing, l.d.set.Now()
	if f.since.IsZero() {
		f.since = t.At
	}
	f.last, f.err = now, t.Err
	if l.givesUp(now) {
		t.Outcome, t.Err = GivenUp, l.gaveUp(now)
	}
}

func (l *lane) givesUp(now time.Time) bool {
	return l.d.cfg.GiveUpAfter > 0 && !l.failing.since.IsZero() && now.Sub(l.failing.since) >= l.d.cfg.GiveUpAfter
}

func (l *lane) gaveUp(now time.Time) error {
	f := fault.Of(l.failing.err)
	return fault.New(fault.Permanent, f.Reason, "responder %s has failed for %s: %w", l.to.Name, now.Sub(l.failing.since).Round(time.Second), l.failing.err)
}

// begun reports whether a is the end of what the responder got as firing.
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
	return b.takeToken(now, l.d.cfg.MaxPerHour)
}
