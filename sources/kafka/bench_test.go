package kafka

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// counter is a worker that counts.
type counter struct {
	n    *atomic.Int64
	want int64
	done chan struct{}
}

func (c counter) Handle(_ context.Context, b *event.Batch) error {
	if c.n.Add(int64(len(b.Records))) == c.want {
		close(c.done)
	}
	return nil
}

func (counter) Close() {}

// BenchmarkConsume reads 100,000 records of 1 KiB from 4 partitions of an
// in-process broker, which shares the machine's cores, with default settings.
func BenchmarkConsume(b *testing.B) {
	const records, partitions = 100_000, 4
	for name, codec := range codecs() {
		b.Run(fmt.Sprintf("%s, %d records of 1 KiB, %d partitions", name, records, partitions), func(b *testing.B) {
			kafka := newBroker(b)
			kafka.create("bench", partitions)
			client := kafka.connect(kgo.ProducerBatchCompression(codec))
			value := strings.Repeat(`{"event_simpleName":"SensorHeartbeat","aid":"0123456789abcdef","ConfigBuild":"1007.3.0018110.1"},`, 11)[:1024]
			for p := range int32(partitions) {
				for range records / partitions / 1000 {
					batch := make([]string, 1000)
					for i := range batch {
						batch[i] = value
					}
					kafka.produce(client, "bench", p, batch...)
				}
			}
			b.SetBytes(records * 1024)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				cfg := DefaultConfig()
				cfg.Brokers, cfg.Topics, cfg.Group = kafka.cluster.ListenAddrs(), []string{"bench"}, fmt.Sprint(b.N, "-", i)
				source, err := New(cfg, Settings{Name: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				c := counter{n: new(atomic.Int64), want: records, done: make(chan struct{})}
				ctx, cancel := context.WithCancel(b.Context())
				go func() { <-c.done; cancel() }()
				if err := source.Run(ctx, func(context.Context, event.Partition) (event.Worker, error) { return c, nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
