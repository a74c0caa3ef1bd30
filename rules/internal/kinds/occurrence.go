package kinds

import (
	"fmt"
	"math"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// finding is something that a state has found at one moment, such as a
// completed sequence or a value that is new.
type finding struct {
	key      string
	at       int64 // The clock when it was found.
	start    int64 // Event time of what began it.
	end      int64
	entity   *engine.Entity
	source   *event.Event // nil for a timer.
	hosts    []string
	count    int64
	further  string // Distinguishes findings of one key and start.
	reason   string
	evidence []engine.Evidence
}

// occurrences makes alerts of findings: one document each, or, with suppress or
// keep_firing_for, episodes in which further findings of a key are counted.
type occurrences struct {
	rs    *engine.RuleSession
	table *table.Keyed[occurrence]
}

// occurrence is the episode of one key.
type occurrence struct {
	engine.Episode
	entity  *engine.Entity
	hosts   []string
	last    int64 // Clock of the last finding.
	atLeast int64 // The episode does not end before.
}

func newOccurrences(rs *engine.RuleSession) occurrences {
	return occurrences{rs: rs, table: engine.NewTableFor[occurrence](rs)}
}

// report raises a finding, or counts it in the episode of its key.
func (o *occurrences) report(f *finding) {
	count := max(f.count, 1)
	if o.rs.KeepFiring() == 0 && o.rs.Suppress() == 0 {
		ep := o.rs.NewEpisode(f.key, f.start, f.further)
		ep.Count = count
		o.raise(&ep, f)
		return
	}
	e, created := o.table.Obtain(table.Key{Text: f.key, Lasting: true})
	k := &e.Data
	k.last, k.entity = f.at, f.entity
	if created {
		k.Episode = o.rs.NewEpisode(e.Key, f.start, f.further)
		k.Count, k.atLeast, k.hosts = count, f.at+o.rs.Suppress(), f.hosts
		o.raise(&k.Episode, f)
	} else {
		k.Count++
	}
	if !e.Timed() {
		due := o.ends(k)
		o.table.Wake(e, due)
		o.rs.WakeAt(due)
	}
}

func (o *occurrences) raise(ep *engine.Episode, f *finding) {
	o.rs.Raise(ep, &engine.Alert{
		At: f.at, End: f.end, Status: "firing", Key: f.key, Entity: f.entity, Source: f.source, Hosts: f.hosts,
		Reason: f.reason, Evidence: f.evidence,
	})
}

func (o *occurrences) ends(k *occurrence) int64 { return max(k.last+o.rs.KeepFiring(), k.atLeast) }

func (o *occurrences) next() int64 {
	if e := o.table.Next(); e != nil {
		return e.Due
	}
	return math.MaxInt64
}

// fire resolves the first episode whose time is over.
func (o *occurrences) fire(due int64) {
	e := o.table.Next()
	k := &e.Data
	if at := o.ends(k); at > due {
		o.table.Wake(e, at)
		o.rs.WakeAt(at)
		return
	}
	o.rs.Raise(&k.Episode, &engine.Alert{
		At: due, End: k.last, Status: "resolved", Key: e.Key, Entity: k.entity, Hosts: k.hosts,
		Reason: fmt.Sprintf("nothing further from %s; found %s in %s", engine.Subject(k.entity, e.Key), wording.Times(k.Count), wording.Duration(k.last-k.Start)),
	})
	o.table.Remove(e)
}

// earliest is when the first timer of two tables is due, such as that of a
// state's keys and that of its episodes.
func earliest[A, B any](a *table.Keyed[A], b *table.Keyed[B]) int64 {
	due := int64(math.MaxInt64)
	if e := a.Next(); e != nil {
		due = e.Due
	}
	if e := b.Next(); e != nil {
		due = min(due, e.Due)
	}
	return due
}

func (k *occurrence) Weight() int { return k.Episode.Weight() + table.TextsWeight(k.hosts) }

func (k *occurrence) OpenAlerts(end func(engine.OpenAlert), key string, _ *engine.Rule) {
	end(engine.OpenAlert{Episode: &k.Episode, Key: key, Entity: k.entity, Hosts: k.hosts})
}

func (o *occurrences) open(end func(engine.OpenAlert)) {
	engine.OpenAlertsIn(o.table, o.rs.Rule(), end)
}

func (o *occurrences) persist(a *engine.Archive) {
	engine.PersistTable(a, o.table, func(e *table.Entry[occurrence]) {
		k := &e.Data
		k.Episode.Persist(a)
		a.Agent(&k.entity)
		a.PersistTexts(&k.hosts)
		a.Time(&k.last)
		a.Time(&k.atLeast)
	})
}
