package kafka

import (
	"encoding/json"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/edrwatch/edrwatch/pipeline/respond"
	"github.com/edrwatch/edrwatch/pipeline/respond/respondtest"
)

// responses is a topic of acts whose broker refuses them while it is broken.
type responses struct {
	t      *testing.T
	cfg    Config
	broken atomic.Bool
}

func (r *responses) Break(broken bool) { r.broken.Store(broken) }

func (r *responses) Alerts() []string {
	var ids []string
	for _, m := range messages(r.t, r.cfg) {
		var a respond.Act
		if err := json.Unmarshal(m.Value, &a); err != nil {
			r.t.Error(err)
		}
		ids = append(ids, a.Alert.ID)
	}
	return ids
}

// refuse answers a produce request as a partition does that has too few replicas.
func (r *responses) refuse(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !r.broken.Load() {
			return nil, nil, false
		}
		asked := request.(*kmsg.ProduceRequest)
		answer := asked.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range asked.Topics {
			refused := kmsg.NewProduceResponseTopic()
			refused.Topic = topic.Topic
			for _, p := range topic.Partitions {
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.NotEnoughReplicas.Code
				refused.Partitions = append(refused.Partitions, partition)
			}
			answer.Topics = append(answer.Topics, refused)
		}
		return answer, nil, true
	})
}

func TestResponderContract(t *testing.T) {
	respondtest.Run(t, "kafka", func(t *testing.T) (respond.Responder, respondtest.Receiver) {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "one"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		cfg := DefaultResponderConfig()
		cfg.Brokers, cfg.Topic = cluster.ListenAddrs(), "one"
		to := &responses{t: t, cfg: cfg}
		to.refuse(cluster)
		r, err := NewResponder(cfg, settings())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r, to
	})
}
