package rules

import (
	"maps"
	"slices"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// persist writes or reads the agents of a silence rule. How many agents of a
// cohort are alive, and which of them are the silent ones, follows from the
// agents.
func (st *silenceState) persist(a *archive) {
	snapshot.Int(a.Codec, &st.frozen)
	var order []*cohort
	for _, key := range slices.Sorted(maps.Keys(st.cohorts)) {
		order = append(order, st.cohorts[key])
	}
	places := map[*cohort]int{}
	snapshot.List(a.Codec, &order, func(c **cohort) {
		if a.Reading() {
			*c = &cohort{}
		}
		(*c).persist(a)
		places[*c] = len(places) + 1
		if a.Reading() && st.cohorts != nil {
			st.cohorts[(*c).key] = *c
		}
	})
	persist(a, st.table, func(e *entry[silenceKey]) {
		k := &e.data
		k.episode.persist(a)
		a.Time(&k.seen)
		a.Time(&k.heard)
		snapshot.Int(a.Codec, &k.cadence)
		a.Shared(&k.feed)
		a.Bool(&k.armed)
		a.Bool(&k.firing)
		a.Shared(&k.folded)
		a.agent(&k.entity)
		place := places[k.cohort]
		if snapshot.Int(a.Codec, &place); place == 0 {
			return
		}
		if place < 0 || place > len(order) {
			a.Fail("expected one of %d cohorts, found number %d", len(order), place)
			return
		}
		k.cohort = order[place-1]
		k.persistPlace(a)
	})
}

// persistPlace writes or reads where an agent stands in its cohort.
func (k *silenceKey) persistPlace(a *archive) {
	c := k.cohort
	if a.Bool(&k.overdue); !k.overdue {
		if a.Reading() {
			c.alive++
		}
		return
	}
	place, folds := k.place-c.dropped, k.entity != nil && k.entity.fold == &c.groupAlert
	snapshot.Int(a.Codec, &place)
	a.Bool(&folds)
	if !a.Reading() {
		return
	}
	if place < 0 || place >= len(c.silent) || c.silent[place].key != nil {
		a.Fail("place %d of %d silent agents", place, len(c.silent))
		k.cohort, k.overdue = nil, false
		return
	}
	k.place = c.dropped + place
	c.silent[place].key = k
	c.missing++
	if folds && k.entity != nil {
		k.entity.fold = &c.groupAlert
	}
}

func (c *cohort) persist(a *archive) {
	c.episode.persist(a)
	a.Text(&c.key)
	a.Shared(&c.agentType)
	a.Time(&c.since)
	snapshot.List(a.Codec, &c.silent, func(m *missed) { a.Time(&m.at) })
	a.Bool(&c.firing)
	for _, n := range []*int64{&c.folded, &c.reported, &c.most, &c.bucket, &c.fresh} {
		snapshot.Int(a.Codec, n)
	}
	a.Time(&c.reportAt)
	a.Float(&c.usual)
	snapshot.Int(a.Codec, &c.past)
}

// persist writes or reads the incidents.
func (st *rollupState) persist(a *archive) {
	var order []*incident
	for _, group := range slices.Sorted(maps.Keys(st.groups)) {
		order = append(order, st.groups[group])
	}
	snapshot.List(a.Codec, &order, func(in **incident) {
		if a.Reading() {
			*in = &incident{}
		}
		(*in).persist(a)
		st.groups[(*in).group] = *in
	})
	if a.Reading() {
		st.wake()
	}
}

func (in *incident) persist(a *archive) {
	in.episode.persist(a)
	a.Text(&in.group)
	a.Bool(&in.open)
	each := func(m *rollupMember) { m.persist(a) }
	snapshot.List(a.Codec, &in.began, each)
	var members []rollupMember
	for _, key := range slices.Sorted(maps.Keys(in.members)) {
		members = append(members, in.members[key])
	}
	snapshot.List(a.Codec, &members, each)
	if a.Reading() && in.open {
		in.members, in.names = make(map[string]rollupMember, len(members)), make(map[string]bool, len(members))
		for _, m := range members {
			in.members[m.key], in.names[m.host] = m, true
		}
	}
	a.persistTexts(&in.ids)
	a.persistTexts(&in.hosts)
	snapshot.Int(a.Codec, &in.firing)
	snapshot.Int(a.Codec, &in.told)
	snapshot.Int(a.Codec, &in.folded)
	for _, t := range []*int64{&in.last, &in.said, &in.due} {
		a.Time(t)
	}
}

func (m *rollupMember) persist(a *archive) {
	a.Shared(&m.key)
	a.Shared(&m.id)
	a.Shared(&m.host)
	a.Time(&m.at)
	a.Time(&m.start)
}
