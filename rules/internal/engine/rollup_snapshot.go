package engine

import (
	"maps"
	"slices"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// Persist writes or reads the incidents.
func (st *rollupState) Persist(a *Archive) {
	var order []*incident
	for _, group := range slices.Sorted(maps.Keys(st.groups)) {
		order = append(order, st.groups[group])
	}
	snapshot.List(a.Codec, &order, func(in **incident) {
		if a.Reading() {
			*in = &incident{}
		}
		(*in).persist(a, st.former)
		st.groups[(*in).group] = *in
	})
	if a.Reading() && !st.former {
		st.wake()
	}
}

func (in *incident) persist(a *Archive, former bool) {
	in.Episode.Persist(a)
	a.Text(&in.group)
	a.Bool(&in.open)
	each := func(m *rollupMember) { m.persist(a, former) }
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
	a.PersistTexts(&in.ids)
	a.PersistTexts(&in.hosts)
	snapshot.Int(a.Codec, &in.firing)
	snapshot.Int(a.Codec, &in.told)
	snapshot.Int(a.Codec, &in.folded)
	for _, t := range []*int64{&in.last, &in.said, &in.due} {
		a.Time(t)
	}
}

func (m *rollupMember) persist(a *Archive, former bool) {
	a.Shared(&m.key)
	a.Shared(&m.id)
	a.Shared(&m.host)
	a.Time(&m.at)
	a.Time(&m.start)
	if !former {
		a.Bool(&m.ended)
	}
}

// persistFormer reads the incidents as releases wrote them that made them in
// each partition, to pass over them.
func (st *rollupState) persistFormer(a *Archive) {
	st.former = true
	st.Persist(a)
}
