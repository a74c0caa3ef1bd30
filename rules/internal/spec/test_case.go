package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// TestCase is a test case of a rule on a virtual clock.
type TestCase struct {
	Name   string        `yaml:"name,required"`
	Clock  string        `yaml:"clock"` // Start; RFC 3339.
	Fleet  []TestFleet   `yaml:"fleet"`
	Events []testEvent   `yaml:"events"`
	Expect []Expectation `yaml:"expect,required"`
}

// testEvent is an event that arrives at a time, once or repeatedly. In its
// strings {n} stands for the number of the repetition, from 1.
type testEvent struct {
	At     Offset                 `yaml:"at,required"`
	Time   *Offset                `yaml:"time"` // @timestamp, where the event arrives later than it happened.
	Repeat *Repeat                `yaml:"repeat"`
	Set    map[string]strict.Node `yaml:"set,required"`
}

// Repeat repeats an event.
type Repeat struct {
	Count int           `yaml:"count,required"`
	Every time.Duration `yaml:"every"`
}

// TestFleet is agents that send the same event at an interval, evenly spread
// over it. Agent n is agent-n on host-n.
type TestFleet struct {
	Agents int                    `yaml:"agents,required"`
	Prefix string                 `yaml:"prefix"` // Of the ids and names; keeps two fleets apart.
	From   Offset                 `yaml:"from"`
	Until  Offset                 `yaml:"until,required"`
	Every  time.Duration          `yaml:"every,required"`
	Set    map[string]strict.Node `yaml:"set,required"`
	Stop   []TestStop             `yaml:"stop"`
}

// TestStop makes some agents of a fleet fall silent.
type TestStop struct {
	At     Offset  `yaml:"at,required"`
	Until  *Offset `yaml:"until"`  // They come back.
	Agents string  `yaml:"agents"` // "7" or "1-20"; all without it.
}

// Expectation is a number of alerts at some time.
type Expectation struct {
	By     *Offset     `yaml:"by"`     // Episodes that began until then.
	At     *Offset     `yaml:"at"`     // Episodes that are firing then.
	Status string      `yaml:"status"` // With by: resolved counts those that ended.
	Alerts int         `yaml:"alerts"`
	Where  strict.Text `yaml:"where"` // Of the alert document; counts only those.
}

// Bounds of a test, so that a rule file cannot stall whoever loads it.
const (
	maxTestEvents = 200_000
	defaultClock  = "2026-01-05T09:00:00Z"
)

// Start is when the test begins, in nanoseconds since 1970.
func (t *TestCase) Start() (int64, error) {
	clock := t.Clock
	if clock == "" {
		clock = defaultClock
	}
	at, err := time.Parse(time.RFC3339, clock)
	return at.UnixNano(), err
}

// Check reports what can be seen without a dictionary.
func (t *TestCase) Check(c *Checker) {
	if _, err := t.Start(); err != nil {
		c.Problem("tests", fmt.Sprintf("test %q: clock %q is not a time such as %s", t.Name, t.Clock, defaultClock), "")
	}
	for _, e := range t.Events {
		if r := e.Repeat; r != nil && (r.Count < 1 || r.Count > maxTestEvents || r.Every < 0 || r.Every > MaxSpan) {
			c.Problem("tests", fmt.Sprintf("test %q: repeat has count %d and every %s, expected a count of 1 to %d and an interval of 0 to %s", t.Name,
				r.Count, strict.FormatDuration(r.Every), maxTestEvents, strict.FormatDuration(MaxSpan)), "")
			return
		} else if r != nil && time.Duration(e.At)+time.Duration(r.Count)*min(r.Every, maxTestOffset/time.Duration(r.Count)+1) > maxTestOffset {
			c.Problem("tests", fmt.Sprintf("test %q: %d events every %s last longer than %s", t.Name, r.Count, strict.FormatDuration(r.Every), strict.FormatDuration(maxTestOffset)), "")
			return
		}
	}
	for _, f := range t.Fleet {
		if f.Agents < 1 || f.Every <= 0 || f.Until <= f.From || f.Agents > maxTestEvents {
			c.Problem("tests", fmt.Sprintf("test %q: a fleet needs 1 to %d agents, every and until after from", t.Name, maxTestEvents), "")
			return
		}
		for _, s := range f.Stop {
			if _, _, ok := s.Range(f.Agents); !ok {
				c.Problem("tests", fmt.Sprintf("test %q: stop.agents is %q, expected a number or a range up to %d", t.Name, s.Agents, f.Agents), "")
			}
		}
	}
	if total := t.events(); total > maxTestEvents {
		c.Problem("tests", fmt.Sprintf("test %q has %d events, at most %d are allowed", t.Name, total, maxTestEvents), "make its fleet smaller")
	}
	for _, x := range t.Expect {
		if (x.By == nil) == (x.At == nil) || x.Alerts < 0 || x.Status != "" && (x.Status != "firing" && x.Status != "resolved" || x.At != nil) {
			c.Problem("tests", fmt.Sprintf("test %q: an expectation has by or at, alerts, and with by a status of firing or resolved", t.Name), "")
		}
	}
	if len(t.Expect) == 0 {
		c.Problem("tests", fmt.Sprintf("test %q expects nothing", t.Name), "")
	}
}

// events is how many events the test has, at the most.
func (t *TestCase) events() int {
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

// Positive reports whether the test expects an alert at all.
func (t *TestCase) Positive() bool {
	return slices.ContainsFunc(t.Expect, func(x Expectation) bool { return x.Alerts > 0 })
}

// Range parses the range of agents that stop.
func (s *TestStop) Range(total int) (first, last int, ok bool) {
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

// When is the offset at which an expectation is looked at.
func (x *Expectation) When() Offset {
	if x.By != nil {
		return *x.By
	}
	return *x.At
}
