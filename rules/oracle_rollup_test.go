package rules

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// rollupSpec is a rollup as an oracle sees it.
type rollupSpec struct {
	by     []string // agent.type, host.type
	over   int
	within int64
}

func (s *rollupSpec) yaml() string {
	return fmt.Sprintf("rollup: {by: [%s], over: %d, within: %dms}", strings.Join(s.by, ", "), s.over, s.within/1e6)
}

// storm folds the alerts of all keys of a rule into incidents: where steps are
// closed, by what was told in them. What is open then is known until the next.
type storm struct {
	r      *oracleRule
	agents map[string]oracleEvent // What the records of each have told last.
	groups map[string]*stormGroup
	firing map[string]stormAlert // The open alerts of keys.
	open   map[string]stormOpen  // Incidents that were open when a step was closed last.
	told   []stormTold
	over   map[stormMember]bool // Members whose alerts have ended, as was told.
	said   []oracleAlert
}

type stormOpen struct {
	label string
	start int64
}

// stormTold is that the alert of an agent began or ended.
type stormTold struct {
	stormMember
	name string
	ends bool
}

type stormGroup struct {
	name    string
	open    bool
	began   []stormMember // Within the window, until it is open.
	members []stormMember
	label   string
	start   int64
	last    int64 // When the last member began.
	told    int
	toldAt  int64
	look    int64
}

type stormAlert struct {
	oracleAlert
	agent string
}

type stormMember struct {
	key, agent string
	at, start  int64
}

func (s *storm) heard(e *oracleEvent) {
	if e.agent == "" {
		return
	}
	known := s.agents[e.agent]
	if e.typ != "" {
		known.typ = e.typ
	}
	if e.hostType != "" {
		known.hostType = e.hostType
	}
	s.agents[e.agent] = known
}

func (s *storm) group(agent string) string {
	var parts []string
	for _, name := range s.r.rollup.by {
		parts = append(parts, map[string]string{"agent.type": s.agents[agent].typ, "host.type": s.agents[agent].hostType}[name])
	}
	return strings.Join(parts, " | ")
}

// different counts agents.
func different(members []stormMember) int {
	agents := map[string]bool{}
	for _, m := range members {
		agents[m.agent] = true
	}
	return len(agents)
}

func (s *storm) tell(g *stormGroup, at int64, status string) {
	n := different(g.members)
	g.told, g.toldAt = n, at
	s.said = append(s.said, oracleAlert{at: at, status: status, key: g.name, start: g.start, count: int64(n), more: "incident"})
}

// document takes a document of a key in; agent is whom it is about.
func (s *storm) document(a oracleAlert, agent string) {
	name := s.group(agent)
	if a.status == "resolved" {
		first := s.firing[a.key]
		delete(s.firing, a.key)
		a.more, _, _ = strings.Cut(first.more, " ")
		if in, ok := s.open[name]; ok && (first.start >= in.start || a.more == "info") {
			a.more += " in " + in.label
		}
		s.told = append(s.told, stormTold{stormMember{a.key, first.agent, first.at, first.start}, name, true})
		s.told[len(s.told)-1].at = a.at
		s.said = append(s.said, a)
		return
	}
	a.more = "low"
	if in, ok := s.open[name]; ok {
		a.more = "info in " + in.label
	}
	s.told = append(s.told, stormTold{stormMember{a.key, agent, a.at, a.start}, name, false})
	if !s.r.endless() {
		s.firing[a.key] = stormAlert{a, agent}
	}
	s.said = append(s.said, a)
}

// close closes a step.
func (s *storm) close(now int64) {
	s.looks(now)
	slices.SortStableFunc(s.told, func(a, b stormTold) int {
		ends := map[bool]int{true: 1}
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.agent, b.agent), cmp.Compare(ends[a.ends], ends[b.ends]), strings.Compare(a.key, b.key))
	})
	for _, t := range s.told {
		s.take(t, now)
	}
	s.told = nil
	s.open = map[string]stormOpen{}
	for name, g := range s.groups {
		if g.open {
			s.open[name] = stormOpen{g.label, g.start}
		}
	}
}

func (s *storm) take(t stormTold, now int64) {
	same := func(m stormMember) bool { return m.key == t.key && m.start == t.start }
	if t.ends {
		for _, g := range s.groups {
			for _, m := range append(slices.Clone(g.members), g.began...) {
				if same(m) {
					s.over[m] = true
				}
			}
		}
		return
	}
	g := s.groups[t.name]
	if g == nil {
		g = &stormGroup{name: t.name}
		s.groups[t.name] = g
	}
	g.last = t.at
	if g.open {
		g.members = slices.DeleteFunc(g.members, func(o stormMember) bool { return o.key == t.key })
		g.members = append(g.members, t.stormMember)
		if n := different(g.members); n >= g.told+max(g.told/4, 1) && now-g.toldAt >= 60*secondNS {
			s.tell(g, now, "firing")
		}
		return
	}
	g.began = slices.DeleteFunc(g.began, func(o stormMember) bool { return o.key == t.key || o.at <= t.at-s.r.rollup.within })
	g.began = append(g.began, t.stormMember)
	if different(g.began) < s.r.rollup.over {
		return
	}
	g.open, g.members, g.look = true, g.began, now+s.r.rollup.within
	g.began, g.start = nil, t.start
	for _, m := range g.members {
		g.start = min(g.start, m.start)
	}
	g.label = fmt.Sprintf("%s@%d", t.name, now)
	s.tell(g, now, "firing")
}

// looks ends the incidents that are over by a time.
func (s *storm) looks(now int64) {
	for _, name := range sortedKeys(s.groups) {
		g := s.groups[name]
		for g.open && g.look <= now {
			at, firing := g.look, 0
			for _, m := range g.members {
				if !s.over[m] {
					firing++
				}
			}
			switch quiet := g.last + s.r.rollup.within; {
			case quiet > at:
				g.look = quiet
			case s.r.endless() || 2*firing < len(g.members):
				s.tell(g, at, "resolved")
				g.open = false
				delete(s.groups, name)
			default:
				g.look += s.r.rollup.within
			}
		}
	}
}

// endless reports whether alerts of the rule have no end.
func (r *oracleRule) endless() bool {
	return r.keep == 0 && r.suppress == 0 && (r.typ == "match" && r.hold == 0 || r.typ == "change" || r.typ == "new_terms")
}

// predictRollup runs the oracles of all keys side by side.
func predictRollup(r *oracleRule, events []oracleEvent, end int64) []oracleAlert {
	keys, agents := map[string]*oracle{}, map[string]string{}
	s := &storm{r: r, agents: map[string]oracleEvent{}, groups: map[string]*stormGroup{}, firing: map[string]stormAlert{}, over: map[stormMember]bool{}}
	collect := func() {
		var fresh []oracleAlert
		for _, key := range sortedKeys(keys) {
			fresh = append(fresh, keys[key].alerts...)
			keys[key].alerts = nil
		}
		slices.SortStableFunc(fresh, func(a, b oracleAlert) int { return int(a.at - b.at) })
		for _, a := range fresh {
			s.document(a, agents[a.key])
		}
	}
	pass := func(now int64) {
		for _, key := range sortedKeys(keys) {
			keys[key].pass(now)
		}
		collect()
	}
	ticks := closings(events, end)
	reach := func(now int64) {
		for ; len(ticks) > 0 && ticks[0] <= now; ticks = ticks[1:] {
			pass(ticks[0])
			s.close(ticks[0])
		}
		pass(now)
	}
	for _, e := range events {
		e.at = min(e.at, e.now)
		reach(e.now)
		s.heard(&e)
		key, ok := r.key(&e)
		if !ok || e.at < e.now-r.lateness && (r.typ != "match" || r.hold > 0) {
			continue
		}
		if keys[key] == nil {
			keys[key] = &oracle{r: r, key: key, settled: never, used: never, judged: never, raised: never}
		}
		agents[key] = e.agent
		keys[key].see(e)
		collect()
	}
	reach(end)
	slices.SortStableFunc(s.said, func(a, b oracleAlert) int { return strings.Compare(a.key, b.key) })
	return s.said
}

// drawStorm draws a rule with a rollup and a stream of a small fleet.
func drawStorm(r *rand.Rand, n int) (*oracleRule, []oracleEvent) {
	x := randomRule(r)
	for !slices.Contains([]string{"match", "threshold", "value_count", "change", "new_terms"}, x.typ) || x.field == "entity" || x.hold > 0 {
		x = randomRule(r)
	}
	x.groupBy = pick(r, nil, nil, []string{"entity", "process.name?"})
	x.low, x.high, x.having = 2, never*-1, "gte: 2"
	x.rollup = &rollupSpec{by: pick(r, []string{"agent.type"}, []string{"host.type"}, []string{"agent.type", "host.type"}, []string{}), over: 2 + r.IntN(3), within: int64(2+r.IntN(30)) * 30 * secondNS}
	events := randomStream(r, x, 2*n)
	for i := range events {
		e := &events[i]
		if e.agent != "" {
			e.agent = fmt.Sprintf("b%d", r.IntN(9))
		}
		e.hostType = pick(r, "", "", "", "", "", "", "server", "workstation")
	}
	return x, events
}

func TestRollupAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	total := 0
	for i := range uint64(200) {
		_, n := againstOracle(t, dict, drawStorm, 6, i, 60)
		total += n
	}
	if total < 200 {
		t.Errorf("only %d alerts, the test shows little", total)
	}
}

// FuzzRollupAgainstOracle draws rules with a rollup and streams from seeds.
func FuzzRollupAgainstOracle(f *testing.F) {
	dict := dictionary(f)
	f.Add(uint64(1), uint64(2), uint8(60))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracle(t, dict, drawStorm, a, b, int(n)+1) })
}
