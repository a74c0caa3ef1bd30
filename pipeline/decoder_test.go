package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// upper is a decoder of records that begin with "!": it makes "ok" of "!ok",
// condemns "!broken", and cannot decode "!later" while it is down.
type upper struct {
	down   int // attempts that fail
	asked  int
	record event.Record
}

func (u *upper) Decode(_ context.Context, r *event.Record) (*event.Record, error) {
	value, packed := bytes.CutPrefix(r.Value, []byte("!"))
	if !packed {
		return r, nil
	}
	u.asked++
	u.record = *r
	u.record.Raw = r.Value
	switch {
	case string(value) == "broken":
		u.record.Fault = fault.New(fault.Permanent, fault.Undecodable, "decoding: it is broken")
	case string(value) == "later" && u.down > 0:
		u.down--
		return nil, fault.New(fault.Transient, fault.Unavailable, "asking the registry: no answer (%d)", min(u.down, 1))
	default:
		u.record.Value = value
	}
	return &u.record, nil
}

// TestDecodingWaitsAndBuries has a record that is decoded, one that cannot be, and
// one whose decoder is down for a while: nothing is lost, nothing is judged twice,
// and the dead letter has what the source delivered.
func TestDecodingWaitsAndBuries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		dead, sink := &box{}, &countingSink{stored: map[string]int{}}
		r, reg := testRunner(t, dead, Output{Name: "a", Sink: sink, Required: true})
		r.set.Logger = slog.New(slog.NewTextHandler(&said, nil))
		u := &upper{down: 5}
		p := event.Partition{Prefix: "cafe", Topic: "t", Number: 3}
		w, err := Decoding(r.Open, func() (Decoder, error) { return u, nil })(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		recs := records("ok", "!ok", "!broken", "!later", "!bad")
		began := time.Now()
		if err := w.Handle(t.Context(), &event.Batch{Partition: p, Records: recs}); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) < time.Second || u.asked != 4+5 {
			t.Errorf("it waited for %s and asked %d times", time.Since(began), u.asked)
		}
		if got := sums(t, reg, "records_total", "outcome"); got["mapped"] != 3 || got["dead"] != 2 {
			t.Errorf("%v", got)
		}
		for id, n := range sink.stored {
			if n != 1 {
				t.Errorf("%s is stored %d times", id, n)
			}
		}
		if len(sink.stored) != 3 {
			t.Errorf("%v", sink.stored)
		}
		want := []struct{ stage, original string }{{"decode", "!broken"}, {"mapping", "!bad"}}
		for i, d := range dead.dead {
			if d.Stage != want[i].stage || string(d.Original) != want[i].original {
				t.Errorf("dead letter %d: %s %q", i, d.Stage, d.Original)
			}
		}
		if len(dead.dead) != 2 {
			t.Errorf("%d dead letters", len(dead.dead))
		}
		// A pause and its end are said once each, and a reason that changes again.
		if n := strings.Count(said.String(), "record cannot be decoded yet"); n != 2 || strings.Count(said.String(), "decoded again") != 1 || !strings.Contains(said.String(), "partition=3") {
			t.Errorf("%d pauses are said:\n%s", n, &said)
		}
		for i := range recs {
			if recs[i].Raw != nil || recs[i].Fault != nil {
				t.Errorf("record %d of the source was changed", i)
			}
		}
	})
}

// TestAPartitionThatIsTakenAwayDoesNotWait gives a batch back that waits for its
// decoder, with nothing written or counted.
func TestAPartitionThatIsTakenAwayDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, sink := &box{}, &countingSink{stored: map[string]int{}}
		r, reg := testRunner(t, dead, Output{Name: "a", Sink: sink, Required: true})
		p := event.Partition{Prefix: "cafe", Topic: "t"}
		w, err := Decoding(r.Open, func() (Decoder, error) { return &upper{down: 1 << 30}, nil })(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the partition is revoked")
		time.AfterFunc(time.Hour, func() { cancel(gone) })
		if err := w.Handle(ctx, &event.Batch{Partition: p, Records: records("ok", "!broken", "!later")}); !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
		w.Close()
		if len(sink.stored) != 0 || len(dead.dead) != 0 || sums(t, reg, "records_received_total", "")[""] != 0 {
			t.Error("something of a batch that was given back is written or counted")
		}
	})
}

func TestOnlyTheRunnersWorkersDecode(t *testing.T) {
	r, _ := testRunner(t, &box{})
	p := event.Partition{Topic: "t"}
	failing := errors.New("no memory")
	if _, err := Decoding(r.Open, func() (Decoder, error) { return nil, failing })(t.Context(), p); !errors.Is(err, failing) {
		t.Error(err)
	}
	foreign := func(context.Context, event.Partition) (event.Worker, error) { return foreignWorker{}, nil }
	if _, err := Decoding(foreign, nil)(t.Context(), p); err == nil {
		t.Error("a worker of somebody else decodes")
	}
	closed := func(context.Context, event.Partition) (event.Worker, error) { return nil, io.ErrClosedPipe }
	if _, err := Decoding(closed, nil)(t.Context(), p); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type foreignWorker struct{ event.Worker }

func (foreignWorker) Close() {}

// countingSink stores everything.
type countingSink struct{ stored map[string]int }

func (s *countingSink) Write(_ context.Context, docs []*event.Document, results []event.Result) error {
	for i, d := range docs {
		s.stored[strings.Clone(d.ID)]++
		results[i].Outcome = event.Indexed
	}
	return nil
}
