//go:build integration && linux

package integration

import (
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

// smallBatches make the gateway slow enough to be caught in the middle, and
// its commits frequent enough that some batches are committed and some not.
const smallBatches = "batch_records: 100\ncommit_interval: 200ms"

// TestKillMidway kills the gateway with SIGKILL again and again. Nothing is
// lost, nothing is twice in Elasticsearch, and the alerts are those of a
// gateway that never died: what rules remember is rebuilt.
func TestKillMidway(t *testing.T) {
	c, want := shared.corpusAndExpectation(t)
	es := shared.elasticsearch(t)
	hec := testbed.HEC(t, testbed.HECAck(), testbed.HECTLS())
	f := newFeed(t, "kill")
	f.produce(c)
	text := f.text(configuration{hec: hec, more: smallBatches})
	for range 3 {
		g := start(t, text)
		g.awaitRecords(int64(c.total)/5, time.Minute)
		g.kill()
		if n := done(f.committed()); n >= int64(c.total) {
			t.Fatalf("the gateway had finished before it was killed: %d of %d records", n, c.total)
		}
	}
	g := start(t, text)
	f.awaitCommitted(90 * time.Second)
	documents := want.documents(f)
	es.checkUnnamed(f, documents, true)
	taken, refused := splitByReceiver(documents)
	checkHEC(t, hec.Events(t), taken)
	f.checkLetters(c, want.dead, refused, true)
	s := g.checkConservation()
	t.Logf("the last run found %.0f documents in Elasticsearch already and read %.0f records again for their state",
		s.sum("edrwatch_documents_total", "sink", "elastic", "outcome", "duplicate"), s.sum("edrwatch_records_rebuilt_total"))
}

// TestTerminateUnderLoad stops the gateway as an orchestrator does: it ends in
// time and in order, has not committed more than Elasticsearch has, and the
// next one does the rest.
func TestTerminateUnderLoad(t *testing.T) {
	c, want := shared.corpusAndExpectation(t)
	es := shared.elasticsearch(t)
	f := newFeed(t, "terminate")
	f.produce(c)
	text := f.text(configuration{more: smallBatches})
	g := start(t, text)
	g.awaitRecords(int64(c.total)/4, time.Minute)
	took := g.terminate(10 * time.Second)
	offsets := f.committed()
	n := done(offsets)
	t.Logf("the gateway ended %s after SIGTERM with %d of %d records committed", took.Round(time.Millisecond), n, c.total)
	if n >= int64(c.total) || n < int64(c.total)/4 {
		t.Fatalf("%d of %d records are committed after a stop under way at a quarter", n, c.total)
	}
	got := es.documents(f)
	d := differences{what: "committed, but not in Elasticsearch"}
	for _, p := range want.partitions {
		for id, doc := range p.under(f, p.events) {
			if _, ok := got[id]; !ok && offsetOf(id) < offsets[p.place] {
				d.add("document %s of %v, committed up to %d: %.200s", id, p.place, offsets[p.place], doc)
			}
		}
	}
	d.report(t)

	start(t, text)
	f.awaitCommitted(90 * time.Second)
	es.checkUnnamed(f, want.documents(f), true)
	f.checkLetters(c, want.dead, nil, true)
}
