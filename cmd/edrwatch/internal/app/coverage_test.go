package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
)

// heardActions are those of which a rule has to hear whatever vendor tells of
// them.
func heardActions() []string {
	return []string{
		"content-update-failed", "driver-blocked", "exclusion-changed", "host-booted", "host-crashed", "host-unclean-shutdown", "log-cleared",
		"mode-changed", "policy-failed", "protection-disabled", "sensor-connected", "sensor-crashed", "sensor-installed", "sensor-started",
		"sensor-stopped", "sensor-uninstalled", "sensor-updated", "tamper-attempt", "telemetry-dropped", "uninstall-token-revealed",
	}
}

// ofAgents are those of which it has to when they are about an agent.
func ofAgents() []string {
	return []string{"driver-unloaded", "error", "service-crashed", "service-started", "service-stopped"}
}

// TestEveryVendorIsHeard maps every sample of the mappings and asks which
// shipped rules matched or counted it: a fact that rules know from one vendor
// must not pass unheard when another tells of it. With -v the whole table is
// shown.
func TestEveryVendorIsHeard(t *testing.T) {
	dict, plan := libraryPlan(t)
	parsed, err := rules.Parse(rules.Library())
	if err != nil {
		t.Fatal(err)
	}
	set, err := parsed.Compile(dict)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, r := range set.Rules() {
		names[r.ID] = strings.TrimSuffix(filepath.Base(r.File), ".yml")
	}
	samples, err := filepath.Glob("../../../../mappings/*/testdata/*.json")
	if err != nil || len(samples) == 0 {
		t.Fatal(samples, err)
	}
	var table []string
	m := plan.NewMapper()
	for _, sample := range samples {
		if strings.HasSuffix(sample, ".golden.json") {
			continue
		}
		raw, err := os.ReadFile(sample)
		if err != nil {
			t.Fatal(err)
		}
		err = m.Map(&event.Partition{}, &event.Record{Value: raw}, func(e *event.Event) {
			now := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC).UnixNano()
			e.Set(ecs.Timestamp, event.Time(now))
			s := set.NewSession(rules.SessionOptions{})
			s.Detect(now, e, func(*event.Event) {})
			s.Close()
			var heard []string
			if v := e.Get(ecs.EDRRules); v != nil {
				for _, id := range append(v.List(), v.Str()) {
					if names[id] != "" {
						heard = append(heard, names[id])
					}
				}
			}
			action := textOf(e, ecs.EventAction)
			table = append(table, fmt.Sprintf("%s %s %s (%s): %s", action, textOf(e, ecs.AgentType), textOf(e, ecs.EventCode), filepath.Base(sample), strings.Join(heard, " ")))
			if e.Voice() == event.VoiceServer && !e.Has(ecs.AgentID) && !e.Has(ecs.HostName) && (action == "content-update-failed" || action == "service-started") {
				return // It is about the console.
			}
			if len(heard) == 0 && (slices.Contains(heardActions(), action) || slices.Contains(ofAgents(), action) && e.Has(ecs.AgentType)) {
				t.Errorf("%s: no rule hears %s with event.code %s", sample, action, textOf(e, ecs.EventCode))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(table)
	t.Log("\n" + strings.Join(table, "\n"))
}

func textOf(e *event.Event, id ecs.ID) string {
	if v := e.Get(id); v != nil {
		return v.Str()
	}
	return "-"
}
