package pipeline

import (
	"testing"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestCountersKeepTheirLabels reuses the memory of a document's texts, as the
// next batch does, and gathers what was counted.
func TestCountersKeepTheirLabels(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{
		runner: &Runner{metrics: m}, shard: &Shard{}, counts: m.partition("t"),
		events: map[string]prometheus.Counter{}, alerts: map[[2]string]prometheus.Counter{},
	}
	memory := []byte("sensor-heartbeat cpu_spike high")
	text := unsafe.String(&memory[0], len(memory))
	docs := []*event.Document{
		{Stream: event.Telemetry, Action: text[:16]},
		{Stream: event.Alerts, AlertKind: text[17:26], Severity: text[27:]},
	}
	w.countShard(docs)
	w.countShard(docs)
	copy(memory, "***************************************")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				found[family.GetName()+" "+label.GetValue()] = metric.GetCounter().GetValue()
			}
		}
	}
	for _, series := range []string{"edrwatch_events_total sensor-heartbeat", "edrwatch_alerts_total cpu_spike", "edrwatch_alerts_total high"} {
		if found[series] != 2 {
			t.Errorf("expected 2 of %s, found %v", series, found)
		}
	}
}
