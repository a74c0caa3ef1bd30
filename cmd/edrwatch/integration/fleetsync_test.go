//go:build integration && linux

package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/sources/simulator"
)

// exchanging is the configuration of one of several gateways with a judge for
// all of them; alerts and dead letters go into files.
func (f *feed) exchanging(dir string) string {
	brokers := `"` + strings.Join(f.brokers, `", "`) + `"`
	return fmt.Sprintf(`version: 1
cluster: %s
log: {level: info, format: json}
http: {listen: "127.0.0.1:0", health_listen: "127.0.0.1:0"}
sources:
  - {name: edr, type: kafka, brokers: [%s], group: %s, topics: [%s], session_timeout: 6s}
fleet: {exchange: {brokers: [%s], topic: %s, group: %s-judge}}
state: {brokers: [%s], topic: %s, interval: 1s}
sinks:
  - {name: out, type: file, path: %q, route: {streams: [alerts]}}
dead_letter: {type: file, path: %q}
`, cluster, brokers, f.group(), f.topic(simulator.TopicFDR), brokers, f.topic("fleet"), f.group(), brokers, f.topic("state"),
		filepath.Join(dir, "alerts.ndjson"), filepath.Join(dir, "dead.ndjson"))
}

// sensors writes to the topic of the simulated sensors, by agent.
func (f *feed) sensors() *kafka.Writer {
	transport := &kafka.Transport{}
	w := &kafka.Writer{
		Addr: kafka.TCP(f.brokers...), Topic: f.topic(simulator.TopicFDR), Balancer: &kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchTimeout: time.Millisecond, BatchSize: 5000, Transport: transport,
	}
	f.t.Cleanup(func() {
		_ = w.Close()
		transport.CloseIdleConnections()
	})
	return w
}

// simulated produces the records of a simulation that come before a time.
func (f *feed) simulated(fleet *simulator.Fleet, until time.Time, w *kafka.Writer) (sent int64) {
	f.t.Helper()
	var batch []kafka.Message
	for {
		e, ok := fleet.Next()
		if !ok || e.Time >= until.UnixMilli() {
			break // The one that came too far is lost, which no test minds.
		}
		if e.Topic == simulator.TopicFDR {
			batch = append(batch, kafka.Message{Key: e.Key, Value: e.Value, Time: time.UnixMilli(e.Time)})
		}
	}
	if err := w.WriteMessages(f.t.Context(), batch...); err != nil {
		f.t.Fatal(err)
	}
	return int64(len(batch))
}

// rollouts returns the ids of the alerts about a bad version, and of their
// documents.
func rollouts(t testing.TB, dir string) (alerts, documents []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "alerts.ndjson"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		var doc struct {
			Event struct{ ID string }
			EDR   struct {
				Alert struct{ ID, Kind, Key string }
			}
		}
		if json.Unmarshal(s.Bytes(), &doc) != nil || doc.EDR.Alert.Kind != "bad_rollout" {
			continue // Of another kind, or being written.
		}
		if doc.EDR.Alert.Key != "crowdstrike-falcon/content 291 32" {
			t.Errorf("accused: %s", doc.EDR.Alert.Key)
		}
		alerts, documents = append(alerts, doc.EDR.Alert.ID), append(documents, doc.Event.ID)
	}
	return alerts, documents
}

// TestOneJudgeForTwoGateways shares 19 July 2024 among two gateways and kills
// the one that raises the fleet's alerts in the middle of it.
func TestOneJudgeForTwoGateways(t *testing.T) {
	f := connect(t, "exchange")
	f.server.CreateTopic(t, f.topic(simulator.TopicFDR), 4)
	f.server.CreateTopic(t, f.topic("fleet"), 1)
	f.server.CreateTopic(t, f.topic("state"), 3, "cleanup.policy", "compact")
	shipped, err := simulator.Shipped("july19-small")
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := simulator.New(simulator.Config{Seed: 1, Agents: 1000, Scenario: shipped})
	if err != nil {
		t.Fatal(err)
	}
	w := f.sensors()
	dirs := []string{t.TempDir(), t.TempDir()}
	gateways := []*gateway{start(t, f.exchanging(dirs[0])), start(t, f.exchanging(dirs[1]))}
	owned := func(g *gateway, topic string) int {
		s, err := g.tryScrape()
		if err != nil {
			return 0
		}
		n := 0
		for _, m := range s["edrwatch_kafka_lag_records"].GetMetric() {
			if hasLabels(m, []string{"topic", topic}) {
				n++
			}
		}
		return n
	}
	eventually(t, time.Minute, "sharing the partitions", func() error {
		a, b := owned(gateways[0], f.topic(simulator.TopicFDR)), owned(gateways[1], f.topic(simulator.TopicFDR))
		if a+b != 4 || a == 0 || b == 0 || owned(gateways[0], f.topic("fleet"))+owned(gateways[1], f.topic("fleet")) != 1 {
			return fmt.Errorf("they have %d and %d", a, b)
		}
		for i, g := range gateways {
			// Who joins later may get the partition of the exchange.
			if s, err := g.tryScrape(); err != nil || s.sum("edrwatch_kafka_rebalances_total", "source", "fleet.exchange.judge") == 0 {
				return fmt.Errorf("gateway %d has not joined the group of the exchange: %w", i, err)
			}
		}
		return nil
	})
	// Little by little, so that the judge's state is kept in between.
	until := shipped.Start.Add(30 * time.Minute)
	eventually(t, time.Minute, "keeping the judge's state", func() error {
		f.simulated(fleet, until, w)
		until = until.Add(15 * time.Second)
		saved := 0.0
		for _, g := range gateways {
			if s, err := g.tryScrape(); err == nil {
				saved += s.sum("edrwatch_checkpoints_total", "outcome", "saved")
			}
		}
		if saved == 0 {
			return fmt.Errorf("not kept until %s", until)
		}
		return nil
	})
	f.simulated(fleet, shipped.Start.Add(42*time.Minute), w)
	owner := 0
	if owned(gateways[1], f.topic("fleet")) == 1 {
		owner = 1
	}
	other := 1 - owner
	eventually(t, 2*time.Minute, "telling of the bad version three times", func() error {
		if _, documents := rollouts(t, dirs[owner]); len(documents) < 3 {
			return fmt.Errorf("%d times", len(documents))
		}
		return nil
	})
	eventually(t, time.Minute, "committing the steps that were judged", func() error {
		published := gateways[0].scrape().sum("edrwatch_fleet_steps_total") + gateways[1].scrape().sum("edrwatch_fleet_steps_total")
		answer, err := f.client.OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: f.group() + "-judge", Topics: map[string][]int{f.topic("fleet"): {0}}})
		if err != nil {
			return err
		}
		if n := answer.Topics[f.topic("fleet")][0].CommittedOffset; n < int64(published) {
			return fmt.Errorf("%d of %.0f", n, published)
		}
		return nil
	})
	gateways[owner].kill()
	before, told := rollouts(t, dirs[owner])
	if n, _ := rollouts(t, dirs[other]); len(n) > 0 {
		t.Errorf("the gateway that does not own the exchange told of %v", n)
	}
	eventually(t, time.Minute, "taking over", func() error {
		if owned(gateways[other], f.topic("fleet")) != 1 || owned(gateways[other], f.topic(simulator.TopicFDR)) != 4 {
			return errors.New("not yet")
		}
		return nil
	})
	if s := gateways[other].scrape(); s.sum("edrwatch_checkpoint_restores_total", "outcome", "restored") == 0 {
		t.Error("the new owner has not taken up what the one before knew")
	}
	f.simulated(fleet, shipped.Start.Add(45*time.Minute), w)
	eventually(t, time.Minute, "going on with the incident", func() error {
		_, documents := rollouts(t, dirs[other])
		if !slices.ContainsFunc(documents, func(id string) bool { return !slices.Contains(told, id) }) {
			return errors.New("nothing new is told")
		}
		return nil
	})
	gateways[other].terminate(20 * time.Second)
	after, more := rollouts(t, dirs[other])
	if all := slices.Compact(slices.Sorted(slices.Values(append(before, after...)))); len(all) != 1 {
		t.Errorf("one incident has the alerts %v", all)
	}
	repeated := 0
	for _, id := range more {
		if slices.Contains(told, id) {
			repeated++
		}
	}
	t.Logf("%d documents before the kill, %d after it, of which %d once more", len(told), len(more), repeated)
}
