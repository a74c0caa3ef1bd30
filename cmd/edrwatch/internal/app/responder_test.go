package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/playback"
	"github.com/edrwatch/edrwatch/deploy/responder/console"
	"github.com/edrwatch/edrwatch/deploy/responder/worker"
	kafkasink "github.com/edrwatch/edrwatch/sinks/kafka"
	"github.com/edrwatch/edrwatch/sinks/store"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// dies is a reader whose worker is killed after its first act is done and
// before that is committed.
type dies struct {
	*kafka.Reader
	kill context.CancelFunc
}

func (d dies) CommitMessages(context.Context, ...kafka.Message) error {
	d.kill()
	return errors.New("killed")
}

// TestRolloutIsPausedAtTheVendor plays 19 July 2024 in small: from the records
// in Kafka to a rollout that is paused and rolled back in a console, once,
// although the worker dies in the middle.
func TestRolloutIsPausedAtTheVendor(t *testing.T) {
	const topic, token = "edr.responses", "console token"
	vendor := console.New(token)
	server := httptest.NewServer(vendor)
	defer server.Close()
	broker, err := StartBroker(BrokerConfig{Listen: "127.0.0.1:0", Dir: t.TempDir(), Topics: append(EmbeddedTopics(), topic)})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	cfg := Embedded(broker, EmbeddedConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", HealthListen: "127.0.0.1:0"})
	to := kafkasink.DefaultResponderConfig()
	to.Brokers = []string{broker.Addr()}
	cfg.Responses.Enabled = true
	cfg.Responders = []config.Responder{{Name: "worker", Type: "kafka", Settings: &to}}
	a, err := New(cfg, Options{Logger: discard(), Stdout: io.Discard, Build: buildinfo.Info{Version: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		stop()
		if err := errors.Join(<-done, a.Close()); err != nil {
			t.Error(err)
		}
	}()

	scenario, err := simulator.Shipped("july19")
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := simulator.New(simulator.Config{Scenario: scenario, Agents: 600, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	transport := &kafka.Transport{}
	writer := playback.NewWriter(transport, broker.Addr())
	defer transport.CloseIdleConnections()
	defer writer.Close()
	if err := (&playback.Player{Feed: fleet, Writer: writer}).Run(ctx); err != nil {
		t.Fatal(err)
	}

	responder := func(ctx context.Context, wrap func(*kafka.Reader) worker.Reader) error {
		reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker.Addr()}, Topic: topic, GroupID: "responder", StartOffset: kafka.FirstOffset, MaxWait: 50 * time.Millisecond})
		defer reader.Close()
		w := worker.Worker{Reader: wrap(reader), Console: worker.Console{URL: server.URL, Token: token, HTTP: &http.Client{Timeout: 10 * time.Second}}, Logger: discard(), Retry: 10 * time.Millisecond}
		return w.Run(ctx)
	}
	first, kill := context.WithCancel(ctx)
	if err := responder(first, func(r *kafka.Reader) worker.Reader { return dies{r, kill} }); err != nil {
		t.Fatal(err)
	}
	if calls := vendor.Calls(); calls != 1 {
		t.Fatalf("%d calls before the worker died, want one", calls)
	}
	second, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- responder(second, func(r *kafka.Reader) worker.Reader { return r }) }()
	within(t, 60*time.Second, "a rollout that is paused and rolled back", func() bool {
		list := vendor.Rollouts()
		return len(list) > 0 && list[0].State == "rolled_back" && vendor.Calls() >= 3
	})
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	list := vendor.Rollouts()
	if r := list[0]; len(list) != 1 || r.Product != "crowdstrike-falcon" || r.Channel != "291" || r.Version != "32" || r.Changes != 2 || r.Reason == "" {
		t.Errorf("the console shows %+v after %d calls, want one version that was paused once and rolled back once", list, vendor.Calls())
	}
	within(t, 30*time.Second, "documents about the acts", func() bool {
		n, _, err := a.Store().Count(ctx, store.Query{Action: "response-taken"})
		return err == nil && n >= 2
	})
}
