package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/playback"
	kafkasink "github.com/edrwatch/edrwatch/sinks/kafka"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// Config says what is replayed, and how fast.
type Config struct {
	Scenario string
	Agents   int
	Seed     uint64
	Pace     time.Duration // real time that the scenario is compressed into
	Stay     bool          // keep the console up after the end, until ctx ends
	Listen   string        // of the console; "" takes a free port
	Build    buildinfo.Info
	Logger   *slog.Logger
	Out      io.Writer
	Terminal bool // Out is a terminal: progress and colours
}

// settle is how long the gateway may take to work off what was produced.
const settle = 90 * time.Second

// Run plays the demo and returns its verdict. The error is about running it;
// a missed incident is a verdict.
func Run(ctx context.Context, cfg Config) (_ Verdict, err error) {
	dir, err := os.MkdirTemp("", "edrwatch-demo-")
	if err != nil {
		return Verdict{}, fmt.Errorf("making the demo's directory: %w", err)
	}
	defer os.RemoveAll(dir)
	broker, err := app.StartBroker(app.BrokerConfig{Listen: "127.0.0.1:0", Dir: filepath.Join(dir, "broker"), Topics: app.EmbeddedTopics()})
	if err != nil {
		return Verdict{}, err
	}
	defer broker.Close()
	listen := cfg.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	gateway, err := app.New(
		configuration(broker, app.EmbeddedConfig{Dir: dir, Listen: listen, HealthListen: "127.0.0.1:0"}),
		app.Options{Logger: cfg.Logger, Stdout: io.Discard, Build: cfg.Build, Playback: true})
	if err != nil {
		return Verdict{}, err
	}
	defer func() {
		if closeErr := gateway.Close(); err == nil {
			err = closeErr
		}
	}()
	fleet, err := newFleet(cfg)
	if err != nil {
		return Verdict{}, err
	}

	running, stop := context.WithCancel(ctx)
	defer stop()
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return gateway.Run(running) })
	var verdict Verdict
	group.Go(func() error {
		defer stop()
		var err error
		verdict, err = play(running, cfg, broker, gateway, fleet)
		return err
	})
	err = group.Wait()
	if ctx.Err() != nil && verdict.Complete {
		err = nil // Interrupted while the console was kept up: that is how it ends.
	}
	return verdict, err
}

// configuration is that of the evaluation set-up with a worker before a vendor's
// console, which does not exist: what it would be asked for is written as an event.
func configuration(broker *app.Broker, e app.EmbeddedConfig) config.Config {
	cfg := app.Embedded(broker, e)
	worker := kafkasink.DefaultResponderConfig()
	worker.Brokers = []string{broker.Addr()}
	cfg.Responders = []config.Responder{{Name: "worker", Type: "kafka", Settings: &worker}}
	return cfg
}

func newFleet(cfg Config) (*simulator.Fleet, error) {
	scenario, err := simulator.Shipped(cfg.Scenario)
	if err != nil {
		return nil, err
	}
	return simulator.New(simulator.Config{Seed: cfg.Seed, Agents: cfg.Agents, Scenario: scenario})
}

// play produces the fleet's records, waits until the gateway is through with
// them and judges what it found.
func play(ctx context.Context, cfg Config, broker *app.Broker, gateway *app.App, fleet *simulator.Fleet) (Verdict, error) {
	truth := fleet.Truth()
	screen := newScreen(cfg, truth, gateway.Store())
	screen.printHeader(gateway.ConsoleURL(), broker.Addr())
	transport := &kafka.Transport{} // of its own, to close its connections
	defer transport.CloseIdleConnections()
	writer := playback.NewWriter(transport, broker.Addr())
	defer writer.Close()
	producer := &playback.Player{
		Feed: fleet, Writer: writer, Start: truth.Start,
		Speed: float64(truth.End.Sub(truth.Start)) / float64(max(cfg.Pace, time.Millisecond)),
	}

	watching, done := context.WithCancel(ctx)
	var watch errgroup.Group
	watch.Go(func() error { return screen.watch(watching, &producer.Now, &producer.Sent) })
	err := producer.Run(ctx)
	if err == nil {
		err = settled(ctx, gateway, producer.Sent.Load())
	}
	done()
	if watchErr := watch.Wait(); err == nil && ctx.Err() == nil {
		err = watchErr
	}
	if err != nil {
		return Verdict{}, err
	}
	verdict, err := judge(ctx, gateway, fleet.Truth())
	if err != nil {
		return Verdict{}, err
	}
	screen.close(verdict, producer.Sent.Load())
	if cfg.Stay {
		screen.stay(gateway.ConsoleURL())
		<-ctx.Done()
	}
	return verdict, nil
}
