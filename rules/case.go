package rules

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// testCase is a test case of a rule on a virtual clock.
type testCase struct {
	Name   string        `yaml:"name,required"`
	Clock  string        `yaml:"clock"` // Start; RFC 3339.
	Fleet  []testFleet   `yaml:"fleet"`
	Events []testEvent   `yaml:"events"`
	Expect []expectation `yaml:"expect,required"`
}

// testEvent is an event that arrives at a time, once or repeatedly. In its
// strings {n} stands for the number of the repetition, from 1.
type testEvent struct {
	At     offset                 `yaml:"at,required"`
	Time   *offset                `yaml:"time"` // @timestamp, where the event arrives later than it happened.
	Repeat *repeat                `yaml:"repeat"`
	Set    map[string]strict.Node `yaml:"set,required"`
}

// repeat repeats an event.
type repeat struct {
	Count int           `yaml:"count,required"`
	Every time.Duration `yaml:"every"`
}

// testFleet is agents that send the same event at an interval, evenly spread
// over it. Agent n is agent-n on host-n.
type testFleet struct {
	Agents int                    `yaml:"agents,required"`
	Prefix string                 `yaml:"prefix"` // Of the ids and names; keeps two fleets apart.
	From   offset                 `yaml:"from"`
	Until  offset                 `yaml:"until,required"`
	Every  time.Duration          `yaml:"every,required"`
	Set    map[string]strict.Node `yaml:"set,required"`
	Stop   []stop                 `yaml:"stop"`
}

// stop makes some agents of a fleet fall silent.
type stop struct {
	At     offset  `yaml:"at,required"`
	Until  *offset `yaml:"until"`  // They come back.
	Agents string  `yaml:"agents"` // "7" or "1-20"; all without it.
}

// expectation is a number of alerts at some time.
type expectation struct {
	By     *offset     `yaml:"by"`     // Episodes that began until then.
	At     *offset     `yaml:"at"`     // Episodes that are firing then.
	Status string      `yaml:"status"` // With by: resolved counts those that ended.
	Alerts int         `yaml:"alerts"`
	Where  strict.Text `yaml:"where"` // Of the alert document; counts only those.
}

// Bounds of a test, so that a rule file cannot stall whoever loads it.
const (
	maxTestEvents = 200_000
	defaultClock  = "2026-01-05T09:00:00Z"
)

// start is when the test begins, in nanoseconds since 1970.
func (t *testCase) start() (int64, error) {
	clock := t.Clock
	if clock == "" {
		clock = defaultClock
	}
	at, err := time.Parse(time.RFC3339, clock)
	return at.UnixNano(), err
}

// check reports what can be seen without a dictionary.
func (t *testCase) check(c *checker) {
	if _, err := t.start(); err != nil {
		c.problem("tests", fmt.Sprintf("test %q: clock %q is not a time such as %s", t.Name, t.Clock, defaultClock), "")
	}
	for _, e := range t.Events {
		if r := e.Repeat; r != nil && (r.Count < 1 || r.Count > maxTestEvents || r.Every < 0 || r.Every > maxSpan) {
			c.problem("tests", fmt.Sprintf("test %q: repeat has count %d and every %s, expected a count of 1 to %d and an interval of 0 to %s", t.Name,
				r.Count, strict.FormatDuration(r.Every), maxTestEvents, strict.FormatDuration(maxSpan)), "")
			return
		} else if r != nil && time.Duration(e.At)+time.Duration(r.Count)*min(r.Every, maxTestOffset/time.Duration(r.Count)+1) > maxTestOffset {
			c.problem("tests", fmt.Sprintf("test %q: %d events every %s last longer than %s", t.Name, r.Count, strict.FormatDuration(r.Every), strict.FormatDuration(maxTestOffset)), "")
			return
		}
	}
	for _, f := range t.Fleet {
		if f.Agents < 1 || f.Every <= 0 || f.Until <= f.From || f.Agents > maxTestEvents {
			c.problem("tests", fmt.Sprintf("test %q: a fleet needs 1 to %d agents, every and until after from", t.Name, maxTestEvents), "")
			return
		}
		for _, s := range f.Stop {
			if _, _, ok := s.agents(f.Agents); !ok {
				c.problem("tests", fmt.Sprintf("test %q: stop.agents is %q, expected a number or a range up to %d", t.Name, s.Agents, f.Agents), "")
			}
		}
	}
	if total := t.events(); total > maxTestEvents {
		c.problem("tests", fmt.Sprintf("test %q has %d events, at most %d are allowed", t.Name, total, maxTestEvents), "make its fleet smaller")
	}
	for _, x := range t.Expect {
		if (x.By == nil) == (x.At == nil) || x.Alerts < 0 || x.Status != "" && (x.Status != "firing" && x.Status != "resolved" || x.At != nil) {
			c.problem("tests", fmt.Sprintf("test %q: an expectation has by or at, alerts, and with by a status of firing or resolved", t.Name), "")
		}
	}
	if len(t.Expect) == 0 {
		c.problem("tests", fmt.Sprintf("test %q expects nothing", t.Name), "")
	}
}

// events is how many events the test has, at the most.
func (t *testCase) events() int {
	total := 0.0
	for _, e := range t.Events {
		count := 1
		if e.Repeat != nil {
			count = e.Repeat.Count
		}
		total += float64(max(0, count))
	}
	for _, f := range t.Fleet {
		total += float64(max(0, f.Agents)) * (max(0, float64(f.Until-f.From))/float64(max(1, f.Every)) + 1)
	}
	return int(min(total, math.MaxInt32))
}

// positive reports whether the test expects an alert at all.
func (t *testCase) positive() bool {
	return slices.ContainsFunc(t.Expect, func(x expectation) bool { return x.Alerts > 0 })
}

// agents parses the range of agents that stop.
func (s *stop) agents(total int) (first, last int, ok bool) {
	if s.Agents == "" {
		return 1, total, true
	}
	from, to, isRange := strings.Cut(s.Agents, "-")
	first, err := strconv.Atoi(from)
	if err != nil {
		return 0, 0, false
	}
	last = first
	if isRange {
		if last, err = strconv.Atoi(to); err != nil {
			return 0, 0, false
		}
	}
	return first, last, first >= 1 && last >= first && last <= total
}

// checkTests reports what the tests of a rule have wrong against the
// dictionary, and a production rule that is not tested both ways.
func checkTests(c *checker, h *Header, dict *ecs.Dictionary) {
	positive, negative := false, false
	for i := range h.Tests {
		t := &h.Tests[i]
		positive, negative = positive || t.positive(), negative || !t.positive()
		for _, e := range t.Events {
			checkSet(c, e.Set, dict)
		}
		for _, f := range t.Fleet {
			checkSet(c, f.Set, dict)
		}
		for _, x := range t.Expect {
			if x.Where.Value != "" {
				_, problems, _ := expression.Compile(x.Where, dict)
				c.report(problems, nil)
			}
		}
	}
	if h.Maturity == "production" && len(h.Tests) > 0 && (!positive || !negative) {
		c.problem("tests", "a production rule needs a test that expects an alert and one that expects none", "")
	}
}

// checkSet checks the names and values of a test's event.
func checkSet(c *checker, set map[string]strict.Node, dict *ecs.Dictionary) {
	e := event.New(dict)
	for name, n := range set {
		if err := setField(e, name, n, 1); err != nil {
			c.report([]strict.Problem{n.Problem("%s", err.Error())}, nil)
			continue
		}
		checkWord(c, name, n, dict)
	}
}

// setField sets a field from a test.
func setField(e *event.Event, name string, n strict.Node, number int) error {
	dict := e.Dictionary()
	id, ok := dict.Lookup(name)
	if root, rest, dotted := strings.Cut(name, "."); !ok && dotted && flattened(dict, root) {
		text, scalar := n.Scalar()
		if !scalar {
			return fmt.Errorf("field %s: expected a single value, found %s", name, n.Describe())
		}
		e.SetVendor(root)
		e.Extra(rest, string(event.AppendString(nil, strings.ReplaceAll(text, "{n}", strconv.Itoa(number)))))
		return nil
	}
	if !ok {
		if near, ok := strict.Nearest(name, dict.Names()); ok {
			return fmt.Errorf("unknown field %q (did you mean %q?)", name, near)
		}
		return fmt.Errorf("unknown field %q", name)
	}
	fill := func(s string) string { return strings.ReplaceAll(s, "{n}", strconv.Itoa(number)) }
	s, scalar := n.Scalar()
	if n.Kind() == strict.List && dict.Field(id).Kind == ecs.String {
		var list []string
		for _, item := range n.Items() {
			text, ok := item.Scalar()
			if !ok {
				return fmt.Errorf("field %s: expected a list of strings", name)
			}
			list = append(list, fill(text))
		}
		e.Set(id, event.StringList(list))
		return nil
	}
	if !scalar {
		return fmt.Errorf("field %s: expected a single value, found %s", name, n.Describe())
	}
	v, err := parseValue(dict.Field(id).Kind, fill(s))
	if err != nil {
		return fmt.Errorf("field %s: %w", name, err)
	}
	e.Set(id, v)
	return nil
}

// checkWord warns of a test that sets a word which no event has.
func checkWord(c *checker, name string, n strict.Node, dict *ecs.Dictionary) {
	id, ok := dict.Lookup(name)
	word, scalar := n.Scalar()
	words := expression.Vocabulary(id)
	if !ok || !scalar || len(words) == 0 || slices.Contains(words, word) || strings.Contains(word, "{n}") {
		return
	}
	p := n.Problem("%q is not a value of %s, so no event looks like this one of a test", word, name)
	if near, ok := strict.Nearest(word, words); ok {
		p.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	c.report(nil, []strict.Problem{p})
}

// flattened reports whether a name is the root of a vendor's own fields.
func flattened(dict *ecs.Dictionary, root string) bool {
	id, ok := dict.Lookup(root)
	return ok && dict.Field(id).Kind == ecs.JSON
}

func parseValue(kind ecs.Kind, s string) (event.Value, error) {
	switch kind {
	case ecs.String:
		return event.String(s), nil
	case ecs.Int:
		n, err := strconv.ParseInt(s, 10, 64)
		return event.Int(n), asError(err, "an integer", s)
	case ecs.Float:
		f, err := strconv.ParseFloat(s, 64)
		return event.Float(f), asError(err, "a number", s)
	case ecs.Bool:
		b, err := strconv.ParseBool(s)
		return event.Bool(b), asError(err, "true or false", s)
	case ecs.Time:
		t, err := time.Parse(time.RFC3339Nano, s)
		return event.Time(t.UnixNano()), asError(err, "a time", s)
	default:
		return event.Value{}, errors.New("objects cannot be set in a test")
	}
}

func asError(err error, want, found string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("expected %s, found %q", want, found)
}
