package app

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

var (
	seeds     = flag.Int("seeds", usualSeeds, "readings that TestReadingsAgree compares")
	firstSeed = flag.Int("first-seed", 1, "the first seed of TestReadingsAgree; a failing one is replayed with -seeds 1 -first-seed N")
)

// recording is a capture with what is told of it when it is read in the order of
// the brokers' time.
type recording struct {
	name    string
	records []simulator.Emission
	alerts  map[string]string // by event.id
	unnamed map[string]string // the same where no names are learned
}

// worlds are small fleets with incidents that only several partitions together
// show, as short as the judge learns what is usual.
var worlds = []string{`
name: push
start: 2024-07-19T03:34:00Z
duration: 27m
agents: 170
fleet: {crowdstrike: 1, defender: 0, sentinelone: 0, servers: 0.9, laptops: 0.1, awake: 0.9, remote: 0.1}
incidents:
  - {type: content_push, id: routine-content, at: 2m, channel: 290, version: 41, failure: 0, rate: 0.3}
  - {type: content_push, id: channel-file-291, at: 14m, rate: 0.07}
`, `
name: site
start: 2024-07-17T08:00:00Z
duration: 34m
agents: 150
incidents:
  - {type: site_outage, id: no-network, at: 14m, site: fra}
`, `
name: feed
start: 2024-07-17T08:00:00Z
duration: 32m
agents: 110
fleet: {crowdstrike: 0.6, defender: 0.3, sentinelone: 0.1, servers: 0.6, laptops: 0.4, awake: 0.8, remote: 0.1}
incidents:
  - {type: feed_outage, id: one-feed, at: 13m, for: 9m, topics: [edr.crowdstrike.fdr]}
`, `
name: quiet
start: 2024-07-17T08:00:00Z
duration: 25m
agents: 70
`}

// judged are captures of the worlds.
func judged(t testing.TB, d *Detection) []*recording {
	t.Helper()
	var list []*recording
	for i, src := range worlds {
		scenario, err := simulator.LoadScenario("world", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		fleet, err := simulator.New(simulator.Config{Seed: uint64(i + 1), Scenario: scenario})
		if err != nil {
			t.Fatal(err)
		}
		r := &recording{name: scenario.Name}
		for e, ok := fleet.Next(); ok; e, ok = fleet.Next() {
			r.records = append(r.records, e)
		}
		r.alerts, r.unnamed = r.inOrder(t, d, true), r.inOrder(t, d, false)
		list = append(list, r)
	}
	return list
}

// shipped are the processors of a gateway without a configuration, whose names
// are known at the closing of steps.
func shipped(t testing.TB, d *Detection) *Processors {
	t.Helper()
	cfg := config.Default()
	processors, err := NewProcessors(&cfg, d.Dictionary, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	processors.Identifier.Pace()
	return processors
}

// inOrder judges the capture as a replay does.
func (r *recording) inOrder(t testing.TB, d *Detection, named bool) map[string]string {
	t.Helper()
	judging := d.NewJudging(event.DefaultLateness)
	var processors []pipeline.Processor
	if named {
		shipped := shipped(t, d)
		judging.Identify(shipped)
		processors = shipped.List()
	}
	judging.Pace()
	told := newTold()
	found := pipeline.NewShard(pipeline.DefaultShardConfig(), nil, nil)
	steps := pipeline.NewLockstep(judging.Step(), func(end int64) {
		found.Reset()
		found.Raise(end, func(emit func(*event.Event)) { judging.Close(end, emit) })
		told.take(found)
	}, told.take)
	shards := map[string]*pipeline.Shard{}
	for i := range r.records {
		e := &r.records[i]
		s := shards[e.Topic]
		if s == nil {
			s = pipeline.NewShard(pipeline.DefaultShardConfig(), d.NewMapper(), judging.NewDetector(e.Topic), processors...)
			shards[e.Topic] = s
			steps.Add(s)
		}
		steps.Reach(e.Time * int64(time.Millisecond))
		s.Reset()
		s.Process(&event.Partition{Prefix: "p", Topic: e.Topic}, &event.Record{Offset: int64(i), Time: e.Time, Key: e.Key, Value: e.Value}, false)
		told.take(s)
	}
	steps.Finish()
	if told.err != nil {
		t.Fatal(told.err)
	}
	return told.alerts
}

// toldAlerts are the alerts that left all gateways, each once.
type toldAlerts struct {
	mu     sync.Mutex
	alerts map[string]string
	err    error
}

func newTold() *toldAlerts { return &toldAlerts{alerts: map[string]string{}} }

// take takes the alerts among a shard's documents. One that is told again has to
// be the same.
func (a *toldAlerts) take(s *pipeline.Shard) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, doc := range s.Documents() {
		if doc.Stream != event.Alerts {
			continue
		}
		text, err := comparable(doc.Body)
		if err != nil {
			a.err = err
		}
		id := strings.Clone(doc.ID)
		if before, again := a.alerts[id]; again && before != text && a.err == nil {
			a.err = fmt.Errorf("alert %s was told twice, as\n%s\nand as\n%s", id, before, text)
		}
		a.alerts[id] = text
	}
}

// comparable is an alert document in one form.
func comparable(body []byte) (string, error) {
	var doc map[string]any
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", err
	}
	kept, err := json.Marshal(doc)
	return string(kept), err
}

// TestReadingsAgree reads captures as backlogs: divided into any number of
// partitions, read at any pace, by one gateway or three, some of which are killed
// on the way and followed by others. What is told is what a replay tells, to the
// last field.
func TestReadingsAgree(t *testing.T) {
	d, err := LoadDetection(DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	captures := judged(t, d)
	kinds := map[string]int{}
	for _, r := range captures {
		t.Logf("%s: %d records, %d alerts", r.name, len(r.records), len(r.alerts))
		for _, text := range r.alerts {
			for _, kind := range []string{"bad_rollout", "mass_silence", "site_outage", "pipeline_silence", "silent_host"} {
				if strings.Contains(text, `"kind":"`+kind+`"`) {
					kinds[kind]++
				}
			}
		}
	}
	if kinds["bad_rollout"] == 0 || kinds["mass_silence"] == 0 || kinds["site_outage"] == 0 || kinds["pipeline_silence"] == 0 {
		t.Errorf("the captures show too little: %v", kinds)
	}
	for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
		rng := rand.New(rand.NewPCG(uint64(seed), 19))
		r := captures[rng.IntN(len(captures))]
		reading := newReading(t, d, r, rng)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		err := reading.run(ctx)
		cancel()
		if err != nil {
			t.Fatalf("seed %d, %s: %v", seed, reading, err)
		}
		want := r.alerts
		if !reading.named() {
			want = r.unnamed
		}
		if diff := differences(want, reading.told.alerts); len(diff) > 0 {
			t.Errorf("seed %d, %s: %d of %d alerts differ; the first:\n%s", seed, reading, len(diff), len(want), diff[0])
		}
	}
}

// differences lists the alerts that are not in both.
func differences(want, got map[string]string) []string {
	var list []string
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id] != want[id] {
			list = append(list, fmt.Sprintf("told:  %s\nshould: %s", got[id], want[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[id]; !ok {
			list = append(list, "told without a cause: "+got[id])
		}
	}
	return list
}
