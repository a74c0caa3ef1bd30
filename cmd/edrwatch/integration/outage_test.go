//go:build integration && linux

package integration

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// memoryCap bounds the gateway's resident set while it cannot deliver: its
// sources may hold 16 MiB here, the rest is Go, tables and buffers.
const memoryCap = 192 << 20

// TestElasticsearchDown takes Elasticsearch away while the topics grow. The
// gateway waits, says so, stays small, buries nothing, and goes on by itself.
func TestElasticsearchDown(t *testing.T) {
	c, want := shared.corpusAndExpectation(t)
	es := shared.elasticsearch(t)
	f := newFeed(t, "outage")
	first := c.part(0, 0.3)
	f.produce(first)
	g := start(t, f.text(configuration{more: "batch_records: 100\nmax_in_flight_bytes: 16MiB\nfetch_max_bytes: 1MiB\nmax_batch_bytes: 8MiB"}))
	g.awaitRecords(int64(first.total)/2, time.Minute)
	g.awaitReady(true, 5*time.Second)

	es.Stop(t)
	f.produce(c.part(0.3, 1))
	before := done(f.committed())
	said := g.awaitReady(false, time.Minute)
	if !strings.Contains(said, "elastic") {
		t.Errorf("readiness does not name the sink that is down: %s", said)
	}
	if status, body, err := g.get("/livez"); err != nil || status != 200 {
		t.Errorf("the gateway is not alive while a sink is down: %v, status %d: %s", err, status, body)
	}
	extra := flood(f)
	highest := int64(0)
	watch := time.Now().Add(8 * time.Second)
	eventually(t, 20*time.Second, "watching memory", func() error {
		highest = max(highest, g.memory())
		if time.Now().Before(watch) {
			return fmt.Errorf("%d MiB at most so far", highest>>20)
		}
		return nil
	})
	t.Logf("resident set while Elasticsearch is down and %d MiB wait: at most %d MiB", extra.size>>20, highest>>20)
	if highest > memoryCap {
		t.Errorf("the gateway grew to %d MiB, the cap is %d MiB", highest>>20, memoryCap>>20)
	}
	if n := f.letters(); len(n) > len(want.dead) {
		t.Errorf("%d dead letters while Elasticsearch is down, at most %d records are bad", len(n), len(want.dead))
	}
	s := g.scrape()
	if n := s.sum("edrwatch_sink_up", "sink", "elastic"); n != 0 {
		t.Errorf("edrwatch_sink_up is %.0f while the sink is down", n)
	}
	during := done(f.committed())

	es.Restart(t)
	g.awaitReady(true, time.Minute)
	f.awaitCommitted(2 * time.Minute)
	documents := want.documents(f)
	got := es.documents(f)
	flooded := 0
	for id, h := range got {
		if bytes.Contains(h.Source, []byte(floodMark)) {
			delete(got, id)
			flooded++
		}
	}
	if flooded != extra.records {
		t.Errorf("%d of the %d records that came during the outage are in Elasticsearch", flooded, extra.records)
	}
	es.compare(f, got, documents)
	f.checkLetters(c, want.dead, nil, false)
	g.checkConservation()
	t.Logf("committed: %d when it stopped, %d while it was down, %d at the end", before, during, f.total())
}

// TestKafkaDown kills the broker under the gateway, which waits for it, says
// so, and goes on where it was.
func TestKafkaDown(t *testing.T) {
	c, want := shared.corpusAndExpectation(t)
	es := shared.elasticsearch(t)
	f := newFeed(t, "broker")
	f.produce(c)
	g := start(t, f.text(configuration{more: smallBatches}))
	g.awaitRecords(int64(c.total)/4, time.Minute)

	f.server.Kill(t)
	if said := g.awaitReady(false, time.Minute); !strings.Contains(said, "edr") {
		t.Errorf("readiness does not name the source that is cut off: %s", said)
	}
	if status, body, err := g.get("/livez"); err != nil || status != 200 {
		t.Errorf("the gateway is not alive while the broker is down: %v, status %d: %s", err, status, body)
	}
	f.server.Restart(t)
	g.awaitReady(true, time.Minute)
	f.awaitCommitted(90 * time.Second)
	es.checkUnnamed(f, want.documents(f), true)
	f.checkLetters(c, want.dead, nil, true)
	g.checkConservation()
}

// flooding is what flood produced.
type flooding struct{ records, size int }

// floodMark stands in every record of a flood.
const floodMark = "flood-of-records"

// flood produces 64 MiB, which compress to almost nothing, behind the records
// of one partition. They are not of any vendor and raise no alert.
func flood(f *feed) flooding {
	f.t.Helper()
	var last int64
	for _, r := range shared.records.partitions[floodPlace()] {
		last = max(last, r.time)
	}
	var made flooding
	for range 64 {
		var batch []record
		for range 128 {
			value := fmt.Appendf(nil, `{"note":%q,"n":%d,"padding":%q}`, floodMark, made.records, strings.Repeat("x", 8<<10))
			batch = append(batch, record{time: last, key: fmt.Append(nil, made.records), value: value})
			made.records++
			made.size += len(value)
		}
		f.produceBatch(floodPlace(), batch, 4) // zstd
	}
	return made
}

func floodPlace() place { return place{"edr.defender", 0} }
