package app

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// documents returns the ids of the alert documents of the gateway that are not
// about the fleet as a whole.
func (m *member) documents() []string {
	m.t.Helper()
	text, err := os.ReadFile(m.alerts)
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	var ids []string
	for line := range bytes.Lines(text) {
		var a told
		if err := json.Unmarshal(line, &a); err != nil {
			m.t.Fatal(err)
		}
		if a.EDR.Alert.Scope != "host" {
			continue // The first steps depend on which partition begins first: TestReadingsAgree holds what crosses them.
		}
		ids = append(ids, a.Rule.ID+" "+a.EDR.Alert.Kind+" "+a.EDR.Alert.Status+" "+a.EDR.Alert.Key+" "+a.Event.ID)
	}
	return ids
}

// TestRestartsGoOnFromState restarts a gateway that reads nothing again:
// once in order, once as if it was killed some time after its last snapshots.
// The alerts are those of one that was never stopped; what the fleet's judge
// tells is tested by itself.
func TestRestartsGoOnFromState(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	const agents, whole = 300, 2 * time.Hour
	run := func(stops ...time.Duration) []string {
		s := newSite(t)
		keeping := func(cfg *config.Config) {
			s.exchanging(cfg)
			cfg.State.Brokers, cfg.State.Topic, cfg.State.Interval = []string{s.addr}, "edrwatch.state", time.Second
			cfg.Sources[0].Settings.(*kafkasource.Config).MaxRewind = 0
		}
		f := s.feed("july19", agents, whole)
		var all []string
		sent := int64(0)
		for i, stop := range append(stops, whole) {
			m := s.gateways(1, keeping)[0]
			if i > 0 {
				within(t, 30*time.Second, "state to be restored", func() bool { return m.total("edrwatch_checkpoint_restores_total") == 5 })
			}
			before := sent
			f.until(stop)
			settled(t, f.sent-sent, m)
			if n, err := m.rebuilt(simulator.TopicFDR); i == 1 && (err != nil || int64(n) > before/10) {
				t.Errorf("%d of %d records were read again (%v), though state was kept after nearly all of them", n, before, err)
			}
			sent = f.sent
			if i == 1 {
				// Killed: the last snapshots are those of a while ago.
				if err := m.app.state.Close(); err != nil {
					t.Error(err)
				}
			}
			m.end()
			all = append(all, m.documents()...)
		}
		slices.Sort(all)
		return all
	}
	want := run()
	got := run(70*time.Minute, 80*time.Minute)
	if len(want) < 50 {
		t.Errorf("only %d alert documents: the test shows little", len(want))
	}
	if got = slices.Compact(got); !slices.Equal(got, want) {
		for _, id := range want {
			if !slices.Contains(got, id) {
				t.Errorf("missing after restarts: %s", id)
			}
		}
		for _, id := range got {
			if !slices.Contains(want, id) {
				t.Errorf("only after restarts: %s", id)
			}
		}
	}
}
