package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// lineMapper maps "action host time" lines; "bad" is unparsable, "many" makes
// three events, "dup ID" carries a vendor record id and a time of its own, "dup ID ACTION"
// another action, "panic" is a defect.
type lineMapper struct{ e *event.Event }

func (m *lineMapper) Map(_ *event.Partition, r *event.Record, emit func(*event.Event)) error {
	word, rest, _ := strings.Cut(string(r.Value), " ")
	n := 1
	m.e.Reset()
	m.e.Mapped = "line"
	at := r.Time * 1e6
	switch word {
	case "bad":
		return fault.New(fault.Permanent, fault.Unparsable, "offset %d: expected an action, found bad", r.Offset)
	case "panic":
		panic("index out of range")
	case "many":
		n = 3
	case "dup":
		at = 1_700_000_000_000_000_000
		m.e.RecordID, word, _ = strings.Cut(rest, " ")
	case "other":
		m.e.Mapped = ""
	}
	for range n {
		m.e.Set(ecs.Timestamp, event.Time(at))
		m.e.SetString(ecs.EventAction, word)
		m.e.SetString(ecs.HostName, "h1")
		emit(m.e)
	}
	return nil
}

// alarm raises one alert for every event called "many".
type alarm struct{ a *event.Event }

func (d *alarm) Detect(now int64, e *event.Event, emit func(*event.Event)) {
	if e.Str(ecs.EventAction) != "many" {
		return
	}
	e.Append(ecs.EDRRules, "r-1")
	d.a.Reset()
	d.a.Set(ecs.Timestamp, event.Time(now))
	d.a.SetString(ecs.EventID, "alert-"+e.Str(ecs.EventID))
	d.a.SetString(ecs.RuleID, "r-1")
	d.a.SetString(ecs.EDRAlertSeverity, "high")
	d.a.SetString(ecs.EDRAlertKind, "other")
	emit(d.a)
}

// moodySink decides about each document at random, sometimes fails as a whole,
// and remembers what it stored.
type moodySink struct {
	mu     sync.Mutex
	rng    *rand.Rand
	stored map[string]int
}

func (s *moodySink) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.rng.IntN(4) == 0 {
		return errors.New("connection reset")
	}
	var failure error
	for i, d := range docs {
		switch s.rng.IntN(10) {
		case 0:
			results[i] = event.Result{Outcome: event.Refused, Err: fault.New(fault.Permanent, fault.MappingRejected, "no such type")}
		case 1, 2:
			failure = fault.New(fault.Transient, fault.Overloaded, "try later")
		default:
			results[i].Outcome = event.Indexed
			if s.stored[d.ID] > 0 {
				results[i].Outcome = event.Duplicate
			}
			s.stored[d.ID]++
		}
	}
	return failure
}

// box is a dead letter that fails every third time.
type box struct {
	mu    sync.Mutex
	calls int
	dead  []event.Dead
}

func (b *box) Bury(_ context.Context, dead []event.Dead) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls++; b.calls%3 == 0 {
		return errors.New("disk full")
	}
	for _, d := range dead {
		d.Original = slices.Clone(d.Original)
		b.dead = append(b.dead, d)
	}
	return nil
}

func testRunner(t *testing.T, dead DeadLetter, outputs ...Output) (*Runner, *prometheus.Registry) {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	r, err := NewRunner(DefaultConfig(), Settings{
		NewMapper:   func() Mapper { return &lineMapper{event.New(dict)} },
		NewDetector: func(event.Partition) Detector { return &alarm{event.New(dict)} },
		Outputs:     outputs, DeadLetter: dead, Metrics: reg, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, reg
}

// sums adds up every series of a metric, by the value of one label.
func sums(t *testing.T, reg *prometheus.Registry, name, label string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "edrwatch_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			key := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == label {
					key = l.GetValue()
				}
			}
			out[key] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func records(lines ...string) []event.Record {
	recs := make([]event.Record, len(lines))
	for i, l := range lines {
		recs[i] = event.Record{Offset: int64(i), Time: 1_700_000_000_000 + int64(i), Value: []byte(l)}
	}
	return recs
}

// TestConservation sends records through two sinks that fail at random and
// checks that every record and every document has exactly one outcome.
func TestConservation(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &moodySink{rng: rand.New(rand.NewPCG(seed, 1)), stored: map[string]int{}}
				b := &moodySink{rng: rand.New(rand.NewPCG(seed, 2)), stored: map[string]int{}}
				dead := &box{}
				r, reg := testRunner(t, dead,
					Output{Name: "a", Sink: a, Required: true},
					Output{Name: "b", Sink: b, Required: true, Route: Route{Streams: []string{"alerts"}}})
				p := event.Partition{Prefix: "cafe", Topic: "t"}
				w, err := r.Open(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				recs := records("ok", "many", "bad", "dup x", "dup x", "other", "panic", "ok", "many")
				recs = append(recs, event.Record{Offset: 9}, event.Record{Offset: 10, Fault: fault.New(fault.Permanent, fault.Undecodable, "bomb")})
				if err := w.Handle(t.Context(), &event.Batch{Partition: p, Records: recs}); err != nil {
					t.Fatal(err)
				}

				byOutcome := sums(t, reg, "records_total", "outcome")
				want := map[string]float64{"mapped": 6, "dead": 3, "duplicate": 1, "filtered": 1}
				for o, n := range want {
					if byOutcome[o] != n {
						t.Errorf("records %s = %v, want %v", o, byOutcome[o], n)
					}
				}
				if got := sums(t, reg, "records_received_total", "")[""]; got != 11 {
					t.Errorf("received %v records, want 11", got)
				}
				// 4 single events, 2×3 events, 2×3 alerts.
				received := sums(t, reg, "documents_received_total", "sink")
				outcomes := map[string]float64{}
				for _, m := range []string{"documents_total", "documents_in_flight", "documents_abandoned_total"} {
					for sink, n := range sums(t, reg, m, "sink") {
						outcomes[sink] += n
					}
				}
				for _, sink := range []string{"a", "b"} {
					if received[sink] != 16 || outcomes[sink] != 16 {
						t.Errorf("sink %s: received %v, accounted %v, want 16", sink, received[sink], outcomes[sink])
					}
				}
				for id, n := range a.stored {
					if n != 1 {
						t.Errorf("%s was stored %d times: only what is pending may be sent again", id, n)
					}
				}
				if len(b.stored) > 6 {
					t.Errorf("sink b got %d documents, its route takes 6", len(b.stored))
				}
				refused := sums(t, reg, "documents_total", "outcome")["dead"]
				if len(dead.dead) != 3+int(refused) {
					t.Errorf("dead letter holds %d, want 3 records and %v documents", len(dead.dead), refused)
				}
			})
		})
	}
}

// downSink never takes anything.
type downSink struct{}

func (downSink) Write(context.Context, []*event.Document, []event.Result) error {
	return fault.New(fault.Operator, fault.Unauthorized, "401")
}

func TestRequiredSinkHoldsBackTheAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &box{}
		r, reg := testRunner(t, dead, Output{Name: "down", Sink: downSink{}, Required: true})
		p := event.Partition{Prefix: "cafe", Topic: "t"}
		w, _ := r.Open(t.Context(), p)
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if err := w.Handle(ctx, &event.Batch{Partition: p, Records: records("ok")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Handle = %v after a day without the sink, want the context's end", err)
		}
		if len(dead.dead) != 0 {
			t.Errorf("%d documents were dead-lettered because credentials were wrong", len(dead.dead))
		}
		if h := r.Health(); h[0].Err == nil {
			t.Error("health does not tell that the sink is down")
		}
		if n := sums(t, reg, "records_abandoned_total", "")[""]; n != 1 {
			t.Errorf("abandoned %v records, want 1", n)
		}
	})
}

func TestOptionalSinkDoesNotHoldBackLongerThanItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &box{}
		r, _ := testRunner(t, dead, Output{Name: "down", Sink: downSink{}})
		p := event.Partition{Prefix: "cafe", Topic: "t"}
		w, _ := r.Open(t.Context(), p)
		if err := w.Handle(t.Context(), &event.Batch{Partition: p, Records: records("ok", "ok")}); err != nil {
			t.Fatal(err)
		}
		if len(dead.dead) != 2 || dead.dead[0].Stage != "down" || dead.dead[0].Reason != string(fault.Unauthorized) || dead.dead[1].Time != 1_700_000_000_001 {
			t.Errorf("dead letter: %+v", dead.dead)
		}
	})
}

// TestRebuiltRecordsLeaveNothing checks that records below the committed
// offset only rebuild state.
func TestRebuiltRecordsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &moodySink{rng: rand.New(rand.NewPCG(1, 1)), stored: map[string]int{}}
		dead := &box{}
		r, reg := testRunner(t, dead, Output{Name: "a", Sink: sink, Required: true})
		p := event.Partition{Prefix: "cafe", Topic: "t"}
		w, _ := r.Open(t.Context(), p)
		batch := &event.Batch{Partition: p, Records: records("many", "bad", "dup x", "dup x"), Committed: 3}
		if err := w.Handle(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if len(sink.stored) != 0 || len(dead.dead) != 0 {
			t.Errorf("stored %v, buried %v; all records were acknowledged before or repeat one that was", sink.stored, dead.dead)
		}
		if got := sums(t, reg, "records_total", "outcome")["duplicate"]; got != 1 {
			t.Errorf("the repetition of a rebuilt record counts %v duplicates, want 1", got)
		}
	})
}
