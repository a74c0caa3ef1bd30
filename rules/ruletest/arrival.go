package ruletest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Arrival is one event of a test on its way.
type Arrival struct {
	At     int64
	time   int64
	number int
	set    map[string]strict.Node
	agent  string // Of a fleet.
	host   string

	clockOnly bool // Another session gets it; this one sees the clock only.
}

// Fill makes the event.
func (a *Arrival) Fill(e *event.Event) {
	e.Reset()
	e.Set(ecs.Timestamp, event.Time(a.time))
	if a.agent != "" {
		e.SetString(ecs.AgentID, a.agent)
		e.SetString(ecs.HostName, a.host)
	}
	for _, name := range slices.Sorted(maps.Keys(a.set)) {
		// The values were checked when the set was compiled.
		_ = spec.SetField(e, name, a.set[name], a.number)
	}
}

// arrivals lists the test's events in the order in which they arrive.
func Arrivals(t *spec.TestCase, start int64) []Arrival {
	var list []Arrival
	for _, e := range t.Events {
		count, every := 1, time.Duration(0)
		if e.Repeat != nil {
			count, every = e.Repeat.Count, e.Repeat.Every
		}
		for n := range count {
			at := start + int64(e.At) + int64(n)*int64(every)
			when := at
			if e.Time != nil {
				when = start + int64(*e.Time) + int64(n)*int64(every)
			}
			list = append(list, Arrival{At: at, time: when, number: n + 1, set: e.Set})
		}
	}
	for i := range t.Fleet {
		list = append(list, fleetArrivals(&t.Fleet[i], start)...)
	}
	slices.SortStableFunc(list, byArrival)
	return list
}

func byArrival(a, b Arrival) int { return cmp.Compare(a.At, b.At) }

func fleetArrivals(f *spec.TestFleet, start int64) []Arrival {
	var list []Arrival
	for n := 1; n <= f.Agents; n++ {
		phase := int64(f.Every) * int64(n-1) / int64(f.Agents)
		for at := int64(f.From) + phase; at <= int64(f.Until); at += int64(f.Every) {
			if stopped(f, n, at) {
				continue
			}
			list = append(list, Arrival{
				At: start + at, time: start + at, number: n, set: f.Set,
				agent: fmt.Sprintf("%sagent-%d", f.Prefix, n), host: fmt.Sprintf("%shost-%d", f.Prefix, n),
			})
		}
	}
	return list
}

// stopped reports whether an agent is silent at a time.
func stopped(f *spec.TestFleet, n int, at int64) bool {
	for i := range f.Stop {
		s := &f.Stop[i]
		first, last, _ := s.Range(f.Agents)
		if n >= first && n <= last && at >= int64(s.At) && (s.Until == nil || at < int64(*s.Until)) {
			return true
		}
	}
	return false
}
