//go:build integration && linux

package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// gateway is a running `edrwatch run`.
type gateway struct {
	t       testing.TB
	process *os.Process
	ended   chan struct{} // closed when the process has ended
	state   *os.ProcessState
	log     *log
	health  string // base URL of the operations listener
}

// log keeps what a process writes.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// field returns a text field of the first JSON log line with the message.
func (l *log) field(message, name string) (string, bool) {
	for s := bufio.NewScanner(strings.NewReader(l.String())); s.Scan(); {
		line := map[string]any{}
		if json.Unmarshal(s.Bytes(), &line) == nil && line["msg"] == message {
			value, ok := line[name].(string)
			return value, ok
		}
	}
	return "", false
}

// tail returns the end of the log.
func (l *log) tail() string {
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// writeConfig writes a configuration file of its own.
func writeConfig(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "edrwatch.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// launch starts the gateway with a configuration and returns at once. It is
// killed at the end of the test.
func launch(t testing.TB, configuration string) *gateway {
	t.Helper()
	g := &gateway{t: t, ended: make(chan struct{}), log: &log{}}
	cmd := exec.Command(shared.binary, "run", "--config", writeConfig(t, configuration))
	cmd.Stderr = g.log
	cmd.Stdout = g.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The parent-death signal is tied to the thread that forked.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // The state tells how it ended.
			g.state = cmd.ProcessState
			close(g.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting the gateway: %v", err)
	}
	g.process = cmd.Process
	t.Cleanup(func() {
		g.kill()
		if text := g.log.String(); strings.Contains(text, "panic: ") || strings.Contains(text, "DATA RACE") {
			t.Errorf("the gateway panicked or raced:\n%s", text)
		}
		if t.Failed() {
			t.Logf("end of the log of gateway %d:\n%s", g.process.Pid, g.log.tail())
		}
	})
	return g
}

// start starts the gateway and waits until it serves.
func start(t testing.TB, configuration string) *gateway {
	t.Helper()
	g := launch(t, configuration)
	eventually(t, 30*time.Second, "starting the gateway", func() error {
		if g.over() {
			t.Fatalf("the gateway ended at once: %v\n%s", g.state, g.log.tail())
		}
		url, ok := g.log.field("edrwatch is running", "health")
		if !ok {
			return errors.New("it has not said that it is running")
		}
		g.health = strings.TrimSuffix(url, "/")
		return nil
	})
	return g
}

func (g *gateway) over() bool {
	select {
	case <-g.ended:
		return true
	default:
		return false
	}
}

// kill ends the gateway with SIGKILL.
func (g *gateway) kill() {
	_ = g.process.Signal(syscall.SIGKILL) // It may have ended.
	<-g.ended
}

// terminate sends SIGTERM, waits for the end and returns how long it took.
func (g *gateway) terminate(limit time.Duration) time.Duration {
	g.t.Helper()
	began := time.Now()
	if err := g.process.Signal(syscall.SIGTERM); err != nil {
		g.t.Fatalf("sending SIGTERM: %v", err)
	}
	g.await(limit)
	if code := g.state.ExitCode(); code != 0 {
		g.t.Errorf("after SIGTERM the gateway ended with %v, expected exit code 0\n%s", g.state, g.log.tail())
	}
	return time.Since(began)
}

// await waits for the gateway's end.
func (g *gateway) await(limit time.Duration) {
	g.t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-g.ended:
	case <-timer.C:
		g.t.Fatalf("the gateway has not ended within %s\n%s", limit, g.log.tail())
	}
}

// get asks the operations listener.
func (g *gateway) get(path string) (status int, body []byte, err error) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(g.health + path)
	if err != nil {
		return 0, nil, fmt.Errorf("asking the gateway: %w", err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return resp.StatusCode, body, nil
}

// awaitReady waits until readiness is as wanted and returns what it says.
func (g *gateway) awaitReady(ready bool, limit time.Duration) string {
	g.t.Helper()
	want, said := http.StatusServiceUnavailable, ""
	if ready {
		want = http.StatusOK
	}
	eventually(g.t, limit, fmt.Sprintf("readiness becoming %v", ready), func() error {
		status, body, err := g.get("/readyz?verbose")
		if err != nil {
			return err
		}
		if said = string(body); status != want {
			return fmt.Errorf("status %d: %s", status, body)
		}
		return nil
	})
	return said
}

// scrape is one reading of /metrics.
type scrape map[string]*dto.MetricFamily

func (g *gateway) scrape() scrape {
	g.t.Helper()
	s, err := g.tryScrape()
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

func (g *gateway) tryScrape() (scrape, error) {
	status, body, err := g.get("/metrics")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("/metrics: status %d", status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(body))
}

// sum adds up the series of a metric that have the labels (name, value, …).
func (s scrape) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, m := range s[name].GetMetric() {
		if !hasLabels(m, labels) {
			continue
		}
		total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
	}
	return total
}

func hasLabels(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}

// values lists the values of a label.
func (s scrape) values(name, label string) map[string]bool {
	found := map[string]bool{}
	for _, m := range s[name].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == label {
				found[l.GetValue()] = true
			}
		}
	}
	return found
}

// awaitRecords waits until the gateway has brought n records to an outcome.
func (g *gateway) awaitRecords(n int64, limit time.Duration) {
	g.t.Helper()
	eventually(g.t, limit, fmt.Sprintf("bringing %d records to an outcome", n), func() error {
		if g.over() {
			g.t.Fatalf("the gateway ended: %v\n%s", g.state, g.log.tail())
		}
		s, err := g.tryScrape()
		if err != nil {
			return err
		}
		if got := int64(s.sum("edrwatch_records_total")); got < n {
			return fmt.Errorf("%d so far", got)
		}
		return nil
	})
}

// awaitMembership waits until the gateway has joined its consumer group.
func (g *gateway) awaitMembership(limit time.Duration) {
	g.t.Helper()
	eventually(g.t, limit, "joining the group", func() error {
		s, err := g.tryScrape()
		if err == nil && s.sum("edrwatch_kafka_rebalances_total") == 0 {
			err = errors.New("not yet")
		}
		return err
	})
}

// checkConservation holds the equations of every record and every document.
// The gateway must be idle.
func (g *gateway) checkConservation() scrape {
	g.t.Helper()
	s := g.scrape()
	topics := s.values("edrwatch_records_received_total", "topic")
	if len(topics) == 0 {
		g.t.Error("no records are counted as received")
	}
	for topic := range topics {
		in := s.sum("edrwatch_records_received_total", "topic", topic)
		out := s.sum("edrwatch_records_total", "topic", topic) + s.sum("edrwatch_records_in_flight", "topic", topic) +
			s.sum("edrwatch_records_abandoned_total", "topic", topic)
		if in != out {
			g.t.Errorf("topic %s: %.0f records came in, %.0f are accounted for", topic, in, out)
		}
	}
	sinks := s.values("edrwatch_documents_received_total", "sink")
	if len(sinks) == 0 {
		g.t.Error("no documents are counted as received")
	}
	for sink := range sinks {
		in := s.sum("edrwatch_documents_received_total", "sink", sink)
		out := s.sum("edrwatch_documents_total", "sink", sink) + s.sum("edrwatch_documents_in_flight", "sink", sink) +
			s.sum("edrwatch_documents_abandoned_total", "sink", sink)
		if in != out {
			g.t.Errorf("sink %s: %.0f documents came in, %.0f are accounted for", sink, in, out)
		}
	}
	for _, name := range []string{"edrwatch_records_in_flight", "edrwatch_documents_in_flight"} {
		if n := s.sum(name); n != 0 {
			g.t.Errorf("%s is %.0f with nothing to do", name, n)
		}
	}
	return s
}

// memory is the resident set of the gateway in bytes.
func (g *gateway) memory() int64 {
	g.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Pid))
	if err != nil {
		g.t.Fatalf("reading the gateway's memory: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	g.t.Fatalf("no VmRSS in %s", status)
	return 0
}
