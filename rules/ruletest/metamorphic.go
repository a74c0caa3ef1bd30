package ruletest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
)

// Metamorphic runs change how the events of a test reach the rule in ways that
// its semantics do not care about, and expect the same alerts. The idea is that
// of metamorphic testing (Chen et al., 1998): no oracle but the rule itself.

// relation is one change of a run.
type relation struct {
	name string
	// applies reports whether the semantics of the rule promise the same alerts.
	applies func(r *engine.Rule) bool
	// differences runs the test changed and compares.
	differences func(m *metamorphosis) []string
}

func relations() []relation {
	return []relation{
		{"duplicated", func(r *engine.Rule) bool { return r.Traits().Copies }, (*metamorphosis).duplicated},
		{"shuffled within lateness", func(r *engine.Rule) bool { return r.Traits().Orderless }, (*metamorphosis).shuffled},
		{"split over two sessions", func(r *engine.Rule) bool {
			return r.Scope == "host" && !r.RolledUp() && r.ByEntity()
		}, (*metamorphosis).split},
		{"restarted", func(*engine.Rule) bool { return true }, (*metamorphosis).restarted},
		{"restored", func(*engine.Rule) bool { return true }, (*metamorphosis).restored},
	}
}

// metamorphosis is a test with its plain outcome.
type metamorphosis struct {
	set      *engine.Ruleset
	arrivals []Arrival
	end      int64
	session  engine.SessionOptions
	rewind   int64
	plain    []Raised
}

// run returns the differences of every relation that applies.
func (m *metamorphosis) run() []string {
	var list []string
	for _, rel := range relations() {
		if rel.applies(m.set.Rules()[0]) {
			for _, d := range rel.differences(m) {
				list = append(list, rel.name+": "+d)
			}
		}
	}
	return list
}

// duplicated hands in every event twice. What sinks store under one id counts
// once.
func (m *metamorphosis) duplicated() []string {
	var twice []Arrival
	for _, a := range m.arrivals {
		twice = append(twice, a, a)
	}
	return compare(document, m.plain, play(m.set, twice, m.end, nil, m.session, nil))
}

// shuffled delays every event by as much as its lateness leaves room for. When
// an episode begins depends on arrival, so whom alerts are about is compared.
func (m *metamorphosis) shuffled() []string {
	lateness := m.session.Lateness
	if lateness <= 0 {
		lateness = event.DefaultLateness
	}
	random := rand.New(rand.NewPCG(1, uint64(len(m.arrivals))))
	late := slices.Clone(m.arrivals)
	for i := range late {
		if room := int64(lateness) - (late[i].At - late[i].time); room > 0 {
			late[i].At += random.Int64N(room)
		}
	}
	slices.SortStableFunc(late, byArrival)
	// The plain run has to see as far as the delayed one.
	end := m.end + int64(lateness)
	inTime := slices.DeleteFunc(slices.Clone(m.arrivals), func(a Arrival) bool { return a.At > m.end })
	late = slices.DeleteFunc(late, func(a Arrival) bool { return a.time > m.end })
	return compare(subjectOf, play(m.set, inTime, end, nil, m.session, nil), play(m.set, late, end, nil, m.session, nil))
}

// split gives the records of half of the hosts to one session and the others to
// another, each of which sees the clock of both.
func (m *metamorphosis) split() []string {
	shards := m.shards()
	var got []Raised
	for shard := range 2 {
		list := slices.Clone(m.arrivals)
		for i := range list {
			list[i].clockOnly = shards[i] != shard
		}
		got = append(got, play(m.set, list, m.end, nil, m.session, nil)...)
	}
	return compare(document, m.plain, got)
}

// shards puts events that share an agent or a host into the same of two shards.
func (m *metamorphosis) shards() []int {
	group := map[string]string{} // Name → one that stands for its group.
	find := func(name string) string {
		for group[name] != "" && group[name] != name {
			name = group[name]
		}
		return name
	}
	names := make([]string, len(m.arrivals))
	e := event.New(m.set.Dictionary())
	for i := range m.arrivals {
		m.arrivals[i].Fill(e)
		for _, name := range []string{
			"agent " + e.Str(ecs.AgentID), "host " + string(engine.AppendShortHost(nil, e.Str(ecs.HostName))), "id " + e.Str(ecs.HostID),
		} {
			switch {
			case strings.HasSuffix(name, " "):
			case names[i] == "":
				names[i] = name
			default:
				group[find(name)] = find(names[i])
			}
		}
	}
	shards, number := make([]int, len(names)), map[string]int{}
	for i, name := range names {
		root := find(name)
		if _, ok := number[root]; !ok {
			number[root] = len(number)
		}
		shards[i] = number[root] % 2
	}
	return shards
}

// restarted loses the session after a quarter, half and three quarters of the
// events and begins a new one from records: all of them, or those of the time
// that was asked for. What was raised before comes again with the same ids.
func (m *metamorphosis) restarted() []string {
	var differences []string
	for _, quarter := range []int{1, 2, 3} {
		if len(m.arrivals) == 0 {
			break
		}
		cut := m.arrivals[(len(m.arrivals)-1)*quarter/4].At
		again := slices.DeleteFunc(slices.Clone(m.arrivals), func(a Arrival) bool { return m.rewind > 0 && a.At < cut-m.rewind })
		after := func(list []Raised) []Raised {
			return slices.DeleteFunc(slices.Clone(list), func(r Raised) bool { return r.at <= cut })
		}
		for _, d := range compare(document, after(m.plain), after(play(m.set, again, m.end, nil, m.session, nil))) {
			differences = append(differences, fmt.Sprintf("after %d of %d events: %s", (len(m.arrivals)-1)*quarter/4+1, len(m.arrivals), d))
		}
	}
	return differences
}

// restored gives up the session whenever the clock has moved and after every
// event, and goes on with a new one that has taken its snapshot up. The fleet's
// judge, which is of all sessions, stays. The alerts are the same to the byte.
// In a long test a large state is given up less often, or the work would grow
// with the square of the agents.
func (m *metamorphosis) restored() []string {
	o := m.session
	if o.Fleet == nil {
		o.Fleet = fleet.New(fleet.DefaultConfig(), nil)
	}
	var failure error
	var snapshot []byte
	wait, moved := 0, restoredBytes/max(2*len(m.arrivals), 1)
	got := playOn(m.set.NewSession(o), m.arrivals, m.end, nil, nil, func(s *engine.Session) *engine.Session {
		if wait -= moved; wait > 0 || failure != nil {
			return s
		}
		snapshot, _ = s.AppendSnapshot(snapshot[:0])
		wait = len(snapshot)
		next := m.set.NewSession(o)
		if failure = next.Restore(snapshot); failure != nil {
			next.Close()
			return s
		}
		s.Close()
		return next
	})
	if failure != nil {
		return []string{failure.Error()}
	}
	differences := compare(document, m.plain, got)
	for i := range min(len(got), len(m.plain)) {
		if len(differences) == 0 && got[i].body != m.plain[i].body {
			differences = append(differences, fmt.Sprintf("%s is another one: %s, not %s", document(&got[i]), got[i].body, m.plain[i].body))
		}
	}
	return differences
}

// restoredBytes is how many bytes of snapshots one test takes up.
const restoredBytes = 1 << 20

// document identifies an alert document as a sink does.
func document(r *Raised) string {
	return fmt.Sprintf("alert %.12s %s at %s", r.id, r.status, time.Unix(0, r.at).UTC().Format(time.RFC3339))
}

// subjectOf identifies whom an alert is about.
func subjectOf(r *Raised) string { return "alert about " + r.key }

// maxDifferences is how many differences of one run are listed.
const maxDifferences = 5

// compare tells which alerts only one of two runs has.
func compare(name func(*Raised) string, want, got []Raised) []string {
	sides := map[string]int{}
	for i := range want {
		sides[name(&want[i])] |= 1
	}
	for i := range got {
		sides[name(&got[i])] |= 2
	}
	var list []string
	for _, alert := range slices.Sorted(maps.Keys(sides)) {
		switch sides[alert] {
		case 1:
			list = append(list, alert+" is missing")
		case 2:
			list = append(list, alert+" is new")
		}
	}
	if len(list) > maxDifferences {
		list = append(list[:maxDifferences], fmt.Sprintf("and %d differences more", len(list)-maxDifferences))
	}
	return list
}
