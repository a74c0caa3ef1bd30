package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestResumeWithinARecordBatch stops after a part of one record batch; the
// broker can only send the whole batch again.
func TestResumeWithinARecordBatch(t *testing.T) {
	b := newBroker(t)
	b.create("t", 1)
	b.produce(b.admin(), "t", 0, values("v", 100)...)
	broken := errors.New("broken")
	cfg := b.config("g", "t")
	cfg.BatchRecords = 7
	one := seen{handle: func(_ context.Context, batch *event.Batch) error {
		if batch.Records[0].Offset >= 50 {
			return broken
		}
		return nil
	}}
	source, err := New(cfg, Settings{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Run(t.Context(), one.open); !errors.Is(err, broken) {
		t.Fatalf("Run returned %v", err)
	}
	var two seen
	start(t, cfg, Settings{}, &two)
	got := two.all(t, 100-one.len())
	if first := got[0].Offset; first != int64(one.len()) || len(two.again) != 0 {
		t.Errorf("after %d acknowledged records the first is %d, and %d were delivered again", one.len(), first, len(two.again))
	}
}

// TestOffsetBeyondTheLog is a topic that was made again: what the group
// committed says nothing about its records, which are all new.
func TestOffsetBeyondTheLog(t *testing.T) {
	b := newBroker(t)
	b.create("t", 1)
	b.produce(b.admin(), "t", 0, values("v", 3)...)
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group, request.Generation = "g", -1
	topic, partition := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	topic.Topic, partition.Offset = "t", 10
	topic.Partitions = append(topic.Partitions, partition)
	request.Topics = append(request.Topics, topic)
	if response, err := request.RequestWith(t.Context(), b.connect(kgo.MaxVersions(kversion.V3_0_0()))); err != nil || response.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal(err, response)
	}
	var s seen
	start(t, b.config("g", "t"), Settings{}, &s)
	if got := s.all(t, 3); string(got[0].Value) != "v-0" {
		t.Errorf("the first record is %q", got[0].Value)
	}
	eventually(t, func() bool { return b.committed("g", "t", 0) == 3 }, func() string { return fmt.Sprint("committed ", b.committed("g", "t", 0)) })
}

// TestPayloadOutlivesItsBatches hands one payload over in many batches, while
// somebody else takes and overwrites every buffer that is free.
func TestPayloadOutlivesItsBatches(t *testing.T) {
	b := newBroker(t)
	b.create("t", 1)
	want := values(strings.Repeat("value", 20), 2000)
	b.produce(b.connect(kgo.ProducerBatchCompression(kgo.ZstdCompression())), "t", 0, want...)
	cfg := b.config("g", "t")
	cfg.BatchRecords = 50
	source, err := New(cfg, Settings{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := seen{handle: func(context.Context, *event.Batch) error {
		for size := int64(64 << 10); size <= 16<<20; size *= 2 {
			for range 2 {
				clear(source.budget.buffer(size)[:size])
			}
		}
		return nil
	}}
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx, s.open) }()
	for i, r := range s.all(t, len(want)) {
		if string(r.Value) != want[i] {
			t.Errorf("record %d is %q", i, r.Value)
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
