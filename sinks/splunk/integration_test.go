//go:build integration

package splunk

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/edrwatch/edrwatch/deploy/testbed"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

// TestForeignReceiver writes to a collector that others wrote, with and
// without acknowledgement.
func TestForeignReceiver(t *testing.T) {
	for _, ack := range []bool{false, true} {
		t.Run(fmt.Sprintf("acknowledgement %v", ack), func(t *testing.T) {
			var options []testbed.HECOption
			if ack {
				options = append(options, testbed.HECAck())
			}
			receiver := testbed.HEC(t, options...)
			cfg := DefaultConfig()
			cfg.URLs, cfg.Token = []string{receiver.URL()}, secret.New(token)
			cfg.Ack.Enabled, cfg.Ack.Required = ack, ack
			cfg.RequestBytes = 256 << 10
			s, err := New(cfg, Settings{Name: "splunk", Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
			const n = 5000
			docs := sinktest.Documents("hec", n, 200)
			results := make([]event.Result, n)
			if err := s.Write(t.Context(), docs, results); err != nil {
				t.Fatal(err)
			}
			seen := map[string]testbed.HECEvent{}
			for _, e := range receiver.Events(t) {
				seen[fmt.Sprint(e.Fields["event_id"])] = e
			}
			for i, d := range docs {
				e, ok := seen[d.ID]
				if !ok || e.SourceType != SourceType(d.Stream) || e.Host != d.Host || int64(e.Time*1000+0.5) != d.Time/1e6 {
					t.Fatalf("event %s arrived as %+v", d.ID, e)
				}
				if results[i].Outcome != event.Indexed {
					t.Fatalf("event %s is %v", d.ID, results[i].Outcome)
				}
			}
			if len(seen) != n {
				t.Errorf("%d different events arrived, want %d", len(seen), n)
			}
		})
	}
}
