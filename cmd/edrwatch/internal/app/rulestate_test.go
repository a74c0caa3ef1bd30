package app

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// TestRulesGoOnFromTheirState restarts the gateway in the middle of July 19 and
// expects the alerts about hosts of one that was not restarted, while next to
// nothing is read again.
func TestRulesGoOnFromTheirState(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	const half, whole = 40 * time.Minute, 60 * time.Minute

	s := newSite(t)
	plain := s.gateways(1, func(*config.Config) {})[0]
	f := s.feed("july19-small", 1000, whole)
	f.until(whole)
	settled(t, f.sent, plain)
	plain.end()
	want := plain.hostAlerts()
	if len(want) < 30 {
		t.Errorf("only %d alerts, the test shows little", len(want))
	}

	s = newSite(t)
	keeping := func(cfg *config.Config) {
		cfg.State.Brokers, cfg.State.Topic, cfg.State.Interval = []string{s.addr}, "edrwatch.state", time.Second
	}
	f = s.feed("july19-small", 1000, whole)
	one := s.gateways(1, keeping)[0]
	f.until(half)
	settled(t, f.sent, one)
	one.end()
	two := s.gateways(1, keeping)[0]
	if n := two.total("edrwatch_checkpoint_restores_total"); n == 0 {
		t.Error("no state was restored")
	}
	sent := f.sent
	f.until(whole)
	settled(t, f.sent-sent, two)
	if n, err := two.rebuilt(simulator.TopicFDR); err != nil || int64(n) > sent/10 {
		t.Errorf("%d of %d records were read again (%v), though state was kept after nearly all of them", n, sent, err)
	}
	two.end()
	got := one.hostAlerts()
	maps.Copy(got, two.hostAlerts())
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if _, ok := got[id]; !ok {
			t.Errorf("missing: %s", want[id])
		}
		delete(got, id)
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		t.Errorf("new: %s", got[id])
	}
}

// hostAlerts returns the documents about single hosts, by event.id. What is
// said of the whole fleet is the judge's.
func (m *member) hostAlerts() map[string]string {
	m.t.Helper()
	f, err := os.Open(m.alerts)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	list := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var a struct {
			Event   struct{ ID string }
			Message string
			EDR     struct {
				Alert struct{ Scope string }
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			m.t.Fatal(err)
		}
		if a.EDR.Alert.Scope == "host" {
			list[a.Event.ID] = a.Message
		}
	}
	return list
}
