package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/sinks/webhook"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// TestRequiredResponsesDecideReadiness: responses that hold offsets back are
// what an operator has to hear of when they fail; others are not.
func TestRequiredResponsesDecideReadiness(t *testing.T) {
	for _, required := range []bool{true, false} {
		loaded, err := config.Parse("everything.yaml", []byte(everything), []string{"TOKEN=t", "SECRET=sixteen or more letters", "DIR=" + t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		loaded.Config.Responses.Required = required
		a, err := New(loaded.Config, Options{Logger: discard(), Stdout: io.Discard, Build: buildinfo.Info{Version: "test"}})
		if err != nil {
			t.Fatal(err)
		}
		checks := a.readiness()
		i := slices.IndexFunc(checks, func(c api.Check) bool { return c.Name == responsesName })
		if (i >= 0) != required {
			t.Errorf("required %t: the check is number %d", required, i)
		}
		if i >= 0 && a.runner.Health()[len(a.cfg.Sinks)].Name != responsesName {
			t.Errorf("the check looks at %s", a.runner.Health()[len(a.cfg.Sinks)].Name)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

const answering = `id: 5a0b7c1e-8f0e-4f55-9f0b-2c6f1f7c0001
name: Heartbeat
version: 1
kind: other
type: match
severity: high
maturity: beta
description: Anything.
condition: event.action == "sensor-heartbeat"
respond:
  - {action: open_case}
`

// TestActsAreDoneOnceOverARestart ends a gateway after a case was opened and
// before its offset could be committed: the next one judges the record again and
// opens no other case.
func TestActsAreDoneOnceOverARestart(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rule.yml"), []byte(answering), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	cases := map[string]int{} // by Idempotency-Key
	desk := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		cases[r.Header.Get("Idempotency-Key")]++
	}))
	defer desk.Close()
	var up atomic.Bool
	var asked atomic.Int64
	soar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1); !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer soar.Close()
	change := func(cfg *config.Config) {
		cfg.State.Brokers, cfg.State.Topic, cfg.State.Interval = []string{s.addr}, "edrwatch.state", time.Second
		cfg.Rules.Library, cfg.Rules.Directories = false, []string{dir}
		cfg.Responses.Enabled, cfg.Responses.Required = true, true
		for name, url := range map[string]string{"desk": desk.URL, "soar": soar.URL} {
			to := webhook.DefaultConfig()
			to.URL, to.AllowedHosts, to.AllowPrivate, to.Secret = url, []string{"127.0.0.1"}, true, secret.New("sixteen or more letters")
			cfg.Responders = append(cfg.Responders, config.Responder{Name: name, Type: "webhook", Settings: &to})
		}
	}
	first := s.start(change)
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Addr: kafka.TCP(s.addr), BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll, Transport: transport}
	defer w.Close()
	heartbeat := `{"aid":"90948057720e6f9a0b21ac1af3f33c1e","event_simpleName":"SensorHeartbeat","timestamp":"1721203200508","ConfigBuild":"1007.3.0018110.1","event_platform":"Win"}`
	if err := w.WriteMessages(t.Context(), kafka.Message{Topic: simulator.TopicFDR, Key: []byte("a"), Value: []byte(heartbeat), Time: time.UnixMilli(1721203200973)}); err != nil {
		t.Fatal(err)
	}
	opened := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(cases)
	}
	within(t, 30*time.Second, "a case while the SOAR is down", func() bool { return opened() == 1 && asked.Load() > 1 })
	first.end()
	if n := first.total("edrwatch_documents_total"); n == 0 {
		t.Error("no document was made")
	}
	up.Store(true)
	before := asked.Load()
	second := s.start(change)
	within(t, 30*time.Second, "the SOAR to be asked again", func() bool { return asked.Load() > before })
	within(t, 30*time.Second, "the record to be done", func() bool { return second.total("edrwatch_records_total") == 1 })
	second.end()
	if len(cases) != 1 || asked.Load() != before+1 {
		t.Fatalf("cases %v, the SOAR was asked %d times after the restart", cases, asked.Load()-before)
	}
	for id, n := range cases {
		if n != 1 {
			t.Errorf("case %s was opened %d times", id, n)
		}
	}
}
