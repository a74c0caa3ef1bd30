//go:build integration && linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

// feed is one test's set of topics in the shared broker.
type feed struct {
	t        testing.TB
	name     string // of the test: in topics, group and data streams
	server   *testbed.KafkaServer
	client   *kafka.Client
	brokers  []string
	produced map[place]int64 // log ends, by place in the corpus
}

// connect returns a feed of which nothing exists yet.
func connect(t testing.TB, name string) *feed {
	t.Helper()
	server := shared.kafka(t)
	transport := &kafka.Transport{MetadataTTL: time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return &feed{
		t: t, name: name, server: server, brokers: server.Brokers(), produced: map[place]int64{},
		client: &kafka.Client{Addr: kafka.TCP(server.Brokers()...), Transport: transport, Timeout: 30 * time.Second},
	}
}

// newFeed returns a feed with its topics.
func newFeed(t testing.TB, name string) *feed {
	t.Helper()
	f := connect(t, name)
	f.createDeadTopic()
	f.createTopics()
	return f
}

// largeMessages lets topics take records of several MiB.
func largeMessages() []string { return []string{"max.message.bytes", "8388608"} }

func (f *feed) createDeadTopic() {
	f.t.Helper()
	f.server.CreateTopic(f.t, f.deadTopic(), 2, largeMessages()...)
}

func (f *feed) createTopics() {
	f.t.Helper()
	for topic, partitions := range corpusTopics() {
		f.server.CreateTopic(f.t, f.topic(topic), partitions, largeMessages()...)
	}
}

func (f *feed) topic(of string) string { return f.name + "." + of }
func (f *feed) deadTopic() string      { return f.name + ".dead-letter" }
func (f *feed) group() string          { return "edrwatch-" + f.name }

func (f *feed) topics() []string {
	var names []string
	for topic := range corpusTopics() {
		names = append(names, f.topic(topic))
	}
	slices.Sort(names)
	return names
}

// produce appends records to their partitions, in batches that take turns with
// the compressions.
func (f *feed) produce(c *corpus) {
	f.t.Helper()
	codecs := []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd}
	turn := 0
	for at, records := range c.partitions {
		for batch := range slices.Chunk(records, 300) {
			f.produceBatch(at, batch, codecs[turn%len(codecs)])
			turn++
		}
	}
}

func (f *feed) produceBatch(at place, batch []record, codec kafka.Compression) {
	f.t.Helper()
	var answer *kafka.ProduceResponse
	eventually(f.t, 30*time.Second, fmt.Sprintf("producing to %s/%d", f.topic(at.topic), at.partition), func() (err error) {
		ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
		defer cancel()
		answer, err = f.client.Produce(ctx, &kafka.ProduceRequest{
			Topic: f.topic(at.topic), Partition: at.partition, RequiredAcks: kafka.RequireAll,
			Records: kafka.NewRecordReader(kafkaRecords(batch)...), Compression: codec,
		})
		if err == nil {
			err = answer.Error
		}
		// A leader of a new topic may not know yet that it is one. After any
		// other failure nobody knows whether the records are there.
		if err != nil && !errors.Is(err, kafka.NotLeaderForPartition) {
			f.t.Fatalf("producing to %s/%d: %v", f.topic(at.topic), at.partition, err)
		}
		return err
	})
	if answer.BaseOffset != f.produced[at] {
		f.t.Fatalf("producing to %s/%d: records got offset %d, expected %d", f.topic(at.topic), at.partition, answer.BaseOffset, f.produced[at])
	}
	f.produced[at] += int64(len(batch))
}

// kafkaRecords returns records for one request, which reads them to their end.
func kafkaRecords(batch []record) []kafka.Record {
	list := make([]kafka.Record, len(batch))
	for i, r := range batch {
		list[i] = kafka.Record{
			Time: time.UnixMilli(r.time), Key: kafka.NewBytes(r.key), Value: kafka.NewBytes(r.value), Headers: r.headers,
		}
	}
	return list
}

// committed returns the offsets of the group; -1 where it has none.
func (f *feed) committed() map[place]int64 {
	f.t.Helper()
	offsets, err := f.tryCommitted()
	if err != nil {
		f.t.Fatal(err)
	}
	return offsets
}

func (f *feed) tryCommitted() (map[place]int64, error) {
	ask := map[string][]int{}
	names := map[string]string{}
	for topic, n := range corpusTopics() {
		names[f.topic(topic)] = topic
		for i := range n {
			ask[f.topic(topic)] = append(ask[f.topic(topic)], i)
		}
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	answer, err := f.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: f.group(), Topics: ask})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return nil, fmt.Errorf("asking for committed offsets: %w", err)
	}
	offsets := map[place]int64{}
	for name, partitions := range answer.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return nil, fmt.Errorf("asking for the committed offset of %s/%d: %w", name, p.Partition, p.Error)
			}
			offsets[place{names[name], p.Partition}] = p.CommittedOffset
		}
	}
	return offsets, nil
}

// total is the number of records produced so far.
func (f *feed) total() int64 {
	var n int64
	for _, end := range f.produced {
		n += end
	}
	return n
}

// done is the number of records below the committed offsets.
func done(offsets map[place]int64) int64 {
	var n int64
	for _, o := range offsets {
		n += max(o, 0)
	}
	return n
}

// awaitCommitted waits until the group's offsets are the ends of the logs.
func (f *feed) awaitCommitted(limit time.Duration) {
	f.t.Helper()
	eventually(f.t, limit, "committing every offset of "+f.name, func() error {
		offsets, err := f.tryCommitted()
		if err != nil {
			return err
		}
		for at, end := range f.produced {
			if offsets[at] > end {
				f.t.Fatalf("%s/%d is committed up to %d, the log ends at %d", at.topic, at.partition, offsets[at], end)
			}
			if offsets[at] < end {
				return fmt.Errorf("%s/%d is committed up to %d of %d (%d of %d records in all)",
					at.topic, at.partition, offsets[at], end, done(offsets), f.total())
			}
		}
		return nil
	})
}

// letters reads the whole dead-letter topic.
func (f *feed) letters() []kafka.Message { return f.contents(f.deadTopic(), 2) }

// contents reads a whole topic.
func (f *feed) contents(topic string, partitions int) []kafka.Message {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	var all []kafka.Message
	for partition := range partitions {
		ends, err := f.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
			topic: {kafka.LastOffsetOf(partition)},
		}})
		if err != nil {
			f.t.Fatalf("asking for the end of %s: %v", topic, err)
		}
		end := ends.Topics[topic][0].LastOffset
		reader := kafka.NewReader(kafka.ReaderConfig{
			Brokers: f.brokers, Topic: topic, Partition: partition, MaxBytes: 16 << 20, MaxWait: 100 * time.Millisecond,
		})
		for next := int64(0); next < end; {
			m, err := reader.ReadMessage(ctx)
			if err != nil {
				f.t.Fatalf("reading %s at %d of %d: %v", topic, next, end, err)
			}
			all, next = append(all, m), m.Offset+1
		}
		if err := reader.Close(); err != nil {
			f.t.Error(err)
		}
	}
	return all
}
