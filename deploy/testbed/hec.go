//go:build unix

package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	hecStart = 30 * time.Second
	hecStop  = 10 * time.Second
)

// HECOption changes how [HEC] sets up its receiver.
type HECOption func(*hecSetup)

type hecSetup struct{ ack, tls bool }

// HECAck makes the receiver answer indexer acknowledgements.
func HECAck() HECOption { return func(s *hecSetup) { s.ack = true } }

// HECTLS makes the receiver serve TLS; see [HECServer.Certificates].
func HECTLS() HECOption { return func(s *hecSetup) { s.tls = true } }

// HECServer is a running Splunk HTTP Event Collector. It accepts any token.
type HECServer struct {
	port    int
	command command
	process *process
	events  string
	certs   *Certificates
}

// HECEvent is an event as the receiver understood it. The receiver parses numbers
// as float64.
type HECEvent struct {
	Time       float64         `json:"time"` // seconds since 1970
	Host       string          `json:"host"`
	Index      string          `json:"index"`
	Source     string          `json:"source"`
	SourceType string          `json:"sourcetype"`
	Token      string          `json:"token"` // the sender's, from "Authorization: Splunk TOKEN"
	Event      json.RawMessage `json:"event"`
	Fields     map[string]any  `json:"fields"`
}

// HEC starts a receiver that lives as long as the test.
func HEC(t testing.TB, options ...HECOption) *HECServer {
	t.Helper()
	s := &Shared{}
	t.Cleanup(s.Close)
	return s.HEC(t, options...)
}

// HEC returns the program of the receiver, building it when it is not there. It
// must be called within the module's source tree.
func (c *Cache) HEC(ctx context.Context) (string, error) {
	goTool, err := findTool("go", "golang-go")
	if err != nil {
		return "", err
	}
	// The receiver is a module of its own, which cannot be embedded: find its source.
	list := exec.CommandContext(ctx, goTool, "list", "-f", "{{.Dir}}", "github.com/edrwatch/edrwatch/deploy/testbed")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("finding the source of the HEC receiver: %w: %s", err, stderr.String())
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "hec")
	sum, err := fingerprint(os.DirFS(dir), "*.go", "go.mod", "go.sum")
	if err != nil {
		return "", err
	}
	built, err := c.once("hec-"+sum, "OpenTelemetry's Splunk HEC receiver (go build)", func(stage string) error {
		env := []string{"GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0"}
		return runTool(ctx, dir, env, goTool, "build", "-trimpath", "-o", filepath.Join(stage, "hec"), ".")
	})
	return filepath.Join(built, "hec"), err
}

func startHEC(ctx context.Context, cache *Cache, dir string, options ...HECOption) (*HECServer, error) {
	var setup hecSetup
	for _, option := range options {
		option(&setup)
	}
	program, err := cache.HEC(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &HECServer{port: ports[0], events: filepath.Join(dir, "events.ndjson")}
	args := []string{"-addr", loopback(s.port), "-out", s.events}
	if setup.ack {
		args = append(args, "-ack")
	}
	if setup.tls {
		if s.certs, err = NewCertificates(dir); err != nil {
			return nil, err
		}
		args = append(args, "-cert", s.certs.ServerCertFile, "-key", s.certs.ServerKeyFile)
	}
	s.command = command{name: "hec receiver", path: program, args: args, dir: dir, logFile: filepath.Join(dir, "server.log")}
	if err := s.start(ctx); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

func (s *HECServer) start(ctx context.Context) (err error) {
	if s.process, err = s.command.start(); err != nil {
		return err
	}
	return s.process.await(ctx, hecStart, func(ctx context.Context) error { return dial(ctx, loopback(s.port)) })
}

// URL returns the address of the receiver, without path: events go to
// /services/collector/event, see also /services/collector/health and .../ack.
func (s *HECServer) URL() string {
	if s.certs != nil {
		return "https://" + loopback(s.port)
	}
	return "http://" + loopback(s.port)
}

// Certificates returns those of a receiver with [HECTLS], otherwise nil.
func (s *HECServer) Certificates() *Certificates { return s.certs }

// Events returns all events that the receiver has accepted, in the order of
// arrival, those before a restart included.
func (s *HECServer) Events(t testing.TB) []HECEvent {
	t.Helper()
	content, err := os.ReadFile(s.events)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("reading HEC events: %v", err)
	}
	whole := content[:bytes.LastIndexByte(content, '\n')+1]
	var events []HECEvent
	for line := range bytes.Lines(whole) {
		var event HECEvent
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("reading HEC event %d: %v: %s", len(events)+1, err, line)
		}
		events = append(events, event)
	}
	return events
}

// Stop stops the receiver in an orderly way.
func (s *HECServer) Stop(t testing.TB) {
	t.Helper()
	if err := s.process.stop(hecStop); err != nil {
		t.Fatalf("stopping: %v", err)
	}
}

// Kill kills the receiver with SIGKILL.
func (s *HECServer) Kill(testing.TB) { s.kill() }

// Restart starts the receiver again on the same address, killing it when it still runs.
func (s *HECServer) Restart(t testing.TB) {
	t.Helper()
	s.kill()
	if err := s.start(t.Context()); err != nil {
		t.Fatalf("restarting: %v", err)
	}
}

func (s *HECServer) kill() {
	if s.process != nil {
		s.process.kill()
	}
}

func (s *HECServer) logTails() []string { return []string{s.command.logTail()} }
