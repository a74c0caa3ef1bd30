package rules

import (
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

// storm folds the alerts of all keys of a rule, in the order in which they are
// raised, into incidents.
type storm struct {
	r      *oracleRule
	agents map[string]oracleEvent // What the records of each have told last.
	groups map[string]*stormGroup
	firing map[string]stormAlert // The open alerts of keys.
	said   []oracleAlert
}

type stormGroup struct {
	name    string
	open    bool
	began   []stormMember // Of late, until it is open.
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
	n, all := different(g.members), 0
	for agent := range s.agents {
		if s.group(agent) == g.name {
			all++
		}
	}
	g.told, g.toldAt = n, at
	s.said = append(s.said, oracleAlert{at: at, status: status, key: g.name, start: g.start, count: int64(n), more: fmt.Sprintf("incident of %d", max(all, n))})
}

// document takes a document of a key in; agent is whom it is about.
func (s *storm) document(a oracleAlert, agent string) {
	s.looks(a.at - 1)
	within := s.r.rollup.within
	if a.status == "resolved" {
		first := s.firing[a.key]
		delete(s.firing, a.key)
		a.more, _, _ = strings.Cut(first.more, " ")
		for _, g := range s.groups { // The incident may have begun later than the alert.
			if g.open && slices.Contains(g.members, stormMember{a.key, first.agent, first.at, first.start}) {
				a.more += " in " + g.label
			}
		}
		s.said = append(s.said, a)
		return
	}
	name := s.group(agent)
	g := s.groups[name]
	if g == nil {
		g = &stormGroup{name: name}
		s.groups[name] = g
	}
	g.last, a.more = a.at, "low"
	m := stormMember{a.key, agent, a.at, a.start}
	switch {
	case g.open:
		g.members = slices.DeleteFunc(g.members, func(o stormMember) bool { return o.key == a.key })
		g.members = append(g.members, m)
		if n := different(g.members); n >= g.told+max(g.told/4, 1) && a.at-g.toldAt >= 60*secondNS {
			s.tell(g, a.at, "firing")
		}
		a.more = "info in " + g.label
	default:
		g.began = slices.DeleteFunc(g.began, func(o stormMember) bool { return o.key == a.key || o.at <= a.at-within })
		g.began = append(g.began, m)
		if different(g.began) < s.r.rollup.over {
			break
		}
		g.open, g.members, g.look = true, g.began, a.at+within
		g.began, g.start = nil, a.start
		for _, m := range g.members {
			g.start = min(g.start, m.start)
		}
		g.label = fmt.Sprintf("%s@%d", name, a.at)
		s.tell(g, a.at, "firing")
		a.more = "low in " + g.label
	}
	if !s.r.endless() {
		s.firing[a.key] = stormAlert{a, agent}
	}
	s.said = append(s.said, a)
}

// looks ends the incidents that are over by a time.
func (s *storm) looks(now int64) {
	for _, name := range sortedKeys(s.groups) {
		g := s.groups[name]
		for g.open && g.look <= now {
			at, firing := g.look, 0
			for _, m := range g.members {
				if f, ok := s.firing[m.key]; ok && f.at == m.at && f.start == m.start {
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
	s := &storm{r: r, agents: map[string]oracleEvent{}, groups: map[string]*stormGroup{}, firing: map[string]stormAlert{}}
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
		s.looks(now)
	}
	for _, e := range events {
		e.at = min(e.at, e.now)
		pass(e.now)
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
	pass(end)
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
