package canary

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
)

// Settings are what the composition root gives to a Canary.
type Settings struct {
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// Report writes a problem, or its end, to the sinks; it is called
	// again after an error.
	Report func(ctx context.Context, p Problem) error
	// Now is the gateway's clock; default time.Now.
	Now func() time.Time
}

// Writer writes the records of a beat to one partition of a topic, and returns
// when the brokers have them.
type Writer interface {
	Write(ctx context.Context, topic string, partition int32, records []Record) error
}

// Status is what is known of the canary of a feed.
type Status struct {
	Feed   string `json:"feed"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"` // of deaf and mute
	// Heard is the time of the latest beat that came back, Proved the end of
	// the last proof; both are zero before the first.
	Heard     time.Time `json:"heard,omitzero"`
	RoundTrip float64   `json:"round_trip_seconds"` // of that beat
	Proved    time.Time `json:"proved,omitzero"`
	// NoticedAfter is how long the canary was silent until Rule noticed, in seconds.
	NoticedAfter float64 `json:"noticed_after_seconds,omitempty"`
	Rule         string  `json:"rule,omitempty"`
}

// Canary plays and watches the canaries of the feeds that the gateway owns. It
// is safe for concurrent use.
type Canary struct {
	cfg Config
	set Settings

	proofs *prometheus.CounterVec
	news   chan Problem

	mu      sync.Mutex
	watches []*watch
}

// newsLength bounds the reports that wait to be sent.
const newsLength = 256

// New returns canaries for the feeds that Open is asked about.
func New(cfg Config, set Settings) (*Canary, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if set.Now == nil {
		set.Now = time.Now
	}
	c := &Canary{cfg: cfg, set: set, news: make(chan Problem, newsLength), proofs: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "edrwatch", Subsystem: "canary", Name: "proofs_total", Help: "Silences of a feed's canary, by outcome: proved (a rule noticed), mute (none did in time).",
	}, []string{"feed", "outcome"})}
	for _, m := range []prometheus.Collector{c.proofs, &collector{c}} {
		if err := set.Metrics.Register(m); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return c, nil
}

// Open returns what opens the partitions of a source whose canaries are
// written by w. Group is the source's consumer group: gateways of one group play
// the same agents, those of others play their own.
func (c *Canary) Open(group string, w Writer, open func(context.Context, event.Partition) (event.Worker, error)) func(context.Context, event.Partition) (event.Worker, error) {
	return func(ctx context.Context, p event.Partition) (event.Worker, error) {
		worker, err := open(ctx, p)
		if err != nil || p.Number != 0 || !c.cfg.plays(p.Topic) {
			return worker, err
		}
		return c.accompany(worker, p, group, w), nil
	}
}

// accompany plays the canary of a partition while its worker lives.
func (c *Canary) accompany(worker event.Worker, p event.Partition, group string, writer Writer) event.Worker {
	w := newWatch(&c.cfg, p.Topic, AgentID("canary", group, p.Topic), AgentID("witness", group, p.Topic), func(s State) {
		c.proofs.WithLabelValues(p.Topic, string(s)).Inc()
	})
	for _, s := range []State{Proved, Mute} {
		c.proofs.WithLabelValues(p.Topic, string(s))
	}
	c.mu.Lock()
	c.watches = append(c.watches, w)
	c.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.play(ctx, w, p.Number, writer)
	}()
	return &accompanied{Worker: worker, end: func() {
		stop()
		<-done
		c.mu.Lock()
		defer c.mu.Unlock()
		w.giveUp(c.set.Now())
		c.collect(w)
		c.watches = slices.DeleteFunc(c.watches, func(other *watch) bool { return other == w })
	}}
}

// accompanied is a worker with a canary.
type accompanied struct {
	event.Worker
	end func()
}

// Resume implements event.Resumer.
func (a *accompanied) Resume(ctx context.Context, committed int64) (from int64, ok bool) {
	if r, some := a.Worker.(event.Resumer); some {
		return r.Resume(ctx, committed)
	}
	return 0, false
}

// Close implements event.Worker.
func (a *accompanied) Close() {
	a.end()
	a.Worker.Close()
}

// play beats until ctx ends.
func (c *Canary) play(ctx context.Context, w *watch, partition int32, writer Writer) {
	tick := time.NewTicker(c.cfg.Heartbeat)
	defer tick.Stop()
	for {
		now := c.set.Now().Truncate(time.Millisecond)
		c.mu.Lock()
		records := []Record{beat(w.feed, w.witness, now)}
		if w.beat(now) {
			records = append(records, beat(w.feed, w.canary, now))
		}
		c.mu.Unlock()
		writing, cancel := context.WithTimeout(ctx, c.cfg.Deadline)
		err := writer.Write(writing, w.feed, partition, records)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.set.Logger.Warn("canary heartbeat not written; check the permission to write to the feed", "feed", w.feed, "error", err)
		}
		c.mu.Lock()
		w.failure = err
		w.findOverdue(c.set.Now())
		c.collect(w)
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Hear takes what the rules of a partition say of an agent with the type of
// canaries. Those of others are nobody's business here.
func (c *Canary) Hear(s rules.CanarySign) {
	now := c.set.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watches {
		if s.Agent == w.canary || s.Agent == w.witness {
			w.takeSign(now, s)
			c.collect(w)
		}
	}
}

// Abandon says that rules or mappings were read again: proofs in progress count for nothing.
func (c *Canary) Abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watches {
		w.abandon()
	}
}

// collect hands over the changes that a watch found. A change that has no room
// in the queue is only logged.
func (c *Canary) collect(w *watch) {
	for _, p := range w.news {
		if p.Over {
			c.set.Logger.Info("canary recovered", "feed", p.Feed, "was", p.State, "reason", p.Reason)
		} else {
			c.set.Logger.Error("canary failed: silent agents would not be noticed", "feed", p.Feed, "canary", p.State, "reason", p.Reason)
		}
		select {
		case c.news <- p:
		default:
			c.set.Logger.Error("canary alert dropped: the sinks take no documents and its queue is full", "feed", p.Feed)
		}
	}
	w.news = w.news[:0]
}

// reportAgain is the pause before a report that no sink took is sent again.
const reportAgain = 15 * time.Second

// drainTimeout is how long the remaining reports may take when ctx of Run ends.
const drainTimeout = 5 * time.Second

// Run reports problems until ctx ends.
func (c *Canary) Run(ctx context.Context) {
	defer c.drain(context.WithoutCancel(ctx))
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-c.news:
			for c.set.Report(ctx, p) != nil {
				timer := time.NewTimer(reportAgain)
				select {
				case <-ctx.Done():
					timer.Stop()
					return
				case <-timer.C:
				}
			}
		}
	}
}

// drain sends the remaining reports, each once.
func (c *Canary) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for {
		select {
		case p := <-c.news:
			if err := c.set.Report(ctx, p); err != nil {
				c.set.Logger.Warn("canary alert not delivered before the gateway stopped", "feed", p.Feed, "was", p.State, "error", err)
			}
		default:
			return
		}
	}
}

// Statuses returns what is known of each canary, in the order of the feeds.
func (c *Canary) Statuses() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Status, 0, len(c.watches))
	for _, w := range c.watches {
		list = append(list, Status{
			Feed: w.feed, State: w.state(), Reason: w.reason[w.state()], Heard: w.heard.UTC(), RoundTrip: w.roundTrip.Seconds(), Proved: w.proved.UTC(),
			NoticedAfter: w.took.Seconds(), Rule: w.rule,
		})
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Feed, b.Feed) })
	return list
}
