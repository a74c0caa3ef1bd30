package pipeline

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

func newTestShard(t *testing.T, cfg ShardConfig) *Shard {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	return NewShard(cfg, &timeMapper{event.New(dict)}, nil)
}

// timeMapper takes the record's value as the event's RFC 3339 time.
type timeMapper struct{ e *event.Event }

func (m *timeMapper) Map(_ *event.Partition, r *event.Record, emit func(*event.Event)) error {
	m.e.Reset()
	m.e.Mapped = "time"
	if at, err := time.Parse(time.RFC3339, string(r.Value)); err == nil {
		m.e.Set(ecs.Timestamp, event.Time(at.UnixNano()))
	}
	emit(m.e)
	return nil
}

func TestEventTimeIsCheckedAgainstTheBroker(t *testing.T) {
	broker := time.Date(2024, 7, 19, 4, 9, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, value string
		want        string // edr.clock and event time
		late        bool
	}{
		{"on time", "2024-07-19T04:08:59Z", `{"@timestamp":"2024-07-19T04:08:59.000Z","edr":{"feed":{"delay_seconds":1}}`, false},
		{"six hours late", "2024-07-18T22:09:00Z", `{"@timestamp":"2024-07-18T22:09:00.000Z","edr":{"feed":{"delay_seconds":21600}}`, true},
		{"the year 2100", "2100-01-01T00:00:00Z", `{"@timestamp":"2100-01-01T00:00:00.000Z","edr":{"clock":["future"]}`, false},
		{"1970", "1970-01-01T00:00:00Z", `{"@timestamp":"1970-01-01T00:00:00.000Z","edr":{"clock":["ancient"]}`, true},
		{"no time at all", "?", `{"@timestamp":"2024-07-19T04:09:00.000Z","edr":{"clock":["missing"]}`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTestShard(t, DefaultShardConfig())
			p := event.Partition{Prefix: "x"}
			s.Process(&p, &event.Record{Time: broker.UnixMilli(), Value: []byte(tc.value)}, false)
			body := string(s.Documents()[0].Body)
			if !json.Valid([]byte(body)) || len(body) < len(tc.want) || body[:len(tc.want)] != tc.want {
				t.Errorf("got %s\nwant %s…", body, tc.want)
			}
			if late := s.Stats().Late == 1; late != tc.late {
				t.Errorf("late = %v, want %v", late, tc.late)
			}
			if s.Now() != broker.UnixNano() {
				t.Errorf("the event moved the clock to %d", s.Now())
			}
		})
	}
}

func TestClockWithoutBroker(t *testing.T) {
	day := int64(24 * time.Hour)
	for _, tc := range []struct {
		name  string
		times []int64
		want  int64
	}{
		{"rises", []int64{1, 5, 3}, 5},
		{"one time far ahead is not believed", []int64{1, 100 * day, 2}, 2},
		{"nor are several with others between them", slices.Repeat([]int64{1, 100 * day, 100 * day}, 20), 1},
		{"ten in a row are: the file has a gap", append([]int64{1, 101 * day}, slices.Repeat([]int64{100 * day}, 9)...), 100 * day},
		{"the first is the start", []int64{100 * day}, 100 * day},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c clock
			for _, ns := range tc.times {
				c.source(ns)
			}
			if c.now != tc.want {
				t.Errorf("clock = %d, want %d", c.now, tc.want)
			}
		})
	}
}

// TestEventTimeIsCheckedWithoutABroker has the events' own times as the clock, as
// raw files do: one that cannot be right is kept and marked, and moves nothing.
func TestEventTimeIsCheckedWithoutABroker(t *testing.T) {
	s := newTestShard(t, DefaultShardConfig())
	p := event.Partition{Prefix: "x"}
	start := time.Date(2024, 7, 19, 4, 9, 0, 0, time.UTC)
	for i, tc := range []struct {
		value, clock string
		now          time.Time
	}{
		{"2024-07-19T04:09:00Z", "", start},
		{"2099-01-01T00:00:00Z", `"clock":["future"]`, start},
		{"1970-01-01T00:00:01Z", `"clock":["ancient"]`, start},
		{"2024-07-19T04:09:30Z", "", start.Add(30 * time.Second)},
		{"2261-12-31T23:59:59Z", `"clock":["future"]`, start.Add(30 * time.Second)},
		{"2024-07-19T04:09:10Z", "", start.Add(30 * time.Second)},
		{"?", `"clock":["missing"]`, start.Add(30 * time.Second)},
	} {
		s.Reset()
		s.Process(&p, &event.Record{Offset: int64(i), Value: []byte(tc.value)}, false)
		body := string(s.Documents()[0].Body)
		if tc.clock == "" && strings.Contains(body, `"clock"`) || !strings.Contains(body, tc.clock) {
			t.Errorf("%s: got %s, want %s", tc.value, body, tc.clock)
		}
		if tc.value != "?" && !strings.Contains(body, `"@timestamp":"`+strings.TrimSuffix(tc.value, "Z")+`.000Z"`) {
			t.Errorf("%s is not kept: %s", tc.value, body)
		}
		if s.Now() != tc.now.UnixNano() {
			t.Errorf("%s moved the clock to %s, want %s", tc.value, time.Unix(0, s.Now()).UTC(), tc.now)
		}
	}
}

func TestDedupeForgetsInTimeAndInSize(t *testing.T) {
	d := newDedupe(time.Minute, 100)
	if start := int64(1000 * time.Hour); newDedupe(time.Minute, 100).seen(1, start) || d.seen(1, 0) || !d.seen(1, start) {
		t.Error("the first record, seen before there was a clock, is not remembered")
	}
	d = newDedupe(time.Minute, 100)
	if d.seen(1, 1) || !d.seen(1, int64(time.Minute)) {
		t.Error("a repetition at the window's end is a duplicate, the first one is not")
	}
	if d.seen(1, int64(10*time.Minute)) {
		t.Error("a repetition long after the window is a duplicate")
	}
	for i := range uint64(10_000) {
		d.seen(i, int64(10*time.Minute))
	}
	if n := d.young.count + d.old.count; n > 100 {
		t.Errorf("%d hashes are kept, the limit is 100", n)
	}
}

func TestCoordinatesOfACapture(t *testing.T) {
	cfg := DefaultShardConfig()
	cfg.DedupeCoordinates = true
	s := newTestShard(t, cfg)
	p := event.Partition{Prefix: "x", Number: 1}
	rec := event.Record{Offset: 7, Time: 1, Value: []byte("?")}
	if first, second := s.Process(&p, &rec, false), s.Process(&p, &rec, false); first != Mapped || second != DuplicateRecord {
		t.Errorf("outcomes %v, %v", first, second)
	}
	q := event.Partition{Prefix: "x", Number: 2}
	if got := s.Process(&q, &rec, false); got != Mapped {
		t.Errorf("the same offset of another partition is %v", got)
	}
}

// TestAMaskedIdIsNoRepetition sends different records under one vendor id.
func TestAMaskedIdIsNoRepetition(t *testing.T) {
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	s := NewShard(DefaultShardConfig(), &lineMapper{event.New(dict)}, nil)
	p := event.Partition{Prefix: "x"}
	for i, tc := range []struct {
		value string
		want  RecordOutcome
	}{{"dup x start", Mapped}, {"dup x stop", Mapped}, {"dup x start", DuplicateRecord}} {
		if got := s.Process(&p, &event.Record{Offset: int64(i), Time: int64(i + 1), Value: []byte(tc.value)}, false); got != tc.want {
			t.Errorf("%s is %v, want %v", tc.value, got, tc.want)
		}
	}
}

func TestIngestedOnlyWhereTheGatewayRuns(t *testing.T) {
	s := newTestShard(t, DefaultShardConfig())
	p := event.Partition{Prefix: "x"}
	rec := event.Record{Time: time.Date(2024, 7, 19, 4, 9, 0, 0, time.UTC).UnixMilli(), Value: []byte("2024-07-19T04:08:59Z")}
	s.Process(&p, &rec, false)
	if body := string(s.Documents()[0].Body); strings.Contains(body, "ingested") {
		t.Errorf("a replay has a wall clock in it: %s", body)
	}
	s.Reset()
	s.Ingest(time.Date(2024, 7, 19, 4, 9, 1, 0, time.UTC).UnixNano())
	s.Process(&p, &rec, false)
	if body := string(s.Documents()[0].Body); !strings.Contains(body, `"ingested":"2024-07-19T04:09:01.000Z"`) {
		t.Errorf("event.ingested is missing: %s", body)
	}
}
