package rules

import (
	"maps"
	"slices"
)

// openAlert is an alert that has begun and not ended.
type openAlert struct {
	episode  *episode
	key      string
	entity   *entity
	hosts    []string
	incident bool // Of a rollup.
	scope    string
}

// farewell ends the open alerts of a rule that goes: nobody else would, and
// they would stay open downstream for ever.
func (s *Session) farewell(place int, why string) {
	r := s.set.rules[place]
	end := func(o openAlert) {
		if o.episode.severity == "" {
			return // It was never written.
		}
		s.raise(r, o.episode, &alert{
			at: s.now, status: "resolved", key: o.key, entity: o.entity, hosts: o.hosts, hostsTotal: len(o.hosts),
			incident: o.incident, scope: o.scope, reason: why, evidence: []pair{{"withdrawn", "true"}},
		})
	}
	s.states[place].open(end)
	if fold := s.rollups[place]; fold != nil {
		fold.open(end)
	}
}

// each calls a function for every key, the one that was not used for longest
// first.
func (k *keyed[T]) each(do func(key string, data *T)) {
	for e := k.oldest; e != nil; e = e.newer {
		do(e.key, &e.data)
	}
}

func (k *dataKey) open(end func(openAlert), key string, agent *entity) {
	if k.missing {
		end(openAlert{episode: &k.gone, key: key, entity: agent})
	}
}

func (st *matchState) open(end func(openAlert)) {
	st.table.each(func(key string, k *matchKey) {
		if k.firing {
			end(openAlert{episode: &k.episode, key: key, entity: k.entity})
		}
		k.dataKey.open(end, key, k.entity)
	})
}

func (st *thresholdState) open(end func(openAlert)) {
	st.table.each(func(key string, k *thresholdKey) {
		if k.firing {
			end(openAlert{episode: &k.episode, key: key, entity: k.entity(st.r), hosts: k.names()})
		}
	})
}

func (st *valueCountState) open(end func(openAlert)) {
	st.table.each(func(key string, k *valueCountKey) {
		if k.firing {
			end(openAlert{episode: &k.episode, key: key, entity: k.entity(st.r), hosts: k.names()})
		}
	})
}

func (st *bucketState) open(end func(openAlert)) {
	st.table.each(func(key string, k *bucketKey) {
		if k.firing {
			end(openAlert{episode: &k.episode, key: key, entity: k.entity(st.r), hosts: k.names()})
		}
	})
}

func (st *metricState) open(end func(openAlert)) {
	st.table.each(func(key string, k *metricKey) {
		if k.firing {
			end(openAlert{episode: &k.episode, key: key, entity: k.entity(st.r), hosts: k.names()})
		}
		k.dataKey.open(end, key, k.entity(st.r))
	})
}

func (st *silenceState) open(end func(openAlert)) {
	st.table.each(func(key string, k *silenceKey) {
		if k.firing {
			end(openAlert{episode: &k.episode, key: key, entity: k.entity})
		}
	})
	for _, key := range slices.Sorted(maps.Keys(st.cohorts)) {
		if c := st.cohorts[key]; c.firing {
			end(openAlert{episode: &c.episode, key: c.key, scope: "cohort"})
		}
	}
}

func (o *occurrences) open(end func(openAlert)) {
	o.table.each(func(key string, k *occurrence) {
		end(openAlert{episode: &k.episode, key: key, entity: k.entity, hosts: k.hosts})
	})
}

func (st *sequenceState) open(end func(openAlert)) { st.found.open(end) }
func (st *changeState) open(end func(openAlert))   { st.found.open(end) }
func (st *newTermsState) open(end func(openAlert)) { st.found.open(end) }
func (st *anomalyState) open(end func(openAlert))  { st.found.open(end) }
func (st *spikeState) open(end func(openAlert))    { st.found.open(end) }
func (st *bucketMetric) open(end func(openAlert))  { st.found.open(end) }

func (st *rollupState) open(end func(openAlert)) {
	for _, group := range slices.Sorted(maps.Keys(st.groups)) {
		if in := st.groups[group]; in.open {
			end(openAlert{episode: &in.episode, key: in.group, hosts: in.hosts, incident: true, scope: st.scope()})
		}
	}
}

// What the fleet's judge found goes on when a rule about it goes: the judge
// tells the next rule of it.
func (st *fleetState) open(func(openAlert)) {}
func (w *fleetWatch) open(func(openAlert))  {}
func (noState) open(func(openAlert))        {}
