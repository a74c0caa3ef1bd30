package pipeline

import (
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// typeMapper takes the record's value as the type of an agent.
type typeMapper struct{ e *event.Event }

func (m *typeMapper) Map(_ *event.Partition, r *event.Record, emit func(*event.Event)) error {
	m.e.Reset()
	m.e.Mapped = "type"
	m.e.SetString(ecs.AgentType, string(r.Value))
	m.e.Set(ecs.Timestamp, event.Time(r.Time*int64(time.Millisecond)))
	emit(m.e)
	return nil
}

// canaryDetector notes the clocks at which it was asked.
type canaryDetector struct{ events, canaries []int64 }

func (d *canaryDetector) Detect(now int64, _ *event.Event, _ func(*event.Event)) {
	d.events = append(d.events, now/int64(time.Millisecond))
}

func (d *canaryDetector) Canary(now int64, _ *event.Event) {
	d.canaries = append(d.canaries, now/int64(time.Millisecond))
}

// TestCanaryLeavesNoTrace: the feed is hours behind the canary in it, and must
// not be late for that.
func TestCanaryLeavesNoTrace(t *testing.T) {
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	var d canaryDetector
	s := NewShard(DefaultShardConfig(), &typeMapper{event.New(dict)}, &d)
	p := event.Partition{Prefix: "x"}
	const now, behind = int64(1_721_361_600_000), int64(1_721_340_000_000)
	take := func(at int64, agent string, muted bool) RecordOutcome {
		r := event.Record{Time: at, Value: []byte(agent)}
		if agent == event.CanaryType {
			r.Headers = []event.Header{{Key: event.CanaryHeader}}
		}
		return s.Process(&p, &r, muted)
	}
	for i, outcome := range []RecordOutcome{
		take(now, event.CanaryType, true), take(behind, "sentinelone", false), take(now, event.CanaryType, false), take(behind+1, "sentinelone", false),
	} {
		if want := []RecordOutcome{FilteredOut, Mapped, FilteredOut, Mapped}[i]; outcome != want {
			t.Errorf("record %d is %v, want %v", i, outcome, want)
		}
	}
	if len(s.Documents()) != 2 || s.Stats().Late != 0 || s.Now() != (behind+1)*int64(time.Millisecond) {
		t.Errorf("%d documents, %d late, clock %d", len(s.Documents()), s.Stats().Late, s.Now())
	}
	if len(d.events) != 2 || len(d.canaries) != 1 || d.canaries[0] != now {
		t.Errorf("judged events at %v, canaries at %v", d.events, d.canaries)
	}
}

// TestNobodyHidesAsACanary: the name alone does not make an agent one.
func TestNobodyHidesAsACanary(t *testing.T) {
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	s := NewShard(DefaultShardConfig(), &typeMapper{event.New(dict)}, &canaryDetector{})
	p := event.Partition{Prefix: "x"}
	if got := s.Process(&p, &event.Record{Time: 1, Value: []byte(event.CanaryType)}, false); got != Mapped || len(s.Documents()) != 1 {
		t.Errorf("the outcome is %v with %d documents", got, len(s.Documents()))
	}
}
