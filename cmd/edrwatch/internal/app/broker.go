package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Broker is the embedded Kafka-protocol broker, for evaluation and the demo.
// It is franz-go's kfake with a data directory: any Kafka client can produce
// into it, and what was produced survives a restart, but nothing is replicated.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
}

// BrokerConfig says where the embedded broker listens and keeps its data.
type BrokerConfig struct {
	Listen string // host:port on loopback; port 0 takes a free one
	Dir    string
	Topics []string // made if they do not exist, one partition each
}

// StartBroker starts a broker; Close stops it.
func StartBroker(cfg BrokerConfig) (*Broker, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the broker's data directory: %w", err)
	}
	var addr string
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("edrwatch-embedded"),
		kfake.DataDir(cfg.Dir),
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(1),
		kfake.SeedTopics(1, cfg.Topics...),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			l, err := net.Listen(network, cfg.Listen)
			if err == nil {
				addr = l.Addr().String()
			}
			return l, err
		}),
	)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "address already in use") {
			return nil, fmt.Errorf("starting the embedded broker: %s is taken: stop what listens there, or run with a configuration that names your Kafka", cfg.Listen)
		}
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	return &Broker{cluster: cluster, addr: addr}, nil
}

// Addr is the address that clients connect to.
func (b *Broker) Addr() string { return b.addr }

// Close stops the broker; its data stays in the directory.
func (b *Broker) Close() { b.cluster.Close() }
