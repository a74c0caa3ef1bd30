package rules

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/load"
	"github.com/edrwatch/edrwatch/rules/ruletest"
)

// realisticRules are rules as a large installation has them: those of the
// library, over and over, each copy narrowed to a vendor, a site, a ring or some
// hosts, so that hardly any matches.
func realisticRules(tb testing.TB, dict *ecs.Dictionary, n int) *Ruleset {
	tb.Helper()
	library, err := Parse(Library())
	if err != nil {
		tb.Fatal(err)
	}
	sources := library.Sources()
	var taken []load.Source
	stride := 7 // So that ten are of all folders, and a thousand of all rules.
	for len(sources)%stride == 0 {
		stride += 2
	}
	for i := 0; len(taken) < n; i++ {
		src := sources[i*stride%len(sources)]
		scope := []string{
			`agent.type == "vendor-%d"`, `edr.site == "site-%d"`, `edr.rollout.ring in ["ring-%d", "early"]`, `host.name startsWith "dept-%d-"`,
			`agent.version startsWith "9.%d."`, `like(host.name, "*-%d.lab")`, `host.name contains "-%d-vip"`, `edr.content.version == "%d"`,
		}[i%8]
		copied, err := library.Declare(src.Node)
		if err == nil {
			err = src.Node.Decode(copied)
		}
		if err != nil {
			tb.Fatal(err)
		}
		h := copied.Shared()
		h.ID, h.Name = fmt.Sprintf("00000000-0000-4000-8000-%012d", i), fmt.Sprintf("%s %d", h.Name, i)
		h.Tests, h.Exceptions = nil, nil
		if !narrow(copied, fmt.Sprintf(scope, i)) {
			continue // It judges what the fleet's judge finds.
		}
		taken = append(taken, load.Source{File: src.File, Node: src.Node, Decl: copied})
	}
	set, err := library.With(taken...).Compile(dict)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// narrow adds a term to all conditions of a rule; false where it has none.
func narrow(d engine.Declaration, term string) (narrowed bool) {
	var walk func(v reflect.Value, key string)
	walk = func(v reflect.Value, key string) {
		if v.Type() == reflect.TypeFor[strict.Text]() {
			text := v.Addr().Interface().(*strict.Text)
			if key == "condition" && (text.Value != "" || d.Shared().Type != "silence") { // Without, it is about what the fleet's judge finds.
				narrowed = true
				if text.Value == "" {
					text.Value = term
				} else {
					text.Value = term + " and (" + text.Value + ")"
				}
			}
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() {
					name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
					walk(v.Field(i), name)
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i), key)
			}
		default:
		}
	}
	walk(reflect.ValueOf(d).Elem(), "")
	return narrowed
}

// storedEvent is an event as a list of fields, to be set in another that is used
// again as the gateway does: with a thousand events the memory that they take
// would be what is measured.
type storedEvent []storedField

type storedField struct {
	id    ecs.ID
	value event.Value
}

func store(e *event.Event) (list storedEvent) {
	for id, v := range e.Fields {
		if id != ecs.Timestamp { // The session takes its clock.
			list = append(list, storedField{id, *v})
		}
	}
	return list
}

func (list storedEvent) fill(e *event.Event) {
	e.Reset()
	for i := range list {
		e.Set(list[i].id, list[i].value)
	}
}

// realisticEvents are the events of all tests of the library, each once, and
// among every ten of a feed nine heartbeats and readings of 200 agents.
func realisticEvents(tb testing.TB, dict *ecs.Dictionary) (list []storedEvent) {
	tb.Helper()
	library, err := Parse(Library())
	if err != nil {
		tb.Fatal(err)
	}
	var usual []storedEvent
	for _, e := range benchEvents(dict)[:400] {
		usual = append(usual, store(e))
	}
	for _, src := range library.Sources() {
		for t := range src.Decl.Shared().Tests {
			arrivals := ruletest.Arrivals(&src.Decl.Shared().Tests[t], start)
			if len(arrivals) == 0 {
				continue
			}
			for range 9 {
				list = append(list, usual[len(list)*7%len(usual)])
			}
			e := event.New(dict)
			arrivals[0].Fill(e)
			list = append(list, store(e))
		}
	}
	return list
}

// BenchmarkRealisticRules measures what a thousand rules of the library's shapes
// cost beside ten, on mixed events of all vendors.
func BenchmarkRealisticRules(b *testing.B) {
	dict := dictionary(b)
	events := realisticEvents(b, dict)
	for _, n := range []int{0, 10, 100, 1000} {
		set := compileRules(b, dict, ruleYAML(1, "match", `condition: event.action == "error" and agent.type == "none"`))
		if n > 0 {
			set = realisticRules(b, dict, n)
		}
		s := set.NewSession(SessionOptions{})
		now, alerts, seen := int64(1_700_000_000_000_000_000), 0, 0
		emit := func(*event.Event) { alerts++ }
		e := event.New(dict) // One that is used again, as the gateway does.
		one := func() {
			events[seen%len(events)].fill(e)
			s.Detect(now, e, emit)
			now += 1e6
			seen++
		}
		for range 2 * len(events) {
			one()
		}
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				one()
			}
			b.StopTimer()
			s.Publish()
			var candidates, matches uint64
			for _, c := range set.Counters() {
				candidates += c.Candidates
				matches += c.Matches
			}
			b.ReportMetric(float64(candidates)/float64(seen), "candidates/event")
			b.ReportMetric(float64(matches)/float64(seen), "matches/event")
		})
		if alerts > seen/100 {
			b.Errorf("%d alerts in %d events: what is measured is writing them", alerts, seen)
		}
	}
}
