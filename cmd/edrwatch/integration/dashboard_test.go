//go:build integration && linux

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/selfreport"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/sinks/elasticsearch"
)

// TestDashboardOfTheFleet asks Elasticsearch what the panels of the dashboard
// would, and expects the numbers that `edrwatch fleet` gives for the same small
// fleet.
func TestDashboardOfTheFleet(t *testing.T) {
	e := shared.elasticsearch(t)
	const namespace = "dashboard"
	e.prepare(t, namespace)
	capture := filepath.Join(t.TempDir(), "fleet.capture")
	command(t, "simulate", "--scenario", "july19", "--agents", "400", "--duration", "50m", "-o", capture)
	addRings(t, capture)
	var agents []fleet.Record
	if err := json.Unmarshal(command(t, "fleet", "--in", capture, "--output", "json"), &agents); err != nil {
		t.Fatal(err)
	}
	var list []fleet.Rollout
	if err := json.Unmarshal(command(t, "rollout", "list", "--in", capture, "--output", "json"), &list); err != nil {
		t.Fatal(err)
	}
	if len(agents) < 400 || len(list) == 0 {
		t.Fatalf("%d agents and %d rollouts, the test shows little", len(agents), len(list))
	}
	e.tell(t, namespace, agents, list)

	panels := dashboard(t, "edrwatch-fleet-dashboard")
	asked := 0
	for _, p := range panels {
		if p.Type != "lens" {
			continue
		}
		asked++
		if p.PanelIndex == "rollouts" {
			e.checkRollouts(t, namespace, p, list)
			continue
		}
		if p.PanelIndex == "presence-over-time" {
			e.checkHistory(t, namespace, p, agents)
			continue
		}
		want := p.expected(t, agents)
		if got := e.ask(t, namespace, p); !maps.Equal(got, want) {
			t.Errorf("panel %s shows %v, edrwatch fleet gives %v", p.PanelIndex, got, want)
		}
		if len(want) == 0 {
			t.Errorf("panel %s: the fleet has nothing of it to show", p.PanelIndex)
		}
	}
	if asked < 15 {
		t.Errorf("%d panels were asked", asked)
	}
	var sum fleet.Summary
	if err := json.Unmarshal(command(t, "fleet", "--in", capture, "--summary", "--output", "json"), &sum); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"agents": sum.Agents, "behind": sum.Behind, "silent": sum.Presence["silent"], "protecting": sum.Protecting} {
		i := slices.IndexFunc(panels, func(p lens) bool { return p.PanelIndex == name })
		if got := e.ask(t, namespace, panels[i])[""]; got != want {
			t.Errorf("panel %s shows %d, edrwatch fleet --summary gives %d", name, got, want)
		}
	}
}

// checkHistory holds that the panel counts each agent of an hour once, by presence.
func (e *elastic) checkHistory(t testing.TB, namespace string, p lens, agents []fleet.Record) {
	t.Helper()
	var answer struct {
		Aggregations struct {
			By struct {
				Buckets []struct {
					Key string
					N   struct{ Value int }
				}
			}
		}
	}
	terms, counted := p.columns(t, "terms"), p.columns(t, "unique_count")
	if len(terms) != 1 || len(counted) != 1 {
		t.Fatalf("panel %s has %d terms and %d counts", p.PanelIndex, len(terms), len(counted))
	}
	e.query(t, "POST", "/"+p.stream(namespace)+"/_search", fmt.Sprintf(`{"size":0,"query":%s,"aggs":{"by":{"terms":{"field":%q,"size":10},"aggs":{"n":{"cardinality":{"field":%q,"precision_threshold":10000}}}}}}`,
		p.condition(), terms[0].SourceField, counted[0].SourceField), &answer)
	want, got := map[string]int{}, map[string]int{}
	for i := range agents {
		want[agents[i].Presence]++
	}
	for _, b := range answer.Aggregations.By.Buckets {
		got[b.Key] = b.N.Value
	}
	if !maps.Equal(got, want) {
		t.Errorf("panel %s shows %v, edrwatch fleet gives %v", p.PanelIndex, got, want)
	}
}

// addRings appends agents that tell what simulated vendors do not: modes, rings
// and states of reduced function.
func addRings(t testing.TB, capture string) {
	t.Helper()
	file, err := os.OpenFile(capture, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 7, 19, 4, 30, 0, 0, time.UTC)
	for i := range 24 {
		_, problem := fmt.Fprintf(file, `{"ts":%d,"topic":"edr.ecs","partition":0,"offset":%d,"key":"own-%[2]d","headers":{},"value":{"@timestamp":%q,"event":{"action":"sensor-heartbeat"},`+
			`"agent":{"id":"own-%[2]d","type":"own","version":"%[4]d.0"},"host":{"name":"own-%[2]d"},"edr":{"mode":%[5]q,"state":%q,"rollout":{"ring":%q}}}}`+"\n",
			at.UnixMilli(), i, at.Format(time.RFC3339), 1+i%2, []string{"kernel", "ebpf", "user"}[i%3], []string{"protecting", "reduced", "disabled", "degraded"}[i%4], []string{"canary", "broad"}[i/12])
		err = errors.Join(err, problem)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// command returns what a command of the binary writes.
func command(t testing.TB, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(shared.binary, args...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &problems)
	}
	return out
}

// tell writes the documents about agents and rollouts, as a gateway does in an
// hour, within seconds.
func (e *elastic) tell(t testing.TB, namespace string, agents []fleet.Record, list []fleet.Rollout) {
	t.Helper()
	key, err := os.ReadFile(e.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg := elasticsearch.DefaultConfig()
	cfg.URLs, cfg.Namespace, cfg.APIKey, cfg.TLS.CAFile = []string{e.URL()}, namespace, secret.New(strings.TrimSpace(string(key))), e.Security().CAFile
	sink, err := elasticsearch.New(cfg, elasticsearch.Settings{Name: "es", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	told := map[string]bool{}
	publish := func(ctx context.Context, docs []*event.Document) error {
		results := make([]event.Result, len(docs))
		err := sink.Write(ctx, docs, results)
		mu.Lock()
		defer mu.Unlock()
		for i, r := range results {
			if r.Outcome != event.Indexed {
				t.Errorf("document %s is %s: %v", docs[i].ID, r.Outcome, r.Err)
			}
			told[docs[i].ID] = true
		}
		return err
	}
	parts := map[int]bool{}
	f := &selfreport.Fleet{
		Periodic: selfreport.Periodic{Dictionary: dict, Period: 6 * time.Second, Publish: publish, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Sent: func(int, bool) {}},
		Agents: func(part, of int) (some []fleet.Record) {
			mu.Lock()
			defer mu.Unlock()
			if parts[part] {
				cancel() // The hour is over.
				return nil
			}
			parts[part] = true
			for i := range agents {
				if i%of == part {
					some = append(some, agents[i])
				}
			}
			return some
		},
		Changed: func(int) []fleet.Record { return nil },
	}
	f.Run(ctx)
	r := selfreport.Rollouts{
		Periodic: selfreport.Periodic{Dictionary: dict, Period: time.Hour, Publish: publish, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Sent: func(int, bool) {}},
		List:     func() []fleet.Rollout { return list },
	}
	r.Tell(t.Context())
	if want := len(agents) + len(list); len(told) != want {
		t.Fatalf("%d documents, want %d", len(told), want)
	}
	for _, stream := range []string{"metrics-edr.agent-", "logs-edr.gateway-", elasticsearch.LatestAgents + "-"} {
		e.query(t, "POST", fmt.Sprintf("/%s%s/_refresh", stream, namespace), "", nil)
	}
}
