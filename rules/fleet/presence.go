package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// Values of Record.Presence. It comes before the state: of an agent that is not
// alive the state is what was known last.
const (
	Alive   = "alive"   // heard within its cadence
	Silent  = "silent"  // overdue, or quiet for half an hour before its cadence is known; without a goodbye
	Asleep  = "asleep"  // its host was shut down, or is a computer that naps
	Gone    = "gone"    // uninstalled, stopped, or replaced by another agent
	Unknown = "unknown" // not heard often enough to know its cadence
)

// Presences are the values of Record.Presence.
func Presences() []string { return ecs.Presences() }

// ParsePresence checks a value of Query.Presence.
func ParsePresence(s string) error {
	if s != "" && !slices.Contains(Presences(), strings.ToLower(s)) {
		return fmt.Errorf("expected %s, found %q", strings.Join(Presences(), ", "), s)
	}
	return nil
}

// goodbye is how an agent that is gone from the accounts took its leave.
type goodbye uint8

const (
	noGoodbye   goodbye = iota
	sensorEnded         // the sensor was stopped; its host may be up
	hostEnded           // the host was shut down
	uninstalled
	replaced // another agent of the product is on the host
	goodbyes
)

// goodbyeOf is the goodbye that an event.action says.
func goodbyeOf(action string) goodbye {
	switch action {
	case "sensor-uninstalled":
		return uninstalled
	case "host-shutdown":
		return hostEnded
	}
	return sensorEnded
}

// leave takes the agent out of the accounts because of a goodbye. Of several
// the weightiest counts: a host that is shut down stops its sensor first.
func (s *Shard) leave(a *Agent, why goodbye) {
	s.setLife(a, gone)
	a.goodbye = max(a.goodbye, why)
}

// A computer that is no server and was away for long before naps: when it is
// not heard it is asleep, for as long as people are away, unless it failed or
// got something new shortly before.
const (
	napLeast  = int64(30 * time.Minute) // away for so long, and back without a failure
	napMost   = int64(72 * time.Hour)   // a weekend
	napShadow = int64(time.Hour)        // before it was heard last
)

// presence says whether the agent is heard; now is the clock of the fleet.
func (a *Agent) presence(now int64) string {
	switch a.life {
	case alive:
		return Alive
	case silent:
		if a.napping(now) {
			return Asleep
		}
		return Silent
	case gone:
		switch a.goodbye {
		case hostEnded:
			return Asleep
		case noGoodbye:
			if !a.settled {
				break // Its cadence is learned again.
			}
			return Gone
		default:
			return Gone
		}
	}
	switch lately := a.happened > 0 && now-a.happened <= unlearned; {
	case a.beat == noBeat && lately:
		return Alive // It sends nothing by which it could be missed.
	case a.beat != noBeat && a.happened > 0 && !lately:
		return Silent
	}
	return Unknown
}

// unlearned is how long an agent that was heard, and too seldom to know when it is
// due, may be quiet.
const unlearned = int64(30 * time.Minute)

// sinceWhen is when its presence began, 0 where that is not known.
func (a *Agent) sinceWhen(presence string) int64 {
	switch {
	case presence == Unknown:
		return 0
	case presence == Silent && a.life != silent:
		return a.happened
	}
	return a.since
}

func (a *Agent) napping(now int64) bool {
	if !a.naps || isServer(a.HostType) || now-a.since > napMost {
		return false
	}
	for _, c := range [...]Class{Crash, Restart} {
		if at := int64(a.failedAt[c]) * int64(time.Second); at > a.since-napShadow {
			return false
		}
	}
	return !slices.ContainsFunc(a.exposures, func(x exposure) bool { return x.at > a.since-napShadow })
}

// cameTo notes since when the agent has the life that it came to from another.
func (a *Agent) cameTo(from life, now int64) {
	switch {
	case a.life == silent && a.happened > 0:
		a.since = a.happened
	case from == silent && a.life == alive && now-a.since >= napLeast && !a.failedSince(a.since):
		a.naps, a.since = true, now
	default:
		a.since = now
	}
	if a.life != gone {
		a.goodbye = noGoodbye
	}
}

func (a *Agent) failedSince(t int64) bool {
	return int64(max(a.failedAt[Crash], a.failedAt[Restart]))*int64(time.Second) >= t
}

// PersistPresence writes, or reads, what Persist leaves to a section of its own
// of the snapshot, which earlier releases did not write.
func (a *Agent) PersistPresence(c *snapshot.Codec) {
	snapshot.Int(c, &a.goodbye)
	c.Bool(&a.naps)
	c.Time(&a.since)
	c.Shared(&a.Owner)
	for i := range a.channels {
		c.Time(&a.channels[i].at)
	}
	if a.goodbye >= goodbyes {
		c.Fail("goodbye %d of an agent", a.goodbye)
	}
}
