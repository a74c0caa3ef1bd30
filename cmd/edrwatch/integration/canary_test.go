//go:build integration && linux

package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const noticing = `id: 00000000-0000-4000-8000-00000000c101
name: silent
version: 1
kind: silent_host
maturity: experimental
description: An agent is silent.
severity: high
type: silence
condition: event.action == "sensor-heartbeat"
after: 2s
`

// TestCanaryOfTwoGateways: one of them plays the canary of the only feed and is
// killed, the other goes on with it.
func TestCanaryOfTwoGateways(t *testing.T) {
	f := connect(t, "canary")
	topic := f.topic("feed")
	f.server.CreateTopic(t, topic, 2)
	rules := t.TempDir()
	if err := os.WriteFile(filepath.Join(rules, "silent.yml"), []byte(noticing), 0o600); err != nil {
		t.Fatal(err)
	}
	begin := func() *gateway {
		dir := t.TempDir()
		return start(t, fmt.Sprintf(`version: 1
cluster: %s
log: {level: info, format: json}
http: {listen: "127.0.0.1:0", health_listen: "127.0.0.1:0"}
sources:
  - {name: edr, type: kafka, brokers: [%q], group: %s, topics: [%s], session_timeout: 6s}
canary: {enabled: true, heartbeat: 500ms, deadline: 30s, every: 2s, noticed_within: 30s}
sinks:
  - {name: out, type: file, path: %q, route: {streams: [alerts]}}
dead_letter: {type: file, path: %q}
rules: {library: false, directories: [%q]}
`, cluster, f.brokers[0], f.group(), topic, filepath.Join(dir, "alerts.ndjson"), filepath.Join(dir, "dead.ndjson"), rules))
	}
	proved := func(all ...*gateway) (who int) {
		t.Helper()
		eventually(t, 2*time.Minute, "a proof", func() error {
			players := 0
			for i, g := range all {
				s, err := g.tryScrape()
				if err != nil {
					return err
				}
				if s.sum("edrwatch_canary_state", "feed", topic) > 0 {
					who = i
					players++
				}
			}
			if players != 1 {
				return fmt.Errorf("%d gateways play the canary", players)
			}
			if all[who].scrape().sum("edrwatch_canary_proofs_total", "outcome", "proved") == 0 {
				return errors.New("nothing is proved yet")
			}
			return nil
		})
		return who
	}
	both := []*gateway{begin(), begin()}
	who := proved(both...)
	both[who].kill()
	left := both[1-who]
	proved(left)
	if n := left.scrape().sum("edrwatch_alerts_total"); n > 0 {
		t.Errorf("%v alerts about a canary", n)
	}
	left.terminate(10 * time.Second)
}
