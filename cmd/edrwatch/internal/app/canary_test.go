package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/canary"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

const silentRule = `id: 00000000-0000-4000-8000-00000000c001
name: silent
version: 1
kind: silent_host
maturity: experimental
description: An agent is silent.
severity: high
type: silence
condition: event.action == "sensor-heartbeat"
after: 1s
`

const otherRule = `id: 00000000-0000-4000-8000-00000000c002
name: other
version: 1
kind: cpu_spike
maturity: experimental
description: CPU.
severity: high
type: match
condition: edr.resource.cpu_pct > 90
`

// otherMapping takes the canary's records for something else, under more
// conditions than any other mapping has.
const otherMapping = `vendor: native
dataset: native.other
voice: agent
match:
  - {edrwatch: "*", action: "*", id: "*", time: "*", message: "*", agent.id: "*", agent.type: edrwatch-canary, host.name: "*", host.type: server}
action: {from: action, otherwise: other}
`

// canaryState is the state of the only canary of a gateway; "" before.
func (m *member) canaryState() canary.State {
	if s := m.app.canary.Statuses(); len(s) == 1 {
		return s[0].State
	}
	return ""
}

// TestCanaryEndToEnd takes the rule away that notices the canary, and then the
// mapping that understands it.
func TestCanaryEndToEnd(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	s := newSite(t)
	rules, mapped := t.TempDir(), t.TempDir()
	write := func(dir, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "file.yml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(rules, silentRule)
	m := s.start(func(cfg *config.Config) {
		cfg.Rules.Library, cfg.Rules.Directories, cfg.Mappings.Directories = false, []string{rules}, []string{mapped}
		cfg.Canary = canary.Config{Enabled: true, Heartbeat: 250 * time.Millisecond, Deadline: 8 * time.Second, Every: time.Second, NoticedWithin: 8 * time.Second}
	})
	until := func(state canary.State) {
		t.Helper()
		within(t, 90*time.Second, "a canary that is "+string(state), func() bool { return m.canaryState() == state })
	}
	until(canary.Proving)
	until(canary.Proved)
	if c := m.app.canary.Statuses()[0]; c.Feed != simulator.TopicFDR || c.Rule != "silent" {
		t.Errorf("status %+v", c)
	}
	write(rules, otherRule)
	m.app.rules.reload()
	until(canary.Mute)
	write(rules, silentRule)
	m.app.rules.reload()
	until(canary.Proved)
	write(mapped, otherMapping)
	m.app.mappings.reload()
	until(canary.Deaf)
	if err := os.Remove(filepath.Join(mapped, "file.yml")); err != nil {
		t.Fatal(err)
	}
	m.app.mappings.reload()
	within(t, 30*time.Second, "a canary that is heard again", func() bool { return m.canaryState() != canary.Deaf })
	// Each is reported twice, the canary's own silence never.
	within(t, 30*time.Second, "four alerts", func() bool { return len(m.fleetAlerts("pipeline_silence")) == 4 })
	var list []string
	for _, a := range m.fleetAlerts("pipeline_silence") {
		list = append(list, a.Rule.ID[34:]+" "+a.EDR.Alert.Status+" "+a.EDR.Alert.Key)
	}
	const feed = " " + simulator.TopicFDR
	if got, want := strings.Join(list, ", "), "02 firing"+feed+", 02 resolved"+feed+", 01 firing"+feed+", 01 resolved"+feed; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if n := len(m.fleetAlerts("silent_host")); n > 0 {
		t.Errorf("%d alerts about the canary", n)
	}
	if n := m.app.fleet.Size(); n > 0 {
		t.Errorf("%d agents are known", n)
	}
	m.end()
}
