package canary

import (
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/rules"
)

// State is what is known of the canary of a feed.
type State string

// The states of a canary.
const (
	Waiting State = "waiting" // no beat came back yet, and none is overdue
	Heard   State = "heard"   // its beats come back; no proof was made yet
	Proving State = "proving" // it is silent, so that a rule notices
	Proved  State = "proved"  // its last silence was noticed, and its return
	Deaf    State = "deaf"    // a beat did not come back in time
	Mute    State = "mute"    // its last silence, or its return, was not noticed in time
)

// States returns all of them.
func States() []State { return []State{Waiting, Heard, Proving, Proved, Deaf, Mute} }

// learnBeats is how many beats are heard before the canary falls silent: rules
// learn from them how often it beats.
const learnBeats = 4

// Problem is one thing that is wrong with a feed's canary.
type Problem struct {
	State  State // Deaf or Mute
	Feed   string
	Since  time.Time // the same for the problem and its end
	At     time.Time // when it was found, or over
	Reason string
	Over   bool
}

// watch is what is known of the canary of one feed. Whoever has it calls one
// method at a time.
type watch struct {
	cfg             *Config
	feed            string
	canary, witness string // agent ids

	waiting   []time.Time // beats of the witness that were not heard, the oldest first
	heard     time.Time   // the latest beat of the witness that was
	roundTrip time.Duration
	failure   error // why the last beat could not be written

	beats   int       // of the canary that came back since it was last silent
	silent  time.Time // since when it is silent; zero: it is not
	noticed time.Time // when a rule noticed; it sends heartbeats again
	spoke   time.Time // when it sent the first heartbeat again

	due     time.Time // of the next proof
	proved  time.Time // when the last proof was made
	took    time.Duration
	rule    string // that noticed
	outcome func(State)

	since  map[State]time.Time // the problems that there are
	reason map[State]string
	news   []Problem // changes that are not reported yet
}

func newWatch(cfg *Config, feed, canary, witness string, outcome func(State)) *watch {
	return &watch{cfg: cfg, feed: feed, canary: canary, witness: witness, outcome: outcome, since: map[State]time.Time{}, reason: map[State]string{}}
}

// beat decides, when the witness beats, whether the canary sends a heartbeat, too.
func (w *watch) beat(now time.Time) (speak bool) {
	w.findOverdue(now)
	w.waiting = append(w.waiting, now)
	if len(w.waiting) > maxWaiting {
		w.waiting = append(w.waiting[:1], w.waiting[2:]...)
	}
	if w.silent.IsZero() && w.noticed.IsZero() && w.since[Deaf].IsZero() && w.beats >= learnBeats && !now.Before(w.due) {
		w.silent = now
	}
	return w.silent.IsZero()
}

// maxWaiting bounds the beats that are waited for; the oldest decides.
const maxWaiting = 1000

// findOverdue finds what is overdue.
func (w *watch) findOverdue(now time.Time) {
	if len(w.waiting) > 0 && now.Sub(w.waiting[0]) > w.cfg.Deadline {
		reason := fmt.Sprintf("the heartbeat written to %s at %s did not come back through mapping and rules: check the lag of partition 0, "+
			"the dead letter, and that the native mapping is loaded", w.feed, w.waiting[0].UTC().Format(time.RFC3339))
		if w.failure != nil {
			reason = fmt.Sprintf("heartbeat not written to %s: %v", w.feed, w.failure)
		}
		w.problem(Deaf, now, reason)
		w.abandon()
	}
	switch {
	case !w.silent.IsZero() && now.Sub(w.silent) > w.cfg.NoticedWithin:
		w.fail(now, fmt.Sprintf("the canary of %s was silent for %s and no rule noticed: check that a rule of type silence about single agents "+
			"is loaded, is not in shadow, and waits less than canary.noticed_within", w.feed, now.Sub(w.silent).Round(time.Second)))
	case !w.noticed.IsZero() && now.Sub(w.spoke) > w.cfg.Deadline:
		w.fail(now, fmt.Sprintf("rule %q noticed that the canary of %s was silent, but not that its heartbeats came again", w.rule, w.feed))
	}
}

// fail ends a proof that found the gateway mute.
func (w *watch) fail(now time.Time, reason string) {
	w.problem(Mute, now, reason)
	w.outcome(Mute)
	w.abandon()
	w.due = now.Add(w.cfg.Every)
}

// abandon ends a proof without an outcome; the rules have to learn again how
// often the canary beats.
func (w *watch) abandon() {
	w.silent, w.noticed, w.spoke, w.beats = time.Time{}, time.Time{}, time.Time{}, 0
}

// takeSign takes what rules say of the canary or the witness.
func (w *watch) takeSign(now time.Time, s rules.CanarySign) {
	at := time.Unix(0, s.At)
	switch {
	case s.Rule != "" && s.Agent == w.canary:
		w.noticedBy(now, s)
	case s.Rule != "":
	case s.Agent == w.canary:
		if w.silent.IsZero() {
			w.beats++
		}
	case s.Agent == w.witness:
		if !at.After(w.heard) {
			return
		}
		w.heard, w.roundTrip = at, max(now.Sub(at), 0)
		for len(w.waiting) > 0 && !w.waiting[0].After(at) {
			w.waiting = w.waiting[1:]
		}
		if len(w.waiting) == 0 || now.Sub(w.waiting[0]) <= w.cfg.Deadline {
			w.solved(Deaf, now, fmt.Sprintf("heartbeats of the canary of %s come back again", w.feed))
		}
	}
}

func (w *watch) noticedBy(now time.Time, s rules.CanarySign) {
	switch {
	case s.Status == "firing" && !w.silent.IsZero():
		w.took, w.rule = now.Sub(w.silent), s.RuleName
		w.silent, w.noticed, w.spoke = time.Time{}, now, now.Add(w.cfg.Heartbeat)
	case s.Status == "resolved" && !w.noticed.IsZero() && s.RuleName == w.rule:
		w.abandon()
		w.beats = 1
		w.proved, w.due = now, now.Add(w.cfg.Every)
		w.outcome(Proved)
		w.solved(Mute, now, fmt.Sprintf("rule %q noticed the silence of the canary of %s after %s", w.rule, w.feed, w.took.Round(time.Second)))
	}
}

// problem notes what is wrong, once.
func (w *watch) problem(state State, now time.Time, reason string) {
	if w.since[state].IsZero() {
		w.since[state], w.reason[state] = now, reason
		w.news = append(w.news, Problem{State: state, Feed: w.feed, Since: now, At: now, Reason: reason})
	}
}

func (w *watch) solved(state State, now time.Time, reason string) {
	if since := w.since[state]; !since.IsZero() {
		delete(w.since, state)
		delete(w.reason, state)
		w.news = append(w.news, Problem{State: state, Feed: w.feed, Since: since, At: now, Reason: reason, Over: true})
	}
}

// giveUp ends the problems of a feed that goes to another gateway, or whose
// gateway stops: who owns it next finds out by itself, under another episode.
func (w *watch) giveUp(now time.Time) {
	for _, state := range []State{Deaf, Mute} {
		w.solved(state, now, fmt.Sprintf("partition 0 of %s moved to another gateway, which checks its canary from now on", w.feed))
	}
}

// state is the one to show: what is wrong before what is going on.
func (w *watch) state() State {
	switch {
	case !w.since[Deaf].IsZero():
		return Deaf
	case !w.since[Mute].IsZero():
		return Mute
	case w.heard.IsZero():
		return Waiting
	case !w.silent.IsZero() || !w.noticed.IsZero():
		return Proving
	case !w.proved.IsZero():
		return Proved
	}
	return Heard
}
