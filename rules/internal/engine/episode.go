package engine

import (
	"strconv"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// AlertState is where the alert of a key is:
//
//	Inactive ──▶ Pending ──▶ Firing ──▶ Resolved
//	    └───────────────────────▲           │
//	                            └───────────┘
//
// From Resolved it goes on as from Inactive, with an episode of its own.
type AlertState uint8

// The states of an alert.
const (
	Inactive AlertState = iota // What the rule is about is not so.
	Pending                    // It is so, and not for as long yet as the rule asks (for).
	Firing                     // The alert is open: a document says that it fires.
	Resolved                   // It has ended, and a document says so.
)

// String is the state as documents name it.
func (s AlertState) String() string {
	return [...]string{"inactive", "pending", "firing", "resolved"}[s]
}

// Episode is one life of an alert: from firing to resolved. All its documents
// carry the same edr.alert.id.
type Episode struct {
	ID       string
	Start    int64 // Event time of what began it.
	Count    int64
	Sequence int32 // Documents written.
	State    AlertState

	severity string // Of the first document; the others keep it.
	risk     float64
}

// BeginEpisode returns an episode that fires. What further distinguishes it may
// be empty.
func BeginEpisode(r *Rule, key string, start int64, further string) Episode {
	return Episode{
		ID:    event.HashID(r.ID, strconv.Itoa(r.Version), key, strconv.FormatInt(start, 10), further),
		Start: start,
		State: Firing,
	}
}

// Firing reports whether the alert is open.
func (ep *Episode) Firing() bool { return ep.State == Firing }

// Await tells that what the rule is about is so, and not for long enough.
func (ep *Episode) Await() { ep.State = Pending }

// Resolve ends the alert; what is pending becomes inactive.
func (ep *Episode) Resolve() {
	if ep.State == Firing {
		ep.State = Resolved
		return
	}
	ep.State = Inactive
}

// Weight is the bytes that the episode refers to.
func (ep *Episode) Weight() int { return table.Allocated(len(ep.ID)) }

// Persist writes or reads the episode, all but its state.
func (ep *Episode) Persist(a *Archive) {
	a.Text(&ep.ID)
	if ep.ID == "" {
		return // No document was written yet.
	}
	a.Time(&ep.Start)
	snapshot.Int(a.Codec, &ep.Count)
	snapshot.Int(a.Codec, &ep.Sequence)
	a.Shared(&ep.severity)
	a.Float(&ep.risk)
}

// PersistFiring writes or reads whether the alert is open.
func (ep *Episode) PersistFiring(a *Archive) {
	firing := ep.State == Firing
	if a.Bool(&firing); a.Reading() && firing {
		ep.State = Firing
	}
}
