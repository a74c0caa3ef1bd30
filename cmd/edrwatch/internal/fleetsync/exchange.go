package fleetsync

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Settings are what the composition root gives to an Exchange.
type Settings struct {
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// Fleet is how the fleet is judged.
	Fleet fleet.Config
	// Health is called with what keeps steps from being exchanged, or nil. It must not block.
	Health func(error)
	// Kept, where set, gives what a judge that owned the partition kept to
	// restore, the newest first, and returns the offset of the step after it.
	Kept func(ctx context.Context, restore func(state []byte) error) (offset int64, ok bool)
	// Demand is called with how far in the log other gateways have come, nanoseconds since
	// 1970, so that partitions of this one that have nothing left go there.
	Demand func(at int64)
	// Now is the gateway's clock; default time.Now.
	Now func() time.Time
}

// Exchange is one gateway's part in the exchange of steps.
type Exchange struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	health  func(error)
	kept    func(context.Context, func([]byte) error) (int64, bool)
	demand  func(at int64)
	gateway string
	fleet   *fleet.Fleet
	dialer  *kafkago.Dialer
	writer  *kafkago.Writer
	queue   chan []byte
	waiting atomic.Int64 // steps in the queue and on their way
	steps   *prometheus.CounterVec
	heard   prometheus.Counter

	mu       sync.Mutex
	problems map[string]error
	advanced chan struct{} // closed when something was heard
	owned    []string      // partitions that were announced last
	changed  time.Time     // when a step was closed last
}

// New returns an exchange; it does not connect yet.
func New(cfg Config, set Settings) (*Exchange, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	log := set.Logger.With("exchange", cfg.Topic)
	dialer, err := cfg.Dialer(log)
	if err != nil {
		return nil, err
	}
	writer, err := cfg.Writer(cfg.Topic, onePartition{}, log)
	if err != nil {
		return nil, err
	}
	writer.MaxAttempts, writer.BatchSize = 1, batchLength // Steps are sent again in their order.
	name, err := gatewayName()
	if err != nil {
		return nil, err
	}
	e := &Exchange{
		cfg: cfg, log: log, now: set.Now, health: set.Health, kept: set.Kept, gateway: name, dialer: dialer, writer: writer, problems: map[string]error{}, advanced: make(chan struct{}), demand: set.Demand,
		queue: make(chan []byte, queueLength),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "edrwatch", Subsystem: "fleet", Name: "steps_total",
			Help: "Steps of this gateway's part of the fleet, by outcome: published for the other gateways, or not delivered to them.",
		}, []string{"outcome"}),
		heard: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "edrwatch", Subsystem: "fleet", Name: "steps_heard_total", Help: "Steps of all gateways that were heard.",
		}),
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.demand == nil {
		e.demand = func(int64) {}
	}
	e.changed = e.now()
	if e.health == nil {
		e.health = func(error) {}
	}
	for _, outcome := range []string{"published", "lost"} {
		e.steps.WithLabelValues(outcome)
	}
	for _, c := range []prometheus.Collector{e.steps, e.heard} {
		if err := set.Metrics.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	e.fleet = fleet.NewShared(set.Fleet, e.now)
	return e, nil
}

// gatewayName returns a name that no other gateway has, nor this one before a
// restart: its steps begin from the start.
func gatewayName() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "gateway"
	}
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("naming the gateway: %w", err)
	}
	return host[:min(len(host), 64)] + "-" + hex.EncodeToString(b[:]), nil
}

// Fleet is what the gateway's partitions take part in, and what knows of the
// whole.
func (e *Exchange) Fleet() *fleet.Fleet { return e.fleet }

// Run publishes and hears steps until ctx ends; then it tells the others that
// the gateway leaves. The partitions' workers have to be closed before.
func (e *Exchange) Run(ctx context.Context) {
	var working sync.WaitGroup
	working.Go(func() { e.listen(ctx) })
	working.Go(func() { e.publish(ctx) })
	working.Go(func() { e.watch(ctx) })
	working.Wait()
}

// Close releases the connections.
func (e *Exchange) Close() error { return kafkaconn.CloseWriter(e.writer) }

// setProblem notes what keeps a part from working.
func (e *Exchange) setProblem(part string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.problems[part]
	if err == nil && before == nil {
		return
	}
	if err != nil && before == nil {
		e.log.Warn("the exchange does not work; trying again", "part", part, "error", err)
	}
	e.problems[part] = err
	var all []error
	for _, part := range []string{"publishing", "listening"} {
		if p := e.problems[part]; p != nil {
			all = append(all, fmt.Errorf("%s to topic %s: %w", part, e.cfg.Topic, p))
		}
	}
	e.health(errors.Join(all...))
}
