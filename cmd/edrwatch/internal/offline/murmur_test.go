package offline

import (
	"testing"

	"github.com/segmentio/kafka-go"
)

// TestKeysGoWhereProducersPutThem compares with what kafka-go has of the Java
// client's partitioner.
func TestKeysGoWhereProducersPutThem(t *testing.T) {
	partitions := make([]int, 37)
	for i := range partitions {
		partitions[i] = i
	}
	key := ""
	for range 200 {
		key += string(rune('!' + len(key)*7%90))
		if got, want := partitionOf([]byte(key), len(partitions)), (kafka.Murmur2Balancer{}).Balance(kafka.Message{Key: []byte(key)}, partitions...); got != want {
			t.Errorf("%q is in partition %d, want %d", key, got, want)
		}
	}
}
