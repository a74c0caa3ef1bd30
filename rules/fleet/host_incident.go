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
}

// HostAction is what happened, by event.action.
type HostAction uint8

// What happens to hosts.
const (
	hostShutdown HostAction = iota
	hostBooted
	hostCrashed
	hostUnclean
	hostActions
)

var hostActionNames = [hostActions]string{"host-shutdown", "host-booted", "host-crashed", "host-unclean-shutdown"}

// String returns the event.action.
func (a HostAction) String() string { return hostActionNames[a] }

// IsHostAction reports whether an event.action is one that happens to a host.
func IsHostAction(action string) bool { return slices.Contains(hostActionNames[:], action) }

// maxHostIncidents bounds what a step tells of hosts.
const maxHostIncidents = 4096

// Report tells the agents on a host what happened to it: at the closing of the
// step, whichever partition they are in. The host is named as HostIncident does;
// it is copied.
func (s *Shard) Report(host []byte, action string, now, at int64) {
	which := slices.Index(hostActionNames[:], action)
	if which < 0 || s.step == nil || len(s.step.Hosts) >= maxHostIncidents {
		return
	}
	s.step.Hosts = append(s.step.Hosts, HostIncident{Host: string(host), Action: HostAction(which), At: at, Seen: now})
}

// Incident takes what happened to the agent's host; now is the clock. What was
// seen long before is nothing of the present.
func (s *Shard) Incident(a *Agent, h HostIncident, now int64) {
	if s.step == nil || now-h.Seen > int64(s.cfg.Fresh) {
		return
	}
	if h.Action == hostShutdown && h.At < a.happened {
		return // It was heard since.
	}
	s.host(a, h.Action.String(), now, now-(h.Seen-h.At))
}

func compareIncidents(a, b HostIncident) int {
	return cmp.Or(cmp.Compare(a.Seen, b.Seen), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Action, b.Action), cmp.Compare(a.At, b.At))
}
