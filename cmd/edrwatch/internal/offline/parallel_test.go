package offline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/offline"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/file"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// TestPartitionsWriteTheSame: dividing a capture shows what a gateway would have
// said, so that not a byte may differ: events stand in the order of the file.
func TestPartitionsWriteTheSame(t *testing.T) {
	d, err := app.LoadDetection(app.DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	scenario, err := simulator.Shipped("tamper")
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := simulator.New(simulator.Config{Seed: 1, Agents: 60, Scenario: scenario, Duration: 80 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var capture bytes.Buffer
	for n := 0; ; n++ {
		e, ok := fleet.Next()
		if !ok {
			break
		}
		line, err := json.Marshal(map[string]any{"ts": e.Time, "topic": e.Topic, "partition": 0, "offset": n, "key": string(e.Key), "headers": map[string]any{}, "value_b64": e.Value})
		if err != nil {
			t.Fatal(err)
		}
		capture.Write(append(line, '\n'))
	}
	run := func(partitions int, order string) (string, string, offline.Summary) {
		o, err := offline.ParseOrder(order)
		if err != nil {
			t.Fatal(err)
		}
		var events, alerts bytes.Buffer
		job := offline.Job{
			Inputs: []offline.Input{{Name: "c", Reader: bytes.NewReader(capture.Bytes())}}, Format: file.Capture, Shard: pipeline.DefaultShardConfig(),
			Judge: d.NewJudging(event.DefaultLateness), Partitions: partitions, Order: o, Out: offline.Outputs{Events: &events, Alerts: &alerts},
		}
		summary, err := job.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return events.String(), alerts.String(), summary
	}
	events, alerts, summary := run(1, "broker")
	if len(alerts) == 0 {
		t.Fatal("nothing is told")
	}
	for _, order := range []string{"broker", "serial", "shuffle:7"} {
		for _, n := range []int{2, 9} {
			e, a, s := run(n, order)
			if e != events || a != alerts || fmt.Sprint(s) != fmt.Sprint(summary) {
				t.Errorf("%d partitions, %s: %d and %d bytes, %+v; one: %d and %d bytes, %+v", n, order, len(e), len(a), s, len(events), len(alerts), summary)
			}
		}
	}
}

func TestOrdersAreRefused(t *testing.T) {
	for _, text := range []string{"", "shuffle", "shuffle:x", "serial:1", "random"} {
		if _, err := offline.ParseOrder(text); err == nil {
			t.Errorf("%q is an order", text)
		}
	}
}
