package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// TestEverySurfaceCountsTheSameFleet plays 19 July and compares what the command,
// the API, the console and the documents for Elasticsearch and Splunk say of every
// agent, with each other and with what the simulator knows.
func TestEverySurfaceCountsTheSameFleet(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "july19.capture")
	if _, stderr, code := cli(t, "", "simulate", "--scenario", "july19", "--agents", "400", "--out", capture); code != exitOK {
		t.Fatal(stderr)
	}
	stdout, stderr, code := cli(t, "", "fleet", "--in", capture, "--output", "json")
	var listed []fleet.Record
	if err := json.Unmarshal([]byte(stdout), &listed); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v: %s", code, err, stderr)
	}
	want := map[string]string{}
	for i := range listed {
		want[listed[i].Entity] = listed[i].Presence + " " + listed[i].State
	}
	compareWithTruth(t, listed)

	var sum fleet.Summary
	stdout, _, _ = cli(t, "", "fleet", "--in", capture, "--output", "json", "--summary")
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil {
		t.Fatal(err)
	}
	counts, protecting := countPresences(want)
	if !maps.Equal(positive(sum.Presence), counts) || sum.Protecting != protecting || counts[fleet.Silent] < 100 {
		t.Errorf("the summary says %v and %d protecting; the list %v and %d", sum.Presence, sum.Protecting, counts, protecting)
	}

	g := playTo(t, capture)
	g.within(t, "all records", func() error {
		if got := g.app.RecordsDone(); got < g.records {
			return fmt.Errorf("%d of %d", got, g.records)
		}
		return nil
	})
	var page fleet.Page
	g.ask(t, "/api/v1/fleet/inventory?limit=10000", &page)
	got := map[string]string{}
	for _, r := range page.Agents {
		got[r.Entity] = r.Presence + " " + r.State
	}
	same(t, "the API", got, want)
	var console struct {
		Agents []struct {
			Entity, Presence, State string
			StateLastKnown          bool `json:"state_last_known"`
		}
		Total int
	}
	got = map[string]string{}
	for offset := 0; offset == 0 || offset < console.Total; offset += 250 {
		g.ask(t, fmt.Sprintf("/api/v1/fleet?limit=250&sort=last_seen&desc=true&offset=%d", offset), &console)
		for _, a := range console.Agents {
			got[a.Entity] = a.Presence + " " + a.State
			if a.StateLastKnown != (a.State != "" && a.Presence != fleet.Alive) {
				t.Errorf("%s is %s, and its state is called last known: %t", a.Entity, a.Presence, a.StateLastKnown)
			}
		}
	}
	same(t, "the console", got, want)
	var tiles struct {
		Agents, Protecting int
		Presence           []struct {
			Value string
			Count int
		}
	}
	g.ask(t, "/api/v1/fleet/summary", &tiles)
	overview := map[string]int{}
	for _, p := range tiles.Presence {
		overview[p.Value] = p.Count
	}
	if !maps.Equal(overview, counts) || tiles.Protecting != protecting || tiles.Agents != len(want) {
		t.Errorf("the overview says %v, %d protecting of %d; want %v, %d of %d", overview, tiles.Protecting, tiles.Agents, counts, protecting, len(want))
	}
	// What Elasticsearch and Splunk get: the newest document of each agent.
	g.within(t, "documents about all agents", func() error {
		got = g.documents(t)
		// An agent that was known by its host alone, until its id was learned, has a
		// document of then: it is not told of any more.
		maps.DeleteFunc(got, func(entity, _ string) bool { _, known := want[entity]; return !known })
		if !maps.Equal(got, want) {
			return fmt.Errorf("%d of %d agents are told of: %s", len(got), len(want), firstDifference(got, want))
		}
		return nil
	})
	same(t, "the documents", got, want)
}

func firstDifference(got, want map[string]string) string {
	for entity, says := range want {
		if got[entity] != says {
			return fmt.Sprintf("%s is %q, want %q", entity, got[entity], says)
		}
	}
	return "none"
}

func positive(counts map[string]int) map[string]int {
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
	return counts
}

func countPresences(agents map[string]string) (counts map[string]int, protecting int) {
	counts = map[string]int{}
	for _, a := range agents {
		presence, _, _ := strings.Cut(a, " ")
		counts[presence]++
		if a == "alive protecting" {
			protecting++
		}
	}
	return counts, protecting
}

func same(t *testing.T, who string, got, want map[string]string) {
	t.Helper()
	for entity, says := range want {
		if got[entity] != says {
			t.Errorf("%s says of %s: %q, the command: %q", who, entity, got[entity], says)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s knows %d agents, the command %d", who, len(got), len(want))
	}
}

// compareWithTruth holds every agent against the simulator, but for those that went
// up or down in the last minutes: that is not known yet.
func compareWithTruth(t *testing.T, listed []fleet.Record) {
	t.Helper()
	scenario, err := simulator.Shipped("july19")
	if err != nil {
		t.Fatal(err)
	}
	f, err := simulator.New(simulator.Config{Seed: 1, Agents: 400, Scenario: scenario})
	if err != nil {
		t.Fatal(err)
	}
	for _, ok := f.Next(); ok; _, ok = f.Next() {
	}
	end, settled := f.Truth().End, 10*time.Minute
	byHost := map[string]*fleet.Record{}
	for i := range listed {
		name, _, _ := strings.Cut(strings.ToLower(listed[i].Host), ".")
		byHost[listed[i].Product+" "+name] = &listed[i]
	}
	silent := 0
	for _, l := range f.Lives() {
		r := byHost[l.Product+" "+strings.ToLower(l.Host.Name)]
		switch {
		case !l.Reports || l.Host.At.After(end.Add(-settled)):
		case r != nil && r.Since != nil && r.Since.After(end.Add(-settled)): // A host that boots in a loop calls its cloud now and then.
		case r != nil && r.Presence == fleet.Unknown && l.Host.At.After(end.Add(-40*time.Minute)): // It was heard too seldom to be missed.
		case l.Up && (r == nil || r.Presence != fleet.Alive):
			t.Errorf("%s %s is up since %s, and said to be %+v", l.Product, l.Host.Name, l.Host.At, r)
		case !l.Up && l.Began && (r == nil || r.Presence == fleet.Alive || r.Presence == fleet.Unknown):
			t.Errorf("%s %s is down since %s, and said to be %+v", l.Product, l.Host.Name, l.Host.At, r)
		case !l.Up && r != nil && r.Presence == fleet.Silent:
			silent++
			if r.Since == nil || r.Since.After(l.Host.At) || l.Host.At.Sub(*r.Since) > 5*time.Minute {
				t.Errorf("%s is down since %s, and said to be silent since %v", l.Host.Name, l.Host.At, r.Since)
			}
		}
	}
	if silent < 50 {
		t.Errorf("%d agents are known to be silent: the test shows little", silent)
	}
}

// played is a gateway that has a capture as its feed, still open.
type played struct {
	app     *app.App
	records int64
	out     string
}

func playTo(t *testing.T, capture string) *played {
	t.Helper()
	dir := t.TempDir()
	feed, out := filepath.Join(dir, "feed"), filepath.Join(dir, "out")
	if err := syscall.Mkfifo(feed, 0o600); err != nil {
		t.Fatal(err)
	}
	file := write(t, dir, "edrwatch.yaml", fmt.Sprintf(`version: 1
http: {listen: "127.0.0.1:0", health_listen: "127.0.0.1:0"}
fleet: {documents: 1h}
sources: [{name: in, type: file, paths: [%q], format: capture, batch_records: 1}]
sinks:
  - {name: local, type: store, path: %q}
  - {name: siem, type: file, path: %q, sync: false, route: {streams: [metrics]}}
dead_letter: {type: file, path: %q}
`, feed, filepath.Join(dir, "store.db"), out, filepath.Join(dir, "dead")))
	loaded, err := config.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := app.New(loaded.Config, app.Options{Logger: slog.New(slog.DiscardHandler), Stdout: io.Discard, Build: buildinfo.Info{Version: "test"}, Playback: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- gateway.Run(ctx) }()
	records, err := os.ReadFile(capture)
	if err != nil {
		t.Fatal(err)
	}
	to, err := os.OpenFile(feed, os.O_RDWR, 0) // Held open: the feed goes on.
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		_, err := to.Write(records)
		written <- err
	}()
	t.Cleanup(func() {
		if err := <-written; err != nil {
			t.Error(err)
		}
		cancel()
		if err := to.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := gateway.Close(); err != nil {
			t.Error(err)
		}
	})
	return &played{gateway, int64(bytes.Count(records, []byte("\n"))), out}
}

func (p *played) within(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute) // The race detector makes it ten times slower.
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *played) ask(t *testing.T, path string, into any) {
	t.Helper()
	answer, err := http.Get(p.app.APIURL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", path, answer.StatusCode, err)
	}
}

// documents reads the newest state of each agent out of what a sink has got.
func (p *played) documents(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(p.out)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	latest := map[string]string{}
	for line := range bytes.Lines(text) {
		var d struct {
			Event struct{ Kind string }
			EDR   struct {
				Presence, State string
				Entity          struct{ ID string }
			}
		}
		if json.Unmarshal(line, &d) == nil && d.Event.Kind == "state" {
			latest[d.EDR.Entity.ID] = d.EDR.Presence + " " + d.EDR.State
		}
	}
	return latest
}
