package api

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sinks/store"
)

// second and start make readable times: start is 2024-07-19T03:00:00Z.
const (
	second = int64(1e9)
	start  = 1721358000 * second
)

// gateway is a Gateway with fixed answers.
type gateway struct{}

func (gateway) Status() Status {
	lag := int64(12)
	return Status{
		Name: "edrwatch", Version: "test", Started: time.Unix(0, start).UTC(),
		Input:   "Kafka topics edr.crowdstrike.fdr, edr.windows, edr.defender, edr.metrics at 127.0.0.1:19092",
		Records: map[string]uint64{"mapped": 18234, "other": 12, "dead": 3, "duplicate": 40}, RecordsPerSecond: 412.5, Lag: &lag,
		Sinks: []SinkStatus{{Name: "store", Documents: map[string]uint64{"indexed": 18234}}, {Name: "elasticsearch", Documents: map[string]uint64{"indexed": 18230}}},
	}
}

func (gateway) Rules() []Rule {
	return []Rule{{
		ID: "cohort-silent", Name: "A cohort of agents fell silent", Version: 3, Type: "silence", Kind: "mass_silence", Severity: "critical", Stage: "production",
		Description: "More agents of one cohort are overdue than chance explains.",
		Note:        "1. Open the cohort in Fleet: is it one content version, one site, or one ring?\n2. If one content version: stop its rollout and go back.\n3. If one site: ask the network team before you call it an agent problem.",
		Techniques:  []string{"T1562.001"},
	}}
}

// docOf makes a document from ECS fields.
func docOf(tb testing.TB, id string, stream event.Stream, at int64, action, host, agent string, fields map[string]any) *event.Document {
	tb.Helper()
	fields["@timestamp"] = string(event.AppendTime(nil, at))
	ev, _ := fields["event"].(map[string]any)
	if ev == nil {
		ev = map[string]any{}
	}
	ev["action"], ev["id"] = action, id
	fields["event"] = ev
	if host != "" {
		h, _ := fields["host"].(map[string]any)
		if h == nil {
			h = map[string]any{}
		}
		h["name"] = host
		fields["host"] = h
	}
	body, err := json.Marshal(fields)
	if err != nil {
		tb.Fatal(err)
	}
	d := &event.Document{ID: id, Stream: stream, Time: at, Action: action, Host: host, AgentID: agent, Body: body}
	if host == "" {
		d.Host = agent
	}
	return d
}

// alertOf makes a document of an alert.
func alertOf(tb testing.TB, id, episode string, at int64, rule, kind, severity, status, host, message string, more map[string]any) *event.Document {
	tb.Helper()
	alert := map[string]any{"id": episode, "kind": kind, "severity": severity, "status": status, "scope": "host", "key": host}
	for k, v := range more {
		alert[k] = v
	}
	d := docOf(tb, id, event.Alerts, at, "alert", host, "", map[string]any{
		"message": message, "rule": map[string]any{"id": rule, "name": message, "version": "3"},
		"event": map[string]any{"kind": "alert", "risk_score": 73}, "edr": map[string]any{"alert": alert},
	})
	d.Severity, d.AlertKind, d.Rules = severity, kind, []string{rule}
	return d
}

// fleetDay makes a small fleet that lives through two hours in which a content
// update takes a third of it down.
func fleetDay(tb testing.TB, agents int) []*event.Document {
	tb.Helper()
	r := rand.New(rand.NewPCG(19, 7))
	kinds := []struct{ typ, version, os, osType string }{
		{"crowdstrike-falcon", "7.15.18513.0", "Windows 11 23H2", "windows"}, {"crowdstrike-falcon", "7.16.18605.0", "Windows Server 2022", "windows"},
		{"microsoft-defender", "10.8750.22631", "Windows 11 23H2", "windows"}, {"elastic-endpoint", "8.14.3", "Ubuntu 22.04", "linux"},
	}
	var docs []*event.Document
	down := 0
	for a := range agents {
		k := kinds[r.IntN(len(kinds))]
		id := fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
		host := fmt.Sprintf("%s-%s-%04d", []string{"ber", "muc", "lon", "nyc"}[a%4], map[string]string{"windows": "wks", "linux": "srv"}[k.osType], a)
		mode := map[string]string{"windows": "kernel", "linux": "ebpf"}[k.osType]
		state, content := "protecting", "291-31"
		crashes := k.typ == "crowdstrike-falcon" && r.IntN(3) > 0
		for n, at := 0, start+int64(r.IntN(120))*second; at < start+7200*second; n, at = n+1, at+int64(280+r.IntN(40))*second {
			base := map[string]any{
				"agent": map[string]any{"id": id, "type": k.typ, "version": k.version},
				"host":  map[string]any{"os": map[string]any{"full": k.os, "type": k.osType}},
				"edr":   map[string]any{"state": state, "mode": mode, "content": map[string]any{"version": content}, "rollout": map[string]any{"ring": []string{"canary", "early", "broad", "broad"}[a%4]}},
			}
			action := "sensor-heartbeat"
			if crashes && at > start+4140*second && k.typ == "crowdstrike-falcon" {
				docs = append(docs, docOf(tb, fmt.Sprintf("c-%d-%d", a, n), event.Telemetry, at, "host-crashed", host, id, map[string]any{
					"agent": map[string]any{"id": id, "type": k.typ, "version": k.version}, "message": "The computer has rebooted from a bugcheck. The bugcheck was: 0x00000050 (0xffff840500000074, 0x0, 0xfffff8033f8df6b1, 0x2)",
					"edr": map[string]any{"state": "offline", "crash": map[string]any{"code": "0x00000050", "kind": "host", "module": "csagent.sys"}, "rules": []string{"host-crash"}},
				}))
				docs[len(docs)-1].Rules = []string{"host-crash"}
				down++
				break
			}
			if r.IntN(400) == 0 {
				state = []string{"degraded", "reduced", "disabled"}[r.IntN(3)]
			}
			docs = append(docs, docOf(tb, fmt.Sprintf("e-%d-%d", a, n), event.Telemetry, at, action, host, id, base))
			if n%3 == 0 {
				docs = append(docs, docOf(tb, fmt.Sprintf("m-%d-%d", a, n), event.Metrics, at+second, "resource-usage", host, id, map[string]any{
					"agent": map[string]any{"id": id, "type": k.typ},
					"edr":   map[string]any{"resource": map[string]any{"cpu_pct": float64(r.IntN(80)) / 10, "memory_bytes": 180_000_000 + r.IntN(90_000_000)}},
				}))
			}
		}
	}
	at := start + 4500*second
	hosts := make([]string, 0, 40)
	for i := range 40 {
		hosts = append(hosts, fmt.Sprintf("ber-wks-%04d", i*4))
	}
	mass := map[string]any{
		"scope": "cohort", "key": "crowdstrike-falcon / content 291-32", "count": down, "denominator": agents / 2, "hosts": hosts,
		"reason":   fmt.Sprintf("%d of %d agents of the cohort are overdue; 4 are expected at this hour", down, agents/2),
		"evidence": map[string]any{"expected_overdue": 4, "window": "10m", "cadence_seconds": 300, "content": map[string]any{"version": "291-32"}},
	}
	docs = append(docs,
		alertOf(tb, "al-1", "a1f3", at, "cohort-silent", "mass_silence", "critical", "firing", "", "A cohort of agents fell silent: crowdstrike-falcon, content 291-32", mass),
		alertOf(tb, "al-1b", "a1f3", at+600*second, "cohort-silent", "mass_silence", "critical", "firing", "", "A cohort of agents fell silent: crowdstrike-falcon, content 291-32", mass),
		alertOf(tb, "al-2", "b2", at-200*second, "boot-loop", "boot_loop", "high", "firing", "ber-wks-0004", "ber-wks-0004 has booted 5 times in 10 minutes", map[string]any{"count": 5, "reason": "5 boots without a clean shutdown in 10 minutes, threshold 3", "hosts": []string{"ber-wks-0004"}}),
		alertOf(tb, "al-3", "c3", start+1200*second, "agent-cpu", "cpu_spike", "medium", "firing", "lon-srv-0022", "Agent uses 94 % of the CPU of lon-srv-0022", map[string]any{"reason": "edr.resource.cpu_pct was above 80 for 5 minutes"}),
		alertOf(tb, "al-4", "c3", start+2400*second, "agent-cpu", "cpu_spike", "medium", "resolved", "lon-srv-0022", "Agent uses 94 % of the CPU of lon-srv-0022", map[string]any{"reason": "below 80 since 03:35"}),
		alertOf(tb, "al-5", "d4", start+3000*second, "tamper-attempt", "tamper", "high", "firing", "nyc-wks-0103", "Somebody tried to stop the agent of nyc-wks-0103", map[string]any{"reason": "sc.exe stop CSFalconService by NYC\\jdoe, blocked"}),
		alertOf(tb, "al-6", "e5", start+3600*second, "protection-off", "protection_disabled", "low", "resolved", "muc-wks-0081", "Protection was switched off on muc-wks-0081 for 4 minutes", map[string]any{"reason": "within a maintenance window"}),
		alertOf(tb, "al-7", "f6", start+5000*second, "telemetry-loss", "telemetry_loss", "info", "firing", "lon-srv-0090", "lon-srv-0090 dropped 1,204 events", map[string]any{"reason": "edr.feed.dropped rose by 1,204"}),
	)
	return docs
}

// harness is a data handler over a real store.
type harness struct {
	data  *Data
	store *store.Store
	hub   *Hub
}

func serve(tb testing.TB, change func(*DataConfig), docs ...*event.Document) *harness {
	tb.Helper()
	cfg := store.DefaultConfig()
	cfg.Path = filepath.Join(tb.TempDir(), "events.db")
	conf := DefaultConfig().Data
	if change != nil {
		change(&conf)
	}
	hub := NewHub(conf.MaxStreams)
	s, err := store.New(cfg, store.Settings{Observe: hub.Publish})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		hub.Close()
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	h := &harness{store: s, hub: hub}
	h.write(tb, docs...)
	if h.data, err = NewData(conf, Settings{Store: s, Gateway: gateway{}, Rollouts: versions{}, Agents: roll{}, Hub: hub}); err != nil {
		tb.Fatal(err)
	}
	return h
}

func (h *harness) write(tb testing.TB, docs ...*event.Document) {
	tb.Helper()
	for len(docs) > 0 {
		n := min(len(docs), 500)
		results := make([]event.Result, n)
		if err := h.store.Write(tb.Context(), docs[:n], results); err != nil {
			tb.Fatal(err)
		}
		for i, r := range results {
			if r.Outcome != event.Indexed {
				tb.Fatalf("document %s: %v %v", docs[i].ID, r.Outcome, r.Err)
			}
		}
		docs = docs[n:]
	}
}
