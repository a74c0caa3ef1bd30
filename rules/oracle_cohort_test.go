package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// cohortSpec is the cohort of a silence rule, by agent.type.
type cohortSpec struct {
	least, silent int64
	percent       float64
	within        int64
	timesUsual    float64
}

func (s *cohortSpec) yaml() string {
	return fmt.Sprintf("cohort: {by: [agent.type], min_agents: %d, min_silent: %d, percent: %v, within: %dms, times_usual: %v}\nscope: cohort\n",
		s.least, s.silent, s.percent, s.within/1e6, s.timesUsual)
}

// troop is what the oracle knows of one cohort.
type troop struct {
	since, stretch int64
	fresh          int64 // Of the stretch.
	usual          float64
	past           int
	firing         bool
	start          int64
	told, toldAt   int64
}

// trooper is an agent of one.
type trooper struct {
	silentAgent
	troop  *troop // nil for none.
	name   string // Of the troop.
	silent bool
	fell   int64 // When.
}

// parade is the whole feed as the oracle sees it.
type parade struct {
	r      *oracleRule
	types  map[string]string // What is known of agents.
	agents map[string]*trooper
	troops map[string]*troop
	alerts []oracleAlert
	clock  int64
}

// count tells how many of a troop are silent, and of how many.
func (p *parade) count(t *troop) (silent, all int64) {
	for _, a := range p.agents {
		if a.troop == t {
			all++
			if a.silent {
				silent++
			}
		}
	}
	return silent, all
}

func (p *parade) say(t *troop, name string, at int64, status string) {
	n, all := p.count(t)
	t.told, t.toldAt = n, at
	p.alerts = append(p.alerts, oracleAlert{at: at, status: status, key: name, start: t.start, count: n, more: fmt.Sprintf("of %d", all)})
}

// stretches closes those that are over.
func (t *troop) stretches(now, within int64) {
	for ; t.stretch < (now-t.since)/within; t.stretch++ {
		if !t.firing {
			n := float64(t.fresh)
			if t.past > 0 {
				n = min(n, t.usual+2*math.Sqrt(t.usual)+1)
			}
			t.past++
			t.usual += (n - t.usual) / float64(min(t.past, 10))
		}
		t.fresh = 0
	}
}

// missing takes an agent that has become silent.
func (p *parade) missing(a *trooper, at int64) {
	s, t := p.r.silence.cohort, a.troop
	if t == nil {
		return
	}
	a.silent, a.fell = true, at
	t.stretches(at, s.within)
	if t.firing {
		if n, _ := p.count(t); float64(n) >= 1.25*float64(t.told) && at-t.toldAt >= 60*secondNS {
			p.say(t, a.name, at, "firing")
		}
		return
	}
	for _, other := range p.agents {
		if other.troop == t && other.silent && other.fell <= at-s.within {
			other.troop, other.silent = nil, false
		}
	}
	t.fresh++
	n, all := p.count(t)
	share := s.percent / 100 * float64(all)
	if t.past == 0 {
		share *= 3
	} else if t.past < 3 {
		share *= 2
	}
	if all < s.least || n < s.silent || float64(n) < share || float64(n) < s.timesUsual*t.usual+4*math.Sqrt(t.usual+1) {
		return
	}
	t.firing, t.start = true, at
	for _, other := range p.agents {
		if other.troop == t && other.silent {
			t.start = min(t.start, other.heard)
		}
	}
	p.say(t, a.name, at, "firing")
}

// back ends an alert when few are silent still.
func (p *parade) back(t *troop, name string, now int64) {
	n, all := p.count(t)
	if !t.firing || float64(n) >= p.r.silence.cohort.percent/200*float64(all) {
		return
	}
	t.firing = false
	p.say(t, name, now, "resolved")
	for _, a := range p.agents {
		if a.troop == t && a.silent {
			a.troop, a.silent = nil, false
		}
	}
}

func (p *parade) pass(now int64) {
	counts := min(now-p.clock, p.r.silence.after/2)
	begin := now - counts
	due := func(a *trooper) int64 { return begin + a.wait - a.quiet }
	var over []string
	for key, a := range p.agents {
		if a.watched && !a.reported && due(a) <= now {
			over = append(over, key)
		}
	}
	slices.SortFunc(over, func(x, y string) int { return int(due(p.agents[x]) - due(p.agents[y])) })
	for _, key := range over {
		a := p.agents[key]
		a.reported = true
		p.missing(a, due(a))
	}
	for _, a := range p.agents {
		a.quiet += counts
	}
	p.clock = now
}

func predictCohort(r *oracleRule, events []oracleEvent, end int64) []oracleAlert {
	p := &parade{r: r, types: map[string]string{}, agents: map[string]*trooper{}, troops: map[string]*troop{}, clock: events[0].now}
	w := &silenceWorld{r: r}
	for _, e := range events {
		p.pass(e.now)
		if e.agent != "" && e.typ != "" {
			p.types[e.agent] = e.typ
		}
		key, ok := r.key(&e)
		if !ok {
			continue
		}
		a := p.agents[key]
		if e.action == r.action && !r.excepts(&e) {
			if a == nil {
				a = &trooper{}
				p.agents[key] = a
			}
			if a.silent {
				a.silent = false
				p.back(a.troop, a.name, e.now)
			}
			if a.watched {
				switch {
				case a.usual == 0:
					a.usual = max(a.quiet, 1)
				case a.quiet < a.usual:
					a.usual += (a.quiet - a.usual) / 2
				case a.quiet <= w.tolerance(&a.silentAgent):
					a.usual += (a.quiet - a.usual) / 8
				}
			}
			a.watched, a.reported, a.heard, a.quiet = true, false, e.now, 0
			a.wait = w.tolerance(&a.silentAgent)
			name := e.typ
			if name == "" {
				name = p.types[e.agent]
			}
			if name == "" {
				name = "unknown"
			}
			if r.silence.multiple == 0 || a.usual > 0 {
				if p.troops[name] == nil {
					p.troops[name] = &troop{since: e.now}
				}
				a.troop, a.name = p.troops[name], name
			}
		}
		if s := &r.silence; a != nil && e.action == s.goodbye && (s.farewell == "" || e.process == s.farewell) {
			t := a.troop
			a.watched, a.silent, a.troop = false, false, nil
			if t != nil {
				p.back(t, a.name, e.now)
			}
		}
	}
	p.pass(end)
	slices.SortStableFunc(p.alerts, func(a, b oracleAlert) int { return strings.Compare(a.key, b.key) })
	return p.alerts
}

// drawCohort draws a rule about many agents, and a fleet of which parts fall
// silent now and then.
func drawCohort(r *rand.Rand, n int) (*oracleRule, []oracleEvent) {
	x := &oracleRule{typ: "silence", action: "error", lateness: 600 * secondNS}
	x.groupBy = pick(r, nil, nil, nil, []string{"entity", "process.name?"})
	after := int64(4 + r.IntN(12))
	x.silence = silenceSpec{after: after * 30 * secondNS, cohort: &cohortSpec{
		least: int64(2 + r.IntN(5)), silent: int64(2 + r.IntN(3)), percent: float64(5 + 5*r.IntN(6)), within: int64(2+r.IntN(30)) * 30 * secondNS, timesUsual: pick(r, 0.1, 0.5, 2),
	}}
	if r.IntN(3) == 0 {
		x.silence.multiple = float64(3+r.IntN(10)) / 2
	}
	if r.IntN(3) == 0 {
		x.silence.goodbye = "sensor-stopped"
	}
	agents := 10 + r.IntN(15)
	until := make([]int64, agents) // Silent.
	now := start
	var list []oracleEvent
	for range 6 * n {
		now += int64(r.IntN(int(after*60)/agents+1)) * secondNS
		if r.IntN(60) == 0 {
			from, back := r.IntN(agents), now+int64(r.IntN(int(after)*120))*secondNS
			for i := from; i < agents-r.IntN(3); i++ {
				until[i] = back
			}
		}
		i := r.IntN(agents)
		e := oracleEvent{now: now, at: now, agent: fmt.Sprintf("b%02d", i), typ: pick(r, "x", "x", "", pick(r, "x", "y")), action: "error", process: pick(r, "", "", "p1")}
		switch {
		case now < until[i] && r.IntN(20) == 0:
			e.action = "sensor-stopped"
		case now < until[i]:
			e.agent, e.action = "probe", "inventory"
		}
		list = append(list, e)
	}
	return x, list
}

func TestCohortAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	total := 0
	for i := range uint64(100) {
		_, n := againstOracle(t, dict, drawCohort, 8, i, 60)
		total += n
	}
	if total < 150 {
		t.Errorf("only %d alerts, the test shows little", total)
	}
}

// FuzzCohortAgainstOracle draws rules about cohorts and fleets from seeds.
func FuzzCohortAgainstOracle(f *testing.F) {
	dict := dictionary(f)
	f.Add(uint64(1), uint64(2), uint8(60))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracle(t, dict, drawCohort, a, b, int(n)+1) })
}
