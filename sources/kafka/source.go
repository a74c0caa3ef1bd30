package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Settings are what the composition root gives a source.
type Settings struct {
	Name    string
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// Except are topics that a pattern never takes: those that the gateway
	// writes itself.
	Except []string
	// Horizon is how far back the state of rules reaches: as much is read again
	// before the committed offset when a partition is taken over. Nil or 0 reads
	// nothing again.
	Horizon func() time.Duration
	// Health is called at every change of state: with what keeps the source from
	// working (classified by package fault), or nil. It must not block.
	Health func(error)
	// Now is the clock of lag metrics; default time.Now.
	Now func() time.Time
}

// Source consumes topics as a member of a consumer group.
type Source struct {
	cfg        Config
	name       string
	logger     *slog.Logger
	horizon    func() time.Duration
	health     *health
	metrics    *metrics
	budget     *budget
	codecs     decompressor
	dialer     *dialer
	cluster    *cluster
	partitions atomic.Pointer[map[string]int] // of the topics, as the brokers last reported
	reading    atomic.Int32                   // partitions that are owned
	clusterID  string
}

// New returns a source; it does not connect yet.
func New(cfg Config, set Settings) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring source %s: %w", set.Name, err)
	}
	s := &Source{cfg: cfg, name: set.Name, logger: set.Logger, horizon: set.Horizon}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.logger = s.logger.With("source", set.Name)
	if cfg.TLS.Enabled {
		// Files that cannot be read are reported by Check and Run, not here: they
		// may come later.
		if _, err := cfg.TLS.Client(s.logger); err != nil {
			s.logger.Error("TLS is not usable yet", "error", err)
		}
	}
	now := set.Now
	if now == nil {
		now = time.Now
	}
	s.budget = newBudget(int64(cfg.MaxInFlightBytes))
	s.health = newHealth(set.Health, s.logger)
	s.dialer = newDialer(&s.cfg)
	var err error
	if s.cluster, err = newCluster(&s.cfg, s.dialer, set.Except); err != nil {
		return nil, fmt.Errorf("configuring source %s: %w", set.Name, err)
	}
	if s.metrics, err = newMetrics(set.Name, s.budget, now, set.Metrics); err != nil {
		return nil, fmt.Errorf("registering metrics of source %s: %w", set.Name, err)
	}
	return s, nil
}

// Check connects to the brokers and reports the real cause when that fails, or
// when a configured topic does not exist.
func (s *Source) Check(ctx context.Context) error {
	c, err := newCluster(&s.cfg, s.dialer, s.cluster.except)
	if err != nil {
		return err
	}
	defer c.close()
	found, err := c.topics(ctx)
	if err != nil {
		return err
	}
	return found.problem(&s.cfg)
}

// Run consumes until ctx ends. It implements pipeline.Source; it must not run
// twice at a time. Brokers that cannot be reached and topics that do not exist
// are waited for, with a word to Health.
func (s *Source) Run(ctx context.Context, open func(ctx context.Context, p event.Partition) (event.Worker, error)) error {
	defer s.cluster.close()
	for ctx.Err() == nil {
		found, ok := s.waitForTopics(ctx)
		if !ok {
			break
		}
		if err := s.consume(ctx, found, open); err != nil && ctx.Err() == nil {
			var stop *stopError
			if errors.As(err, &stop) {
				err = stop.err
			}
			return fmt.Errorf("consuming with source %s: %w", s.name, err)
		}
	}
	return nil
}

// waitForTopics returns the wanted topics as soon as there is one.
func (s *Source) waitForTopics(ctx context.Context) (wanted, bool) {
	wait := newBackoff()
	for ctx.Err() == nil {
		found, err := s.cluster.topics(ctx)
		if ctx.Err() != nil {
			break
		}
		s.health.set("brokers", err)
		if err != nil {
			wait.sleep(ctx)
			continue
		}
		wait.reset()
		s.noteTopics(found)
		if len(found.topics) > 0 {
			return found, true
		}
		s.sleep(ctx, s.cfg.MetadataInterval)
	}
	return wanted{}, false
}

// noteTopics says what is missing. As long as one topic can be read, others
// that are missing are a warning only.
func (s *Source) noteTopics(found wanted) {
	s.partitions.Store(&found.partitions)
	for _, topic := range s.cfg.Topics {
		missing := 0.0
		if slices.Contains(found.missing, topic) {
			missing = 1
		}
		s.metrics.missing.WithLabelValues(topic).Set(missing)
	}
	problem := found.problem(&s.cfg)
	if problem != nil && len(found.topics) > 0 {
		s.logger.Warn("reading the topics that there are", "topics", found.topics, "problem", problem)
		problem = nil
	}
	s.health.set("topics", problem)
}

func (s *Source) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// leaveTime is how long leaving a group may take after the workers finished,
// before its connections are broken: a broker may hold an answer back for the
// whole rebalance.
const leaveTime = 5 * time.Second

// consume is a member of the group for the given topics until they change, ctx
// ends or a worker fails.
func (s *Source) consume(ctx context.Context, found wanted, open func(context.Context, event.Partition) (event.Worker, error)) error {
	s.clusterID = cmp.Or(s.cfg.Cluster, found.clusterID)
	start := int64(kafkago.FirstOffset)
	if s.cfg.Start == "latest" {
		start = kafkago.LastOffset
	}
	group, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID: s.cfg.Group, Brokers: s.cfg.Brokers, Topics: found.topics, Dialer: s.dialer.group(), StartOffset: start,
		WatchPartitionChanges: true, PartitionWatchInterval: s.cfg.MetadataInterval,
		HeartbeatInterval: min(3*time.Second, s.cfg.SessionTimeout/3), SessionTimeout: s.cfg.SessionTimeout,
		RebalanceTimeout: s.cfg.RebalanceTimeout, JoinGroupBackoff: 200 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	s.logger.Info("joining the group", "group", s.cfg.Group, "topics", found.topics)
	ctx, leave := context.WithCancelCause(ctx)
	left := make(chan struct{})
	// Closing the group ends the generation, waits for its workers and their last
	// commit, and leaves. It must begin before the generation's function returns,
	// or kafka-go would join again meanwhile.
	context.AfterFunc(ctx, func() {
		defer close(left)
		stuck := time.AfterFunc(s.cfg.DrainTimeout+leaveTime, s.dialer.closeAll)
		defer stuck.Stop()
		group.Close()
	})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watchTopics(ctx, found.topics, leave)
	}()
	for ctx.Err() == nil {
		s.join(ctx, group, open, leave)
	}
	<-left
	<-watched
	s.health.clear("group")
	if err := context.Cause(ctx); !errors.Is(err, errTopicsChanged) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// join waits for the next generation and runs it.
func (s *Source) join(ctx context.Context, group *kafkago.ConsumerGroup, open func(context.Context, event.Partition) (event.Worker, error), leave context.CancelCauseFunc) {
	for failures := 0; ; {
		gen, err := group.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			// A rebalance that overtakes another is no failure, and a coordinator
			// may be on the move.
			if failures++; failures > 2 && !errors.Is(err, kafkago.RebalanceInProgress) {
				s.health.set("group", s.cfg.explain(fmt.Errorf("joining group %s: %w", s.cfg.Group, err)))
			}
			continue
		}
		s.health.set("group", nil)
		s.metrics.rebalances.Inc()
		g := s.newGeneration(gen)
		s.logger.Info("joined the group", "group", s.cfg.Group, "generation", gen.ID, "partitions", len(g.parts))
		done := make(chan struct{})
		gen.Start(func(revoked context.Context) {
			defer close(done)
			if err := g.run(ctx, revoked, open); err != nil {
				leave(err)
			}
			if ctx.Err() != nil {
				<-revoked.Done() // the group is being closed
			}
		})
		<-done
		return
	}
}

// errTopicsChanged ends the membership so that it begins again with other topics.
var errTopicsChanged = errors.New("the wanted topics changed")

// watchTopics looks for topics that appear or go.
func (s *Source) watchTopics(ctx context.Context, topics []string, leave context.CancelCauseFunc) {
	for {
		s.sleep(ctx, s.cfg.MetadataInterval)
		if ctx.Err() != nil {
			return
		}
		found, err := s.cluster.topics(ctx)
		if ctx.Err() != nil {
			return
		}
		s.health.set("brokers", err)
		if err == nil {
			s.partitions.Store(&found.partitions)
		}
		if err == nil && !slices.Equal(found.topics, topics) {
			s.logger.Info("the wanted topics changed", "before", topics, "now", found.topics)
			leave(errTopicsChanged)
			return
		}
	}
}
