package kafka

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline bounds every wait; nothing should come near it.
const deadline = 30 * time.Second

// broker is an in-process Kafka with a client to prepare and inspect it.
type broker struct {
	t       testing.TB
	cluster *kfake.Cluster
	client  *kgo.Client
}

func newBroker(t testing.TB, opts ...kfake.Opt) *broker {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &broker{t: t, cluster: cluster}
}

func (b *broker) connect(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(client.Close)
	return client
}

func (b *broker) admin() *kgo.Client {
	if b.client == nil {
		b.client = b.connect()
	}
	return b.client
}

func (b *broker) create(topic string, partitions int32) {
	b.t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, partitions, 1
	request.Topics = append(request.Topics, t)
	response, err := request.RequestWith(b.t.Context(), b.admin())
	if err != nil || response.Topics[0].ErrorCode != 0 {
		b.t.Fatalf("creating %s: %v %+v", topic, err, response)
	}
}

// produce writes values to a partition, each in a batch of its own when the
// client says so.
func (b *broker) produce(client *kgo.Client, topic string, partition int32, values ...string) {
	b.t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v)}
	}
	if err := client.ProduceSync(b.t.Context(), records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

// committed returns the group's offset of a partition, -1 for none.
func (b *broker) committed(group, topic string, partition int32) int64 {
	b.t.Helper()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	request.Topics = append(request.Topics, t)
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.Partitions = topic, []int32{partition}
	g.Topics = append(g.Topics, gt)
	request.Groups = append(request.Groups, g)
	response, err := request.RequestWith(b.t.Context(), b.admin())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, g := range response.Groups {
		for _, t := range g.Topics {
			return t.Partitions[0].Offset
		}
	}
	return -1
}

func values(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return out
}

// config is quick about everything.
func (b *broker) config(group string, topics ...string) Config {
	return quick(b.cluster.ListenAddrs(), group, topics...)
}

func quick(brokers []string, group string, topics ...string) Config {
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Group, cfg.Topics = brokers, group, topics
	cfg.FetchMaxWait, cfg.CommitInterval, cfg.MetadataInterval = 20*time.Millisecond, 10*time.Millisecond, 50*time.Millisecond
	cfg.DrainTimeout, cfg.SessionTimeout, cfg.RebalanceTimeout, cfg.DialTimeout = 50*time.Millisecond, 3*time.Second, 3*time.Second, 5*time.Second
	return cfg
}

// seen records what workers got.
type seen struct {
	mu      sync.Mutex
	records []event.Record // with their bytes copied
	parts   []event.Partition
	fresh   map[string]int
	again   map[string]int // below Committed
	opened  int
	closed  int
	handle  func(ctx context.Context, b *event.Batch) error
}

func (s *seen) open(context.Context, event.Partition) (event.Worker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return s, nil
}

func (s *seen) Handle(ctx context.Context, b *event.Batch) error {
	if s.handle != nil {
		if err := s.handle(ctx, b); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range b.Records {
		if r.Offset < b.Committed {
			s.count(&s.again, string(r.Value))
			continue
		}
		s.count(&s.fresh, string(r.Value))
		if r.Value != nil {
			r.Value = append([]byte{}, r.Value...)
		}
		if r.Key != nil {
			r.Key = append([]byte{}, r.Key...)
		}
		headers := append([]event.Header(nil), r.Headers...)
		for i := range headers {
			headers[i].Value = append([]byte(nil), headers[i].Value...)
		}
		r.Headers = headers
		s.records = append(s.records, r)
		s.parts = append(s.parts, b.Partition)
	}
	return nil
}

func (s *seen) count(counts *map[string]int, value string) {
	if *counts == nil {
		*counts = make(map[string]int)
	}
	(*counts)[value]++
}

func (s *seen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
}

func (s *seen) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

// all waits for n new records.
func (s *seen) all(t testing.TB, n int) []event.Record {
	t.Helper()
	eventually(t, func() bool { return s.len() >= n }, func() string { return fmt.Sprintf("%d of %d records", s.len(), n) })
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event.Record(nil), s.records...)
}

func eventually(t testing.TB, ok func() bool, state func() string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(deadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("did not happen within %v: %s", deadline, state())
		}
	}
}

// start runs a source until the returned function stops it.
func start(t testing.TB, cfg Config, set Settings, s *seen) (stop func() error) {
	t.Helper()
	set.Name = "test"
	source, err := New(cfg, set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx, s.open) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(deadline):
			return fmt.Errorf("Run did not return within %v", deadline)
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	return stop
}
