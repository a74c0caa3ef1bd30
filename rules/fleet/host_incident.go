package fleet

import (
	"cmp"
	"slices"
)

// HostIncident is something that happened to a host, for the agents on it: a
// log that names hosts and a sensor's cloud that names agents are different
// topics, and so different shards. Steps carry a bounded number of them.
type HostIncident struct {
	Host   string // short name in lower case
	Action HostAction
	At     int64 // when it happened
	Seen   int64 // the clock of the shard that saw it
	// Product and Agent are those of an agent that is new on the host.
	Product, Agent string
}

// HostAction is what happened, by event.action.
type HostAction uint8

// What happens to hosts.
const (
	hostShutdown HostAction = iota
	hostBooted
	hostCrashed
	hostUnclean
	hostTaken // by a new agent
	hostActions
)

var hostActionNames = [hostActions]string{"host-shutdown", "host-booted", "host-crashed", "host-unclean-shutdown", "host-taken"}

// String returns the event.action, of those that have one.
func (a HostAction) String() string { return hostActionNames[a] }

// IsHostAction reports whether an event.action is one that happens to a host.
func IsHostAction(action string) bool { return slices.Contains(hostActionNames[:hostTaken], action) }

// maxHostIncidents bounds the incidents of hosts in a step.
const maxHostIncidents = 4096

// Report hands the agents on a host what happened to it: at the closing of the
// step, whichever partition they are in. The host is named as HostIncident does;
// it is copied.
func (s *Shard) Report(host []byte, action string, now, at int64) {
	which := slices.Index(hostActionNames[:hostTaken], action)
	if which < 0 || s.step == nil || len(s.step.Hosts) >= maxHostIncidents {
		return
	}
	s.step.Hosts = append(s.step.Hosts, HostIncident{Host: string(host), Action: HostAction(which), At: at, Seen: now})
}

// Settle lets the agents on a host know that another one is new on it. A host that
// is set up again has a new agent, and one that became a copy of another host has
// that one's: moved says that it was on another before. The one before is not
// heard again; one that only has the same name will be. While the fleet is not
// known yet all agents are new, and that says nothing.
func (s *Shard) Settle(a *Agent, host []byte, moved bool, now int64) {
	if s.step == nil || s.view == nil || now-s.view.Began < int64(s.cfg.Settle) || len(s.step.Hosts) >= maxHostIncidents {
		return
	}
	at := a.FirstSeen
	if moved {
		at = now
	}
	s.step.Hosts = append(s.step.Hosts, HostIncident{Host: string(host), Action: hostTaken, At: at, Seen: now, Product: s.Intern(a.Type), Agent: a.ID})
}

// Incident takes what happened to the agent's host; now is the clock. What was
// seen long before is nothing of the present.
func (s *Shard) Incident(a *Agent, h HostIncident, now int64) {
	if s.step == nil || now-h.Seen > int64(s.cfg.Fresh) {
		return
	}
	switch {
	case h.Action == hostTaken:
		if a.Type == h.Product && a.ID != "" && a.ID != h.Agent && a.LastSeen < h.At && a.settled {
			s.leave(a, replaced) // Until it is heard again.
		}
		return
	case h.Action == hostShutdown && h.At < a.happened:
		return // It was heard since.
	}
	s.host(a, h.Action.String(), now, now-(h.Seen-h.At))
}

func compareIncidents(a, b HostIncident) int {
	return cmp.Or(cmp.Compare(a.Seen, b.Seen), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Action, b.Action), cmp.Compare(a.At, b.At),
		cmp.Compare(a.Product, b.Product), cmp.Compare(a.Agent, b.Agent))
}
