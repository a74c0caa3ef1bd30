package mappings

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"encoding/json"

	"bytes"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// BenchmarkMap measures scan and mapping, without encoding, of one record of
// each source, compact as it comes from Kafka.
func BenchmarkMap(b *testing.B) {
	plan := libraryPlan(b)
	for _, name := range []string{
		"crowdstrike/testdata/agent-online", "crowdstrike/testdata/heartbeat", "windows/testdata/scm-7036-sensor-stopped",
		"defender/testdata/deviceinfo-records", "metricbeat/testdata/process-sensor",
		"crowdstrike/testdata/host-policy-pending", "crowdstrike/testdata/stream-reveal-token",
		"sentinelone/testdata/agent", "sentinelone/testdata/activity-disabled-by-user",
		"defender/testdata/machine", "defender/testdata/deviceevents-antivirusdefinitionsupdated", "defender/testdata/mdatp-linux",
		"elastic/testdata/defend-policy", "elastic/testdata/fleet-agent", "cortex/testdata/agent-service-stop",
		"cortex/testdata/agent-service-stop-filebeat", "trendmicro/testdata/pattern-update", "sophos/testdata/update-success",
		"carbonblack/testdata/device", "wazuh/testdata/rule-503", "osquery/testdata/info", "falco/testdata/metrics-snapshot",
		"auditd/testdata/lost", "clamav/testdata/updated", "otel/testdata/process", "prometheus/testdata/sample-memory",
		"metricbeat/testdata/windows-service-sensor", "native/testdata/heartbeat", "ecs/testdata/gateway",
	} {
		raw, err := os.ReadFile(filepath.FromSlash(name + ".json"))
		if err != nil {
			b.Fatal(err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			compact.Reset() // Not JSON: the text itself.
			compact.Write(raw)
		}
		b.Run(strings.ReplaceAll(name, "/testdata/", "/"), func(b *testing.B) {
			m := plan.NewMapper()
			events, encoded := 0, []byte(nil)
			record, partition := &event.Record{Value: compact.Bytes()}, &event.Partition{Topic: "edr"}
			if err := m.Map(partition, record, func(e *event.Event) { events++; encoded = e.AppendJSON(encoded) }); err != nil {
				b.Fatal(err)
			}
			b.Logf("%d bytes in, %d events, %d bytes of ECS; %d mappings, %d paths; %s, 1 goroutine",
				compact.Len(), events, len(encoded), len(plan.mappings), len(plan.keys.nodes)-1, runtime.Version())
			b.SetBytes(int64(compact.Len()))
			b.ReportAllocs()
			emit := func(*event.Event) {}
			for b.Loop() {
				if err := m.Map(partition, record, emit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDetect measures how long it takes to find the mapping of a record
// whose keys are noted.
func BenchmarkDetect(b *testing.B) {
	plan := libraryPlan(b)
	m := plan.NewMapper()
	for _, name := range []string{"crowdstrike/testdata/heartbeat.json", "windows/testdata/scm-7036-sensor-stopped.json", "metricbeat/testdata/process-sensor.json"} {
		raw, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(strings.Split(name, "/")[0], func(b *testing.B) {
			record, partition := &event.Record{Value: raw}, &event.Partition{Topic: "edr"}
			if err := m.scan(raw); err != nil {
				b.Fatal(err)
			}
			m.notePresent(0)
			b.Logf("%d shapes of %d mappings", len(plan.shapes), len(plan.mappings))
			b.ReportAllocs()
			for b.Loop() {
				plan.detect(m, partition, record, nil)
			}
		})
	}
}
