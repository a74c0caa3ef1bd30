//go:build integration && linux

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/deploy/responder/console"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// keeping is the configuration of a gateway of a name that keeps state, and
// reads nothing again to rebuild it; more is added.
func (f *feed) keeping(name, dir, more string) string {
	text := strings.ReplaceAll(f.exchanging(dir), f.group(), f.group()+"-"+name)
	text = strings.ReplaceAll(text, "topic: "+f.topic("fleet"), "topic: "+f.topic("fleet-"+name))
	text = strings.ReplaceAll(text, "topic: "+f.topic("state"), "topic: "+f.topic("state-"+name))
	return strings.Replace(text, "session_timeout: 6s}", "session_timeout: 6s, max_rewind: 0s, commit_interval: 2s}", 1) + more
}

// awaitJudged waits until a group has committed so many records of the sensors.
func (f *feed) awaitJudged(group string, want int64) {
	f.t.Helper()
	topic := f.topic(simulator.TopicFDR)
	eventually(f.t, 2*time.Minute, "committing what the sensors sent", func() error {
		answer, err := f.client.OffsetFetch(f.t.Context(), &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {0, 1, 2, 3}}})
		if err = errors.Join(err, answerError(answer)); err != nil {
			return err
		}
		n := int64(0)
		for _, p := range answer.Topics[topic] {
			n += max(p.CommittedOffset, 0)
		}
		if n < want {
			return fmt.Errorf("%d of %d", n, want)
		}
		return nil
	})
}

// aboutHosts adds the documents about single hosts in a gateway's file, by
// event.id. What is said of the fleet depends on which partition begins first.
func aboutHosts(t testing.TB, dir string, to map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "alerts.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var a struct {
			Event   struct{ ID string }
			Message string
			EDR     struct {
				Alert struct{ Scope, Status string }
			}
		}
		if json.Unmarshal(line, &a) == nil && a.EDR.Alert.Scope == "host" { // The last line of one that was killed may be cut.
			to[a.Event.ID] = a.EDR.Alert.Status + " " + a.Message
		}
	}
}

// responder runs the worker of deploy/responder until it is killed.
func (f *feed) responder(binary, server, token string) (kill func()) {
	f.t.Helper()
	cmd := exec.Command(binary, "-brokers", strings.Join(f.brokers, ","), "-topic", f.topic("responses"), "-group", f.group()+"-responder", "-console", server)
	cmd.Env = append(os.Environ(), "CONSOLE_TOKEN="+token)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	ended := false
	kill = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // It was killed.
		}
	}
	f.t.Cleanup(func() {
		kill()
		if f.t.Failed() {
			f.t.Logf("the worker said\n%s", &said)
		}
	})
	return kill
}

// TestKilledGatewayGoesOnFromSnapshots kills a gateway in the middle of 19 July
// 2024 and lets the next one go on from the state topic. Its alerts about hosts
// are those of a gateway that was left alone, next to nothing is read again, and
// the rollout is paused and rolled back in the vendor's console once, although
// the worker there is killed as well.
func TestKilledGatewayGoesOnFromSnapshots(t *testing.T) {
	const token = "console token"
	f := connect(t, "snapshots")
	f.server.CreateTopic(t, f.topic(simulator.TopicFDR), 4)
	f.server.CreateTopic(t, f.topic("responses"), 2)
	for _, name := range []string{"alone", "killed"} {
		f.server.CreateTopic(t, f.topic("fleet-"+name), 1)
		f.server.CreateTopic(t, f.topic("state-"+name), 3, "cleanup.policy", "compact")
	}
	binary := filepath.Join(t.TempDir(), "responder")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/edrwatch/edrwatch/deploy/responder/cmd/responder").CombinedOutput(); err != nil {
		t.Fatalf("building the worker: %v\n%s", err, out)
	}
	vendor := console.New(token)
	server := httptest.NewServer(vendor)
	t.Cleanup(server.Close)
	shipped, err := simulator.Shipped("july19-small")
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := simulator.New(simulator.Config{Seed: 1, Agents: 1000, Scenario: shipped, Duration: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	w, sent := f.sensors(), int64(0)
	until := func(d time.Duration) { sent += f.simulated(fleet, shipped.Start.Add(d), w) }

	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	acting := fmt.Sprintf("responses: {enabled: true}\nresponders:\n  - {name: worker, type: kafka, brokers: [%q], topic: %s}\n", f.brokers[0], f.topic("responses"))
	alone := start(t, f.keeping("alone", dirs[0], ""))
	killed := start(t, f.keeping("killed", dirs[1], acting))
	killWorker := f.responder(binary, server.URL, token)
	at := 38 * time.Minute
	until(at)
	f.awaitJudged(f.group()+"-killed", sent)
	saved := killed.scrape().sum("edrwatch_checkpoints_total", "outcome", "saved")
	eventually(t, time.Minute, "keeping the state of all partitions and of the judge", func() error {
		at += 5 * time.Second
		until(at)
		if s, err := killed.tryScrape(); err != nil || s.sum("edrwatch_checkpoints_total", "outcome", "saved") < saved+10 {
			return fmt.Errorf("not yet at %s: %w", at, err)
		}
		return nil
	})
	f.awaitJudged(f.group()+"-killed", sent)
	eventually(t, time.Minute, "pausing the rollout", func() error {
		if list := vendor.Rollouts(); len(list) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	killWorker()
	// Little by little, to kill it between what it judged and what it committed.
	kept := sent
	eventually(t, time.Minute, "being in the middle", func() error {
		at += 10 * time.Second
		until(at)
		if s, err := killed.tryScrape(); err != nil || s.sum("edrwatch_records_total", "topic", f.topic(simulator.TopicFDR)) <= float64(kept) {
			return fmt.Errorf("not yet: %w", err)
		}
		return nil
	})
	killed.kill()
	until(50 * time.Minute)
	f.responder(binary, server.URL, token)
	next := start(t, f.keeping("killed", dirs[2], acting))
	eventually(t, time.Minute, "restoring the state of four partitions and the judge's", func() error {
		s, err := next.tryScrape()
		if err != nil {
			return err
		}
		if n := s.sum("edrwatch_checkpoint_restores_total", "outcome", "restored"); n != 5 {
			return fmt.Errorf("%.0f are", n)
		}
		return nil
	})
	f.awaitJudged(f.group()+"-killed", sent)
	s := next.scrape()
	if n := s.sum("edrwatch_records_rebuilt_total", "topic", f.topic(simulator.TopicFDR)); n > float64(sent)/4 {
		t.Errorf("%.0f of %d records were read again, though state is kept every second", n, sent)
	}
	until(60 * time.Minute)
	f.awaitJudged(f.group()+"-killed", sent)
	f.awaitJudged(f.group()+"-alone", sent)
	eventually(t, time.Minute, "rolling back", func() error {
		if list := vendor.Rollouts(); list[0].State != "rolled_back" {
			return fmt.Errorf("the console shows %+v", list)
		}
		return nil
	})
	next.terminate(20 * time.Second)
	alone.terminate(20 * time.Second)
	if list := vendor.Rollouts(); len(list) != 1 || list[0].Version != "32" || list[0].Changes != 2 {
		t.Errorf("the console shows %+v after %d calls, want one version that was paused once and rolled back once", list, vendor.Calls())
	}
	want, got := map[string]string{}, map[string]string{}
	aboutHosts(t, dirs[0], want)
	aboutHosts(t, dirs[1], got)
	aboutHosts(t, dirs[2], got)
	if len(want) < 30 {
		t.Errorf("only %d alert documents, the test shows little", len(want))
	}
	for id, message := range want {
		if _, ok := got[id]; !ok {
			t.Errorf("missing after the kill: %s", message)
		}
	}
	for id, message := range got {
		if _, ok := want[id]; !ok {
			t.Errorf("only after the kill: %s", message)
		}
	}
	t.Logf("%d documents about hosts, %.0f of %d records read again", len(want), s.sum("edrwatch_records_rebuilt_total", "topic", f.topic(simulator.TopicFDR)), sent)
}
