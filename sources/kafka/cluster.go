package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// cluster knows topics and leaders. It keeps one connection to any broker and
// is safe for concurrent use.
type cluster struct {
	cfg     *Config
	dialer  *dialer
	pattern *regexp.Regexp // nil without topic_pattern
	except  []string       // what the pattern does not take

	mu   sync.Mutex
	wire *wire
	last *metadata.Response // of all wanted topics
	at   time.Time
}

func newCluster(cfg *Config, d *dialer, except []string) (*cluster, error) {
	c := &cluster{cfg: cfg, dialer: d, except: except}
	if cfg.TopicPattern != "" {
		pattern, err := regexp.Compile(`^(?:` + cfg.TopicPattern + `)$`)
		if err != nil {
			return nil, fmt.Errorf("topic_pattern: %w", err)
		}
		c.pattern = pattern
	}
	return c, nil
}

// refresh asks for metadata, over the connection that there is or a new one to
// the first broker that answers. The caller holds the lock.
func (c *cluster) refresh(ctx context.Context) error {
	topics := c.cfg.Topics
	if c.pattern != nil {
		topics = nil // all
	}
	if c.wire != nil {
		response, err := c.wire.metadata(ctx, topics)
		if err == nil {
			c.last, c.at = response, time.Now()
			return nil
		}
		c.wire.close()
		c.wire = nil
	}
	var problems []error
	for _, broker := range c.cfg.Brokers {
		conn, err := c.dialer.dial(ctx, broker)
		if err == nil {
			w := newWire(conn)
			var response *metadata.Response
			if response, err = w.metadata(ctx, topics); err == nil {
				c.wire, c.last, c.at = w, response, time.Now()
				return nil
			}
			w.close()
			err = fmt.Errorf("broker %s: %w", broker, err)
		}
		problems = append(problems, c.cfg.explain(err))
	}
	if len(problems) == 1 {
		return problems[0]
	}
	return worst(problems)
}

// worst joins the failures of several brokers under the class of the one that
// needs an operator, if there is one.
func worst(problems []error) error {
	joined := errors.Join(problems...)
	for _, p := range problems {
		if f := fault.Of(p); f.Class == fault.Operator {
			return &fault.Error{Class: f.Class, Reason: f.Reason, Err: joined}
		}
	}
	return &fault.Error{Class: fault.Transient, Reason: fault.Unavailable, Err: joined}
}

func (c *cluster) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire != nil {
		c.wire.close()
		c.wire = nil
	}
}

// wanted is what the configuration finds in the cluster.
type wanted struct {
	clusterID  string
	topics     []string       // that exist, sorted
	partitions map[string]int // of each
	missing    []string       // named but not there
	refused    error          // why a topic cannot be used, if so
}

// topics asks which of the wanted topics exist.
func (c *cluster) topics(ctx context.Context) (wanted, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refresh(ctx); err != nil {
		return wanted{}, err
	}
	w := wanted{clusterID: c.last.ClusterID, partitions: map[string]int{}}
	for i := range c.last.Topics {
		topic := &c.last.Topics[i]
		named := slices.Contains(c.cfg.Topics, topic.Name)
		if !named && (c.pattern == nil || topic.IsInternal || !c.pattern.MatchString(topic.Name) || slices.Contains(c.except, topic.Name)) {
			continue
		}
		code := kafkago.Error(topic.ErrorCode)
		switch {
		case code == 0 && len(topic.Partitions) > 0:
			w.topics = append(w.topics, topic.Name)
			w.partitions[topic.Name] = len(topic.Partitions)
		case code == kafkago.TopicAuthorizationFailed:
			w.refused = c.cfg.explain(fmt.Errorf("topic %s: %w", topic.Name, code))
		}
	}
	slices.Sort(w.topics)
	for _, name := range c.cfg.Topics {
		if !slices.Contains(w.topics, name) {
			w.missing = append(w.missing, name)
		}
	}
	return w, nil
}

// leader returns the address of a partition's leader from metadata that is
// newer than since.
func (c *cluster) leader(ctx context.Context, topic string, partition int32, since time.Time) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || !c.at.After(since) {
		if err := c.refresh(ctx); err != nil {
			return "", err
		}
	}
	for i := range c.last.Topics {
		if c.last.Topics[i].Name != topic {
			continue
		}
		for _, p := range c.last.Topics[i].Partitions {
			if p.PartitionIndex != partition {
				continue
			}
			for _, b := range c.last.Brokers {
				if b.NodeID == p.LeaderID {
					return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))), nil
				}
			}
			return "", fmt.Errorf("topic %s partition %d: %w", topic, partition, kafkago.LeaderNotAvailable)
		}
	}
	return "", fmt.Errorf("topic %s partition %d: %w", topic, partition, kafkago.UnknownTopicOrPartition)
}

// dialLeader opens a connection to a partition's leader.
func (c *cluster) dialLeader(ctx context.Context, topic string, partition int32, since time.Time) (*wire, error) {
	address, err := c.leader(ctx, topic, partition, since)
	if err != nil {
		return nil, err
	}
	conn, err := c.dialer.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return newWire(conn), nil
}

// problem describes what is wrong with the wanted topics, nil for nothing.
func (w *wanted) problem(cfg *Config) error {
	if w.refused != nil {
		return w.refused
	}
	if len(w.missing) > 0 {
		return fault.New(fault.Operator, fault.Misconfigured, "topics %q do not exist", w.missing).
			WithHint("make them, or correct topics; they are used as soon as they exist")
	}
	if len(w.topics) == 0 {
		return fault.New(fault.Operator, fault.Misconfigured, "no topic matches the pattern %q", cfg.TopicPattern).
			WithHint("make one, or correct topic_pattern; it is used as soon as it exists")
	}
	return nil
}
