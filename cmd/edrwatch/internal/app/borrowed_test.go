package app

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/mappings"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// freshMapper maps every record with a Mapper of its own, whose events nobody
// writes over.
type freshMapper struct{ plan *mappings.Plan }

func (m freshMapper) Map(p *event.Partition, r *event.Record, emit func(*event.Event)) error {
	return m.plan.NewMapper().Map(p, r, emit)
}

// TestNothingOutlivesItsRecord takes fleets to which all sorts of things
// happen through two shards: one whose records and events are left alone, and
// one whose records share a buffer that is written over after each, and whose
// events share a Mapper. The strings of an event point into both. Whoever keeps
// one longer than its record, as the key of a map or in an alert to come, says
// something else in the second.
func TestNothingOutlivesItsRecord(t *testing.T) {
	detection, err := LoadDetection(DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Redact.Users, cfg.Redact.Key = "hash", secret.New("0123456789abcdef")
	newShard := func(m pipeline.Mapper) *pipeline.Shard {
		processors, err := NewProcessors(&cfg, detection.Dictionary, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return pipeline.NewShard(cfg.Pipeline.Shard(), m, detection.NewDetector(cfg.Pipeline.Lateness, nil), processors.List()...)
	}
	alerts, kinds := 0, map[string]bool{}
	for _, name := range []string{"july19-small", "crash-loop", "privilege-drift", "protection-disabled", "clones", "friday-rollout"} {
		scenario, err := simulator.Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		fleet, err := simulator.New(simulator.Config{Seed: 3, Agents: 60, Scenario: scenario, Duration: 3 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		left, shared := newShard(freshMapper{detection.Mappings}), newShard(detection.NewMapper())
		var buffer []byte
		partition := event.Partition{Prefix: "p", Topic: "edr"}
		for offset := int64(0); ; offset++ {
			e, ok := fleet.Next()
			if !ok {
				break
			}
			record := event.Record{Offset: offset, Time: e.Time, Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value)}
			left.Reset()
			left.Process(&partition, &record, false)
			buffer = append(append(buffer[:0], e.Key...), e.Value...)
			record.Key, record.Value = buffer[:len(e.Key)], buffer[len(e.Key):]
			shared.Reset()
			shared.Process(&partition, &record, false)
			want, got := left.Documents(), shared.Documents()
			if len(want) != len(got) {
				t.Fatalf("%s, record %d: %d documents, want %d", name, offset, len(got), len(want))
			}
			for i, doc := range got {
				if !bytes.Equal(doc.Body, want[i].Body) || doc.ID != want[i].ID {
					t.Fatalf("%s, record %d:\ngot  %s\nwant %s", name, offset, doc.Body, want[i].Body)
				}
				if doc.Stream == event.Alerts {
					alerts++
					kinds[strings.Clone(doc.AlertKind)] = true
				}
			}
			for i := range buffer {
				buffer[i] = '#'
			}
		}
	}
	if alerts < 40 || len(kinds) < 8 {
		t.Errorf("%d alerts of %d kinds: too few to tell", alerts, len(kinds))
	}
	t.Logf("%d alerts of %d kinds", alerts, len(kinds))
}
