//go:build unix

package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// Deadlines are long because several JVMs may start on two busy cores.
const (
	kafkaStart = 2 * time.Minute
	kafkaStop  = 30 * time.Second
)

// KafkaOption changes how [Kafka] sets up its brokers.
type KafkaOption func(*kafkaSetup)

type kafkaSetup struct {
	nodes  int
	secure bool
}

// Nodes sets the number of brokers, 1 by default. With 3, topics have 3 replicas
// and min.insync.replicas is 2.
func Nodes(n int) KafkaOption { return func(s *kafkaSetup) { s.nodes = n } }

// Secure adds listeners with SASL and TLS; see [KafkaServer.Security].
func Secure() KafkaOption { return func(s *kafkaSetup) { s.secure = true } }

// KafkaServer is a running Apache Kafka cluster in KRaft mode. Topics are created
// only on demand, records never expire and consumer groups do not wait for members.
type KafkaServer struct {
	nodes    []*kafkaNode
	security *KafkaSecurity
}

// KafkaSecurity tells how to reach the listeners of a [Secure] cluster. The same
// user is known to PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
type KafkaSecurity struct {
	User, Password string
	*Certificates
	SASL    []string // addresses: SASL without TLS
	SASLTLS []string // addresses: SASL over TLS
	MTLS    []string // addresses: TLS with a client certificate that the authority signed
}

type kafkaNode struct {
	id      int
	dir     string
	ports   kafkaPorts
	command command
	process *process
}

// Kafka starts a Kafka cluster that lives as long as the test.
func Kafka(t testing.TB, options ...KafkaOption) *KafkaServer {
	t.Helper()
	s := &Shared{}
	t.Cleanup(s.Close)
	return s.Kafka(t, options...)
}

func startKafka(ctx context.Context, cache *Cache, dir string, options ...KafkaOption) (s *KafkaServer, err error) {
	setup := kafkaSetup{nodes: 1}
	for _, option := range options {
		option(&setup)
	}
	java, err := findJava()
	if err != nil {
		return nil, err
	}
	libs, err := cache.Kafka(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(setup.nodes * portsPerNode)
	if err != nil {
		return nil, err
	}
	s = &KafkaServer{}
	defer func() {
		if err != nil {
			s.killAll()
		}
	}()
	if setup.secure {
		s.security, err = newKafkaSecurity(dir)
		if err != nil {
			return nil, err
		}
	}
	for i := range setup.nodes {
		p := ports[i*portsPerNode:]
		node := &kafkaNode{
			id:    i + 1,
			dir:   filepath.Join(dir, fmt.Sprintf("kafka-%d", i+1)),
			ports: kafkaPorts{plain: p[0], controller: p[1], sasl: p[2], saslTLS: p[3], mtls: p[4]},
		}
		node.command = command{
			name:    fmt.Sprintf("kafka broker %d", node.id),
			path:    filepath.Join(java, "bin", "java"),
			args:    append(kafkaJVM(libs), "kafka.Kafka", node.configFile()),
			dir:     node.dir,
			logFile: filepath.Join(node.dir, "server.log"),
		}
		if s.security != nil {
			s.security.SASL = append(s.security.SASL, loopback(node.ports.sasl))
			s.security.SASLTLS = append(s.security.SASLTLS, loopback(node.ports.saslTLS))
			s.security.MTLS = append(s.security.MTLS, loopback(node.ports.mtls))
		}
		s.nodes = append(s.nodes, node)
	}
	for _, node := range s.nodes {
		if err := os.Mkdir(node.dir, 0o755); err != nil {
			return nil, fmt.Errorf("creating broker directory: %w", err)
		}
		if err := os.WriteFile(node.configFile(), []byte(s.properties(node)), 0o644); err != nil {
			return nil, fmt.Errorf("writing broker configuration: %w", err)
		}
		if err := formatStorage(ctx, java, libs, node, s.security); err != nil {
			return nil, err
		}
	}
	return s, s.start(ctx, s.nodes)
}

// start starts nodes and waits until all running brokers know each other.
func (s *KafkaServer) start(ctx context.Context, nodes []*kafkaNode) error {
	for _, node := range nodes {
		p, err := node.command.start()
		if err != nil {
			return err
		}
		node.process = p
	}
	for _, node := range nodes {
		if err := node.process.await(ctx, kafkaStart, func(ctx context.Context) error { return s.ready(ctx, node) }); err != nil {
			return err
		}
	}
	return nil
}

// ready tells whether a node answers, sees every running broker and finds a group
// coordinator, so that a first consumer does not meet "coordinator not available".
func (s *KafkaServer) ready(ctx context.Context, node *kafkaNode) error {
	client, done := adminClient(loopback(node.ports.plain))
	defer done()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return fmt.Errorf("asking for metadata: %w", err)
	}
	known := map[int]bool{}
	for _, b := range meta.Brokers {
		known[b.ID] = true
	}
	for _, other := range s.nodes {
		if other.process != nil && other.process.running() && !known[other.id] {
			return fmt.Errorf("broker %d does not know broker %d yet", node.id, other.id)
		}
	}
	group, err := client.FindCoordinator(ctx, &kafka.FindCoordinatorRequest{Key: "testbed", KeyType: kafka.CoordinatorKeyTypeConsumer})
	if err == nil {
		err = group.Error
	}
	if err != nil {
		return fmt.Errorf("finding the group coordinator: %w", err)
	}
	return nil
}

// Brokers returns the addresses of the listeners without security, one a broker,
// those of killed brokers included.
func (s *KafkaServer) Brokers() []string {
	var addresses []string
	for _, node := range s.nodes {
		addresses = append(addresses, loopback(node.ports.plain))
	}
	return addresses
}

// Security tells how to reach the secured listeners; nil without [Secure].
func (s *KafkaServer) Security() *KafkaSecurity { return s.security }

// CreateTopic creates a topic with a replica on every broker (at most 3) and waits
// until each partition has a leader. Settings are pairs such as "retention.ms", "1000".
func (s *KafkaServer) CreateTopic(t testing.TB, topic string, partitions int, settings ...string) {
	t.Helper()
	if len(settings)%2 != 0 {
		t.Fatalf("creating topic %s: settings %q are not pairs", topic, settings)
	}
	client, done := adminClient(s.Brokers()...)
	defer done()
	config := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: min(3, len(s.nodes))}
	for i := 0; i < len(settings); i += 2 {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: settings[i], ConfigValue: settings[i+1]})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	created, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	if err == nil {
		err = created.Errors[topic]
	}
	if err != nil {
		t.Fatalf("creating topic %s: %v", topic, err)
	}
	// Brokers learn of the topic one after the other, and a client may ask any of them.
	for _, node := range s.nodes {
		if !node.process.running() {
			continue
		}
		err := poll(ctx, func() error { return hasLeaders(ctx, loopback(node.ports.plain), topic, partitions) })
		if err != nil {
			t.Fatalf("creating topic %s: broker %d: %v", topic, node.id, err)
		}
	}
}

func hasLeaders(ctx context.Context, broker, topic string, partitions int) error {
	client, done := adminClient(broker)
	defer done()
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return fmt.Errorf("asking for metadata: %w", err)
	}
	if len(meta.Topics) != 1 || len(meta.Topics[0].Partitions) != partitions {
		return fmt.Errorf("the topic does not have its %d partitions yet", partitions)
	}
	for _, p := range meta.Topics[0].Partitions {
		if p.Error != nil || p.Leader.Port == 0 {
			return fmt.Errorf("partition %d has no leader yet: %w", p.ID, errors.Join(p.Error))
		}
	}
	return nil
}

// Kill kills brokers with SIGKILL: those with the given indices into
// [KafkaServer.Brokers], or all when there are none.
func (s *KafkaServer) Kill(t testing.TB, indices ...int) {
	t.Helper()
	for _, node := range s.choose(indices) {
		node.process.kill()
	}
}

// Stop stops brokers in an orderly way, as a rolling restart does; for the
// indices see [KafkaServer.Kill].
func (s *KafkaServer) Stop(t testing.TB, indices ...int) {
	t.Helper()
	for _, node := range s.choose(indices) {
		if err := node.process.stop(kafkaStop); err != nil {
			t.Fatalf("stopping broker: %v", err)
		}
	}
}

// Restart starts brokers again on the same addresses with the same data, killing
// those that still run, and waits until they are ready; for the indices see
// [KafkaServer.Kill].
func (s *KafkaServer) Restart(t testing.TB, indices ...int) {
	t.Helper()
	nodes := s.choose(indices)
	for _, node := range nodes {
		node.process.kill()
	}
	if err := s.start(t.Context(), nodes); err != nil {
		t.Fatalf("restarting: %v", err)
	}
}

func (s *KafkaServer) choose(indices []int) []*kafkaNode {
	if len(indices) == 0 {
		return s.nodes
	}
	var nodes []*kafkaNode
	for _, i := range indices {
		nodes = append(nodes, s.nodes[i])
	}
	return nodes
}

func (s *KafkaServer) killAll() {
	for _, node := range s.nodes {
		if node.process != nil {
			node.process.kill()
		}
	}
}

func (s *KafkaServer) logTails() []string {
	var tails []string
	for _, node := range s.nodes {
		tails = append(tails, node.command.logTail())
	}
	return tails
}

// adminClient returns a client without security and a function that closes its connections.
func adminClient(addresses ...string) (*kafka.Client, func()) {
	transport := &kafka.Transport{MetadataTTL: 500 * time.Millisecond}
	return &kafka.Client{Addr: kafka.TCP(addresses...), Transport: transport, Timeout: 10 * time.Second}, transport.CloseIdleConnections
}

// poll repeats try until it succeeds or the context ends.
func poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// dial tells whether something accepts connections on an address.
func dial(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	return conn.Close()
}
