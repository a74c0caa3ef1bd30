package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/sinks/store"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// within polls until the condition holds.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, limit)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestEmbeddedGatewayRestarts runs the evaluation set-up, stops it, and runs it
// again on the same data: nothing is lost and nothing is taken twice.
func TestEmbeddedGatewayRestarts(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	at := time.Now().Truncate(time.Second)
	produce := func(broker *Broker, from, to int) {
		w := &kafka.Writer{Addr: kafka.TCP(broker.Addr()), BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll, Transport: &kafka.Transport{}}
		var messages []kafka.Message
		for i := from; i < to; i++ {
			messages = append(messages, kafka.Message{Topic: "edr.crowdstrike.fdr", Key: []byte("a1"), Value: fdrRecord(i), Time: at})
		}
		if err := w.WriteMessages(t.Context(), messages...); err != nil {
			t.Fatal(err)
		}
		w.Transport.(*kafka.Transport).CloseIdleConnections()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for round, want := range []int{50, 80} {
		broker, err := StartBroker(BrokerConfig{Listen: "127.0.0.1:0", Dir: filepath.Join(dir, "broker"), Topics: EmbeddedTopics()})
		if err != nil {
			t.Fatal(err)
		}
		cfg := Embedded(broker, EmbeddedConfig{Dir: dir, Listen: "127.0.0.1:0", HealthListen: "127.0.0.1:0"})
		a, err := New(cfg, Options{Logger: discard(), Stdout: io.Discard, Build: buildinfo.Info{Version: "test"}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		produce(broker, []int{0, 50}[round], want)

		count := func() int {
			n, _, err := a.Store().Count(t.Context(), store.Query{})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		within(t, 30*time.Second, "records in the store", func() bool { return count() == want })
		within(t, 10*time.Second, "readiness", func() bool { code, _ := get(t, a.HealthURL()+"/readyz"); return code == http.StatusOK })
		if code, body := get(t, a.ConsoleURL()+"/api/v1/status"); code != http.StatusOK || !strings.Contains(body, `"mapped"`) {
			t.Errorf("status: %d %s", code, body)
		}
		taken := a.RecordsDone()
		if want := int64([]int{50, 30}[round]); taken != want {
			t.Errorf("round %d took %d records, want %d: offsets are not where they should be", round, taken, want)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if err := a.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		broker.Close()
	}
}

func TestUnreachableBrokerIsNotReadyAndSaysWhy(t *testing.T) {
	a := newEverything(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	within(t, 30*time.Second, "readiness to fail", func() bool {
		code, body := get(t, a.HealthURL()+"/readyz?verbose")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "source kafka") && strings.Contains(body, "refused")
	})
	if code, _ := get(t, a.HealthURL()+"/livez"); code != http.StatusOK {
		t.Errorf("livez is %d because a broker is down: a restart would lose state and gain nothing", code)
	}
	results := a.Check(t.Context())
	for _, part := range []string{"source kafka", "schema registry of source kafka", "sink elastic", "sink splunk", "responder soar", "responder worker", "responder pager"} {
		if results[part] == nil {
			t.Errorf("%s is reported as reachable", part)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestTakenAddressNamesTheSetting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	broker, err := StartBroker(BrokerConfig{Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	cfg := Embedded(broker, EmbeddedConfig{Dir: t.TempDir(), Listen: l.Addr().String(), HealthListen: "127.0.0.1:0"})
	if _, err := New(cfg, Options{Logger: discard(), Stdout: io.Discard}); err == nil || !strings.Contains(err.Error(), "http.listen") {
		t.Errorf("error %v does not name http.listen", err)
	}
	if _, err := StartBroker(BrokerConfig{Listen: l.Addr().String(), Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("error %v does not say that the broker's address is taken", err)
	}
}
