package app

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline/goldentest"
	"github.com/edrwatch/edrwatch/rules"
)

// everything is a configuration with one component of every type.
const everything = `
version: 1
http: {listen: "127.0.0.1:0", health_listen: "127.0.0.1:0"}
sources:
  - {name: kafka, type: kafka, brokers: ["127.0.0.1:1"], schema_registry: {urls: ["http://127.0.0.1:1"]}}
  - {name: files, type: file, paths: ["-"]}
sinks:
  - {name: elastic, type: elasticsearch}
  - {name: splunk, type: splunk, urls: ["http://127.0.0.1:8088"], token: "${TOKEN}"}
  - {name: store, type: store, path: "${DIR}/store.db"}
  - {name: topic, type: kafka, brokers: ["127.0.0.1:1"], topic: out}
  - {name: out, type: file, path: "${DIR}/out.ndjson"}
dead_letter: {type: file, path: "${DIR}/dead.ndjson"}
responders:
  - {name: soar, type: webhook, url: "https://127.0.0.1:1/hook", allowed_hosts: [127.0.0.1], allow_private: true, secret: "${SECRET}"}
  - {name: worker, type: kafka, brokers: ["127.0.0.1:1"]}
  - {name: pager, type: alertmanager, url: "http://127.0.0.1:1", allowed_hosts: [127.0.0.1], allow_private: true}
canary: {enabled: true}
fleet: {exchange: {brokers: ["127.0.0.1:1"], topic: edrwatch.fleet}}
state: {brokers: ["127.0.0.1:1"], topic: edrwatch.state}
`

func newEverything(t *testing.T) *App {
	t.Helper()
	loaded, err := config.Parse("everything.yaml", []byte(everything), []string{"TOKEN=t", "SECRET=sixteen or more letters", "DIR=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(loaded.Config, Options{Logger: slog.New(slog.DiscardHandler), Stdout: io.Discard, Build: buildinfo.Info{Version: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// TestReadmeListsEveryMetric compares the README's table with what a gateway
// with every component registers.
func TestReadmeListsEveryMetric(t *testing.T) {
	a := newEverything(t)
	descs := make(chan *prometheus.Desc)
	go func() { a.Registry().Describe(descs); close(descs) }()
	parse := regexp.MustCompile(`fqName: "(edrwatch_[a-z0-9_]+)", help: "(.*?)", unit: "[^"]*", constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}`)
	var rows []string
	for d := range descs {
		m := parse.FindStringSubmatch(d.String())
		if m == nil {
			continue // of the Go runtime and the process
		}
		var labels []string
		for _, l := range strings.Split(m[3], ",") {
			if name, _, ok := strings.Cut(l, "="); ok {
				labels = append(labels, "`"+name+"`")
			}
		}
		for l := range strings.SplitSeq(m[4], ",") {
			if l != "" {
				labels = append(labels, "`"+l+"`")
			}
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", m[1], strings.Join(labels, " "), m[2]))
	}
	slices.Sort(rows)
	rows = slices.Compact(rows)
	const begin, end = "<!-- metrics: generated -->\n", "<!-- /metrics -->"
	path := filepath.Join("..", "..", "..", "..", "README.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	have, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("README.md lacks the markers %q and %q", begin, end)
	}
	want := "| metric | labels | meaning |\n|---|---|---|\n" + strings.Join(rows, "\n") + "\n"
	if have == want {
		return
	}
	if !goldentest.Update() {
		t.Fatalf("the README's table of metrics is not what the gateway registers: run this test with EDRWATCH_UPDATE=1\nwant\n%s", want)
	}
	goldentest.Write(t, path, []byte(before+begin+want+end+after))
}

// TestRulesTellTheirCosts compares the API's rules with what they did.
func TestRulesTellTheirCosts(t *testing.T) {
	a := newEverything(t)
	for _, r := range a.Rules() {
		if r.Cost == nil || r.Cost.Evictions == nil {
			t.Fatalf("%s: %+v", r.Name, r.Cost)
		}
	}
	set := a.rules.current.Load()
	rule := set.Rules()[0]
	c := costOf(&rules.Counters{Rule: rule, Candidates: 4, Matches: 3, Nanoseconds: 2000, Keys: 5, Bytes: 600, Relieved: 7})
	if c.Nanoseconds != 500 || c.Seconds != 2e-6 || c.Keys != 5 || c.StateBytes != 600 || c.Evictions["state"] != 7 {
		t.Errorf("%+v", c)
	}
}
