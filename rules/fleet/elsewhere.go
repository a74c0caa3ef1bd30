package fleet

import (
	"slices"
	"strings"
)

// HostEvent is something that happened to a host, for the agents on it that
// other shards know: a log that names hosts and a sensor's cloud that names
// agents are different topics. Steps carry a bounded number of them.
type HostEvent struct {
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

// maxHostEvents bounds what a step tells of hosts; maxInbox the steps that wait
// for a shard to which nothing comes.
const (
	maxHostEvents = 4096
	maxInbox      = 360
)

// Report tells the agents that other shards know on a host what happened to it.
// The host is named as HostEvent does; it is copied.
func (s *Shard) Report(host []byte, action string, now, at int64) {
	which := slices.Index(hostActionNames[:], action)
	if which < 0 || s.step == nil || len(s.step.Hosts) >= maxHostEvents {
		return
	}
	s.step.Hosts = append(s.step.Hosts, HostEvent{Host: string(host), Action: HostAction(which), At: at, Seen: now})
}

// Elsewhere takes what another shard saw happen to the agent's host; now is the
// clock here. What was seen long before is nothing of the present.
func (s *Shard) Elsewhere(a *Agent, h HostEvent, now int64) {
	if s.step == nil || now-h.Seen > int64(s.cfg.Fresh) {
		return
	}
	if h.Action == hostShutdown && h.At < a.happened {
		return // It was heard since.
	}
	s.Host(a, h.Action.String(), now, now-(h.Seen-h.At))
}

// addHosts adds what a step tells of hosts, within its bound.
func (s *Step) addHosts(more []HostEvent) {
	s.Hosts = append(s.Hosts, more[:min(len(more), max(maxHostEvents-len(s.Hosts), 0))]...)
}

// deliver leaves what a step tells of hosts for all shards here but its own.
func (f *Fleet) deliver(from *Shard, step *Step) {
	if len(step.Hosts) == 0 {
		return
	}
	told := slices.Clone(step.Hosts) // The step is merged into others.
	for who := range f.shards.members {
		shard := who.(*Shard)
		if shard == from {
			continue
		}
		if waiting := f.inbox[shard]; len(waiting) < maxInbox {
			f.inbox[shard] = append(waiting, told)
		}
	}
}

// Elsewhere returns what other shards saw happen to hosts since the last call
// for the shard, in an order that depends on the events alone.
func (f *Fleet) Elsewhere(s *Shard) []HostEvent {
	f.mu.Lock()
	lists := f.inbox[s]
	delete(f.inbox, s)
	f.mu.Unlock()
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b HostEvent) int {
		if a.Seen != b.Seen {
			return int(min(max(a.Seen-b.Seen, -1), 1))
		}
		return strings.Compare(a.Host, b.Host)
	})
	return all
}
