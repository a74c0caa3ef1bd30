//go:build integration

package elasticsearch

import (
	"testing"

	"github.com/edrwatch/edrwatch/deploy/testbed"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

// TestBusyNode: a node without security, whose memory for indexing is small
// and whose requests are limited. What it pushes back is written later; what
// is too large for it is refused alone.
func TestBusyNode(t *testing.T) {
	node := testbed.Elasticsearch(t, testbed.ESSetting("indexing_pressure.memory.limit", "1mb"), testbed.ESSetting("http.max_content_length", "600kb"))
	cfg := DefaultConfig()
	cfg.URLs, cfg.Gzip, cfg.Concurrency = []string{node.URL()}, false, 8
	cfg.RequestBytes = 500 << 10
	s := realSink(t, cfg)
	if f := fault.Of(s.Check(t.Context())); f == nil || f.Hint != hintSetup {
		t.Errorf("Check before set-up: %v", f)
	}
	apply(t, cfg, dictionary(t))
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check after set-up: %v", err)
	}
	docs := sinktest.Documents("busy", 400, 8_000)
	docs = append(docs, sinktest.Documents("huge", 1, 700_000)...)
	final := make([]event.Outcome, len(docs))
	overloaded := 0
	for attempt := 0; ; attempt++ {
		var part []*event.Document
		var at []int
		for i, outcome := range final {
			if outcome == event.Pending {
				part, at = append(part, docs[i]), append(at, i)
			}
		}
		if len(part) == 0 {
			break
		}
		if attempt == 100 {
			t.Fatalf("%d documents are still pending", len(part))
		}
		results := make([]event.Result, len(part))
		if f := fault.Of(s.Write(t.Context(), part, results)); f != nil {
			if f.Class != fault.Transient {
				t.Fatalf("writing: %v (%v)", f, f.Class)
			}
			if f.Reason == fault.Overloaded {
				overloaded++
			}
		}
		for i, r := range results {
			final[at[i]] = r.Outcome
		}
	}
	for i, outcome := range final {
		if (outcome == event.Refused) != (i == len(final)-1) {
			t.Errorf("document %s is %v", docs[i].ID, outcome)
		}
	}
	t.Logf("the node pushed back %d times; requests in flight now: %d", overloaded, s.limiter.Window())
}
