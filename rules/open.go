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
	end := func(o openAlert) { s.withdraw(r, o, why) }
	s.states[place].open(end)
	if fold := s.rollups[place]; fold != nil {
		fold.open(end)
	}
	s.shortages.end(place, end)
}

// withdraw ends an alert about which nothing will be known any more.
func (s *Session) withdraw(r *Rule, o openAlert, why string) {
	if o.episode.severity == "" {
		return // It was never written.
	}
	s.raise(r, o.episode, &alert{
		at: s.now, status: "resolved", key: o.key, entity: o.entity, hosts: o.hosts, hostsTotal: len(o.hosts),
		incident: o.incident, scope: o.scope, reason: why, evidence: []pair{{"withdrawn", "true"}},
	})
}

// openIn calls end for the open alerts of all keys.
func openIn[T any, M memory[T]](k *keyed[T], r *Rule, end func(openAlert)) {
	for e := range k.all() {
		M(&e.data).open(end, e.key, r)
	}
}

func (k *dataKey) open(end func(openAlert), key string, agent *entity) {
	if k.missing {
		end(openAlert{episode: &k.gone, key: key, entity: agent})
	}
}

func (k *matchKey) open(end func(openAlert), key string, _ *Rule) {
	if k.firing {
		end(openAlert{episode: &k.episode, key: key, entity: k.entity})
	}
	k.dataKey.open(end, key, k.entity)
}

// openOf calls end for an episode that is about somebody.
func (w *subjects) openOf(firing bool, ep *episode, end func(openAlert), key string, r *Rule) {
	if firing {
		end(openAlert{episode: ep, key: key, entity: w.entity(r), hosts: w.names()})
	}
}

func (k *thresholdKey) open(end func(openAlert), key string, r *Rule) {
	k.openOf(k.firing, &k.episode, end, key, r)
}

func (k *valueCountKey) open(end func(openAlert), key string, r *Rule) {
	k.openOf(k.firing, &k.episode, end, key, r)
}

func (k *bucketKey) open(end func(openAlert), key string, r *Rule) {
	k.openOf(k.firing, &k.episode, end, key, r)
}

func (k *metricKey) open(end func(openAlert), key string, r *Rule) {
	k.openOf(k.firing, &k.episode, end, key, r)
	k.dataKey.open(end, key, k.entity(r))
}

func (k *silenceKey) open(end func(openAlert), key string, _ *Rule) {
	if k.firing {
		end(openAlert{episode: &k.episode, key: key, entity: k.entity})
	}
}

func (k *occurrence) open(end func(openAlert), key string, _ *Rule) {
	end(openAlert{episode: &k.episode, key: key, entity: k.entity, hosts: k.hosts})
}

// Their alerts are those of occurrences.
func (k *sequenceKey) open(func(openAlert), string, *Rule)     {}
func (k *changeKey) open(func(openAlert), string, *Rule)       {}
func (k *newTermsKey) open(func(openAlert), string, *Rule)     {}
func (k *anomalyKey) open(func(openAlert), string, *Rule)      {}
func (k *spikeKey) open(func(openAlert), string, *Rule)        {}
func (k *bucketMetricKey) open(func(openAlert), string, *Rule) {}

func (st *matchState) open(end func(openAlert))      { openIn(st.table, st.rule(), end) }
func (st *thresholdState) open(end func(openAlert))  { openIn(st.table, st.rule(), end) }
func (st *valueCountState) open(end func(openAlert)) { openIn(st.table, st.rule(), end) }
func (st *bucketState) open(end func(openAlert))     { openIn(st.table, st.rule(), end) }
func (st *metricState) open(end func(openAlert))     { openIn(st.table, st.rule(), end) }
func (o *occurrences) open(end func(openAlert))      { openIn(o.table, o.rs.rule(), end) }

func (st *silenceState) open(end func(openAlert)) {
	openIn(st.table, st.rule(), end)
	for _, key := range slices.Sorted(maps.Keys(st.cohorts)) {
		if c := st.cohorts[key]; c.firing {
			end(openAlert{episode: &c.episode, key: c.key, scope: "cohort"})
		}
	}
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
