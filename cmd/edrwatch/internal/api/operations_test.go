package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
)

func operations(t *testing.T, set OperationsSettings) *Operations {
	t.Helper()
	if set.Alive == nil {
		set.Alive = func() error { return nil }
	}
	if set.Metrics == nil {
		set.Metrics = prometheus.NewRegistry()
	}
	o, err := NewOperations(set)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func probe(o *Operations, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	o.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestLivenessIgnoresSinks(t *testing.T) {
	stuck := errors.New("no loop has turned\nfor 60s")
	var alive error
	o := operations(t, OperationsSettings{
		Alive:  func() error { return alive },
		Checks: []Check{{"sink elasticsearch", func(context.Context) error { return errors.New("connection refused") }}},
	})
	if w := probe(o, "GET", "/livez"); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("with a sink down: %d %s", w.Code, w.Body)
	}
	alive = stuck
	if w := probe(o, "GET", "/livez"); w.Code != 500 || w.Body.String() != "not alive: no loop has turned for 60s\n" {
		t.Errorf("when stuck: %d %q", w.Code, w.Body)
	}
}

func TestReadinessNamesWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		o := operations(t, OperationsSettings{Checks: []Check{
			{"kafka", func(context.Context) error { return nil }},
			{"sink splunk", func(context.Context) error {
				if down.Load() {
					return errors.New("token refused")
				}
				return nil
			}},
		}})
		if w := probe(o, "GET", "/readyz"); w.Code != 200 || w.Body.String() != "ok\n" {
			t.Errorf("ready: %d %q", w.Code, w.Body)
		}
		if w := probe(o, "GET", "/readyz?verbose"); w.Body.String() != "[+]kafka ok\n[+]sink splunk ok\nok\n" {
			t.Errorf("verbose: %q", w.Body)
		}
		down.Store(true)
		time.Sleep(checkAge) // of the bubble's clock
		want := "[+]kafka ok\n[-]sink splunk failed: token refused\nreadyz check failed\n"
		if w := probe(o, "GET", "/readyz"); w.Code != 503 || w.Body.String() != want {
			t.Errorf("not ready: %d %q", w.Code, w.Body)
		}
	})
}

func TestReadinessIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		o := operations(t, OperationsSettings{Checks: []Check{{"slow", func(ctx context.Context) error {
			runs.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}}}})
		began := time.Now()
		for range 3 {
			if w := probe(o, "GET", "/readyz"); w.Code != 503 {
				t.Errorf("%d", w.Code)
			}
		}
		if took := time.Since(began); took != checkTime || runs.Load() != 1 {
			t.Errorf("three probes took %v and %d runs", took, runs.Load())
		}
	})
}

func TestOperationsRoutes(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "edrwatch_test_total", Help: "A test."})
	registry.MustRegister(counter)
	o := operations(t, OperationsSettings{Metrics: registry, Build: buildinfo.Info{Version: "1.2.3", Go: "go1.26"}})
	for path, want := range map[string]string{"/metrics": "edrwatch_test_total 0", "/buildinfo": `{"version":"1.2.3","go":"go1.26"}`, "/": "/readyz?verbose"} {
		if w := probe(o, "GET", path); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if w := probe(o, "POST", path); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
	if w := probe(o, "GET", "/api/v1/events"); w.Code != http.StatusNotFound {
		t.Errorf("data on the operations listener: %d", w.Code)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	server, err := Listen("127.0.0.1:0", 1, operations(t, OperationsSettings{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := dial(), dial()
	defer second.Close()
	answer := make([]byte, 15)
	if _, err := io.ReadFull(first, answer); err != nil || string(answer) != "HTTP/1.1 200 OK" {
		t.Fatalf("%q, %v", answer, err)
	}
	// The second is answered only when the first is gone.
	if err := second.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Read(answer[:1]); err == nil {
		t.Error("answered over the limit")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(second, answer); err != nil || string(answer) != "HTTP/1.1 200 OK" {
		t.Errorf("%q, %v", answer, err)
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestListenTellsWhatIsWrong(t *testing.T) {
	first, err := Listen("127.0.0.1:0", 1, http.NotFoundHandler(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(first.Addr().String(), 1, http.NotFoundHandler(), nil); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("an address in use: %v", err)
	}
	if err := first.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	c := DefaultConfig()
	c.Operations.Address, c.Data.MaxConnections, c.Data.QueryTimeout = c.Data.Address, 0, 0
	err := c.Validate()
	for _, want := range []string{"operations.address: expected another address", "data.max_connections: expected at least 1", "data.query_timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	c = DefaultConfig()
	c.Data.Address = "8686"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), `data.address: expected host:port such as 127.0.0.1:8686, found "8686"`) {
		t.Error(err)
	}
}
