package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// finding is something that a state has found at one moment, such as a
// completed sequence or a value that is new.
type finding struct {
	key      string
	at       int64 // The clock when it was found.
	start    int64 // Event time of what began it.
	end      int64
	entity   *entity
	source   *event.Event // nil for a timer.
	hosts    []string
	count    int64
	further  string // Distinguishes findings of one key and start.
	reason   string
	evidence []pair
}

// occurrences makes alerts of findings: one document each, or, with suppress or
// keep_firing_for, episodes in which further findings of a key are counted.
type occurrences struct {
	rs    *RuleSession
	table *keyed[occurrence]
}

// occurrence is the episode of one key.
type occurrence struct {
	episode
	entity  *entity
	hosts   []string
	last    int64 // Clock of the last finding.
	atLeast int64 // The episode does not end before.
}

func newOccurrences(rs *RuleSession) occurrences {
	return occurrences{rs: rs, table: tableOf[occurrence](rs.s, rs.r)}
}

// report raises a finding, or counts it in the episode of its key.
func (o *occurrences) report(f *finding) {
	count := max(f.count, 1)
	if o.rs.keepFiring() == 0 && o.rs.suppress() == 0 {
		ep := o.rs.newEpisode(f.key, f.start, f.further)
		ep.count = count
		o.raise(&ep, f)
		return
	}
	e, created := o.table.obtain(key{text: f.key, lasting: true})
	k := &e.data
	k.last, k.entity = f.at, f.entity
	if created {
		k.episode = o.rs.newEpisode(e.key, f.start, f.further)
		k.count, k.atLeast, k.hosts = count, f.at+o.rs.suppress(), f.hosts
		o.raise(&k.episode, f)
	} else {
		k.count++
	}
	if !e.timed() {
		due := o.ends(k)
		o.table.wake(e, due)
		o.rs.wakeAt(due)
	}
}

func (o *occurrences) raise(ep *episode, f *finding) {
	o.rs.raise(ep, &alert{
		at: f.at, end: f.end, status: "firing", key: f.key, entity: f.entity, source: f.source, hosts: f.hosts,
		reason: f.reason, evidence: f.evidence,
	})
}

func (o *occurrences) ends(k *occurrence) int64 { return max(k.last+o.rs.keepFiring(), k.atLeast) }

func (o *occurrences) next() int64 {
	if e := o.table.next(); e != nil {
		return e.due
	}
	return math.MaxInt64
}

// fire resolves the first episode whose time is over.
func (o *occurrences) fire(due int64) {
	e := o.table.next()
	k := &e.data
	if at := o.ends(k); at > due {
		o.table.wake(e, at)
		o.rs.wakeAt(at)
		return
	}
	o.rs.raise(&k.episode, &alert{
		at: due, end: k.last, status: "resolved", key: e.key, entity: k.entity, hosts: k.hosts,
		reason: fmt.Sprintf("nothing further from %s; found %s in %s", subject(k.entity, e.key), times(k.count), duration(k.last-k.start)),
	})
	o.table.remove(e)
}

// perAgent reports whether the keys of a rule stand for single agents.
func (r *Rule) perAgent() bool { return r.Scope == "host" || r.byEntity() }

// byEntity reports whether group_by names the agent.
func (r *Rule) byEntity() bool {
	return slices.ContainsFunc(r.groupBy, func(p keyPart) bool { return p.entity })
}

// subjects remembers whom a key is about: the agent, or for a key that stands
// for many the distinct names of their hosts.
type subjects struct {
	agent *entity
	hosts []string
}

func (w *subjects) add(r *Rule, m *moment) {
	w.agent = m.entity
	if r.perAgent() || m.entity == nil || len(w.hosts) >= maxHosts {
		return
	}
	if name := m.entity.name(); !slices.Contains(w.hosts, name) {
		w.hosts = append(w.hosts, strings.Clone(name))
	}
}

// entity is the agent of a key that stands for one.
func (w *subjects) entity(r *Rule) *entity {
	if r.perAgent() {
		return w.agent
	}
	return nil
}

func (w *subjects) names() []string { return slices.Clone(w.hosts) }

// earliest is when the first timer of two tables is due, such as that of a
// state's keys and that of its episodes.
func earliest[A, B any](a *keyed[A], b *keyed[B]) int64 {
	due := int64(math.MaxInt64)
	if e := a.next(); e != nil {
		due = e.due
	}
	if e := b.next(); e != nil {
		due = min(due, e.due)
	}
	return due
}
