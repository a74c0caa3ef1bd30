package mappings

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestTwinsGiveTheSameFields maps what Metricbeat says of an agent's process,
// services and host, and what exporters of Prometheus and OpenTelemetry's
// collector say of the same: whatever they say, too, stands in the same fields
// with the same values. Prometheus has a sample for each value, so that several
// records make up one of Metricbeat's.
func TestTwinsGiveTheSameFields(t *testing.T) {
	plan := libraryPlan(t)
	m := plan.NewMapper()
	fieldsOf := func(records ...string) map[string]string {
		fields := map[string]string{}
		for _, record := range records {
			err := m.Map(&event.Partition{Topic: "metrics"}, &event.Record{Value: []byte(record)}, func(e *event.Event) {
				for id, v := range e.Fields {
					name := e.Dictionary().Field(id).Name
					if root, _, _ := strings.Cut(name, "."); slices.Contains([]string{"agent", "edr", "process", "service", "host", "observer", "@timestamp"}, root) ||
						slices.Contains([]string{"event.action", "event.kind", "event.category", "event.type"}, name) {
						fields[name] = string(v.AppendJSON(nil))
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return fields
	}
	const beat = `"@timestamp":"2024-07-19T04:10:00.000Z","ecs":{"version":"8.0.0"},"agent":{"type":"metricbeat"},"host":{"name":"web-01","os":{"type":%q}},`
	record := func(os, format string, args ...any) string {
		return fmt.Sprintf("{"+beat+format+"}", append([]any{os}, args...)...)
	}
	sample := func(name, labels string, value any) string {
		return fmt.Sprintf(`{"name":%q,"timestamp":"2024-07-19T04:10:00Z","value":"%v","labels":{"instance":"web-01:9100",%s}}`, name, value, labels)
	}
	otlp := func(os, resource, metrics string) string {
		return fmt.Sprintf(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"web-01"}},{"key":"os.type","value":{"stringValue":%q}}%s]},`+
			`"scopeMetrics":[{"metrics":[%s]}]}]}`, os, resource, metrics)
	}
	gauge := func(name string, points ...string) string {
		return fmt.Sprintf(`{"name":%q,"gauge":{"dataPoints":[%s]}}`, name, strings.Join(points, ","))
	}
	point := func(value float64, attributes string) string {
		return fmt.Sprintf(`{"timeUnixNano":"1721362200000000000","asDouble":%g,"attributes":[%s]}`, value, attributes)
	}
	state := func(name string) string { return fmt.Sprintf(`{"key":"state","value":{"stringValue":%q}}`, name) }
	for _, tc := range []struct {
		name  string
		beat  string
		twins map[string][]string
		unsay []string // fields that no twin gives
	}{
		{
			name: "process",
			beat: record("linux", `"event":{"dataset":"system.process"},"process":{"name":"falcon-sensor"},"system":{"process":{"cpu":{"start_time":"2024-07-18T04:10:00.000Z","total":{"norm":{"pct":0.021}}},"memory":{"rss":{"bytes":268435456}},"num_threads":41,"fd":{"open":212}}}`),
			twins: map[string][]string{
				"process-exporter": {
					sample("namedprocess_namegroup_memory_bytes", `"groupname":"falcon-sensor","memtype":"resident"`, 268435456),
					sample("namedprocess_namegroup_num_threads", `"groupname":"falcon-sensor"`, 41),
					sample("namedprocess_namegroup_open_filedesc", `"groupname":"falcon-sensor"`, 212),
					sample("namedprocess_namegroup_oldest_start_time_seconds", `"groupname":"falcon-sensor"`, 1721275800),
				},
				"OpenTelemetry": {otlp("linux", `,{"key":"process.executable.name","value":{"stringValue":"falcon-sensor"}}`,
					gauge("process.cpu.utilization", point(0.02, state("user")), point(0.001, state("system")))+","+gauge("process.memory.usage", point(268435456, ""))+","+
						gauge("process.threads", point(41, ""))+","+gauge("process.open_file_descriptors", point(212, ""))+","+gauge("process.uptime", point(86400, "")))},
			},
			unsay: []string{"process.start", "process.uptime"},
		},
		{
			name: "service of Windows",
			beat: record("windows", `"event":{"dataset":"windows.service"},"windows":{"service":{"name":"CSFalconService","state":"Running","start_type":"Automatic","start_name":"LocalSystem","pid":2140}}`),
			twins: map[string][]string{"OpenTelemetry": {otlp("windows", "", `{"name":"windows.service.status","gauge":{"dataPoints":[{"timeUnixNano":"1721362200000000000","asInt":"4","attributes":[`+
				`{"key":"name","value":{"stringValue":"CSFalconService"}},{"key":"startup_mode","value":{"stringValue":"auto_start"}}]}]}}`)}, "windows_exporter": {
				sample("windows_service_state", `"name":"CSFalconService","state":"running"`, 1),
				sample("windows_service_state", `"name":"CSFalconService","state":"stopped"`, 0),
				sample("windows_service_start_mode", `"name":"CSFalconService","start_mode":"auto"`, 1),
				sample("windows_service_start_mode", `"name":"CSFalconService","start_mode":"disabled"`, 0),
				sample("windows_service_info", `"name":"CSFalconService","display_name":"CrowdStrike Falcon Sensor Service","process_id":"2140","run_as":"LocalSystem"`, 1),
			}},
		},
		{
			name: "unit of systemd",
			beat: record("linux", `"event":{"dataset":"system.service"},"system":{"service":{"name":"falcon-sensor.service","state":"failed"}}`),
			twins: map[string][]string{"node_exporter": {
				sample("node_systemd_unit_state", `"name":"falcon-sensor.service","state":"failed"`, 1),
				sample("node_systemd_unit_state", `"name":"falcon-sensor.service","state":"active"`, 0),
			}},
			unsay: []string{"edr.component.name"},
		},
		{
			name: "processor of the host",
			beat: record("linux", `"event":{"dataset":"system.cpu"},"system":{"cpu":{"total":{"norm":{"pct":0.25}}}}`),
			twins: map[string][]string{"OpenTelemetry": {otlp("linux", "", gauge("system.cpu.utilization",
				point(0.2, state("user")), point(0.8, state("idle")), point(0.3, state("user")), point(0.7, state("idle"))))}},
		},
		{
			name:  "memory of the host",
			beat:  record("linux", `"event":{"dataset":"system.memory"},"system":{"memory":{"actual":{"used":{"pct":0.5}}}}`),
			twins: map[string][]string{"OpenTelemetry": {otlp("linux", "", gauge("system.memory.usage", point(1024, state("used")), point(1024, state("free"))))}},
		},
	} {
		want := fieldsOf(tc.beat)
		for _, name := range tc.unsay {
			delete(want, name)
		}
		for _, name := range slices.Sorted(maps.Keys(tc.twins)) {
			got := fieldsOf(tc.twins[name]...)
			for field, value := range want {
				if name == "OpenTelemetry" && (field == "process.pid" || field == "edr.privilege.account") {
					continue // Its receiver of services does not say.
				}
				if got[field] != value && !(field == "host.os.type" && name == "process-exporter" || field == "edr.resource.cpu_pct" && name == "process-exporter") {
					t.Errorf("%s: %s is %s of %s, %s of Metricbeat", tc.name, field, got[field], name, value)
				}
			}
			for field := range got {
				if _, ok := want[field]; !ok && !slices.Contains(tc.unsay, field) && field != "host.hostname" {
					t.Errorf("%s: %s has %s, Metricbeat has not", tc.name, name, field)
				}
			}
		}
	}
	if !json.Valid([]byte(record("linux", `"a":1`))) {
		t.Fatal("the test's records are broken")
	}
}
