package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

func TestRestartResumesWithoutLossOrRepetition(t *testing.T) {
	b := newBroker(t)
	b.create("t", 2)
	for p := range int32(2) {
		b.produce(b.admin(), "t", p, values(fmt.Sprint("first", p), 50)...)
	}
	var one, two seen
	stop := start(t, b.config("g", "t"), Settings{}, &one)
	one.all(t, 100)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := b.committed("g", "t", 0) + b.committed("g", "t", 1); got != 100 {
		t.Errorf("%d offsets committed after an orderly stop, want 100", got)
	}
	b.produce(b.admin(), "t", 1, values("second", 10)...)
	start(t, b.config("g", "t"), Settings{}, &two)
	for _, r := range two.all(t, 10) {
		if !strings.HasPrefix(string(r.Value), "second") {
			t.Errorf("%s was delivered again", r.Value)
		}
	}
}

// TestCommitsOnlyWhatWasAcknowledged holds one batch and looks at the group's
// offset meanwhile.
func TestCommitsOnlyWhatWasAcknowledged(t *testing.T) {
	b := newBroker(t)
	b.create("t", 1)
	b.produce(b.admin(), "t", 0, values("v", 100)...)
	stuck, release := make(chan int64, 1), make(chan struct{})
	s := seen{handle: func(ctx context.Context, batch *event.Batch) error {
		if first := batch.Records[0].Offset; first >= 40 {
			select {
			case stuck <- first:
			default:
			}
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}}
	cfg := b.config("g", "t")
	cfg.BatchRecords = 10
	start(t, cfg, Settings{}, &s)
	first := <-stuck
	eventually(t, func() bool { return b.committed("g", "t", 0) == first }, func() string { return fmt.Sprint("committed ", b.committed("g", "t", 0)) })
	// Several commit intervals later it is still there.
	for range 20 {
		if got := b.committed("g", "t", 0); got != first {
			t.Fatalf("%d committed while the batch from %d on is not acknowledged", got, first)
		}
	}
	close(release)
	eventually(t, func() bool { return b.committed("g", "t", 0) == 100 }, func() string { return fmt.Sprint("committed ", b.committed("g", "t", 0)) })
}

func TestTwoMembersShareAndTakeOver(t *testing.T) {
	b := newBroker(t)
	b.create("t", 4)
	produced := 0
	more := func() {
		for p := range int32(4) {
			b.produce(b.admin(), "t", p, values(fmt.Sprint(produced, "-", p), 100)...)
		}
		produced += 400
	}
	var one, two seen
	more()
	stopOne := start(t, b.config("g", "t"), Settings{}, &one)
	one.all(t, 400)
	start(t, b.config("g", "t"), Settings{}, &two)
	eventually(t, func() bool { two.mu.Lock(); defer two.mu.Unlock(); return two.opened > 0 }, func() string { return "the second member gets nothing" })
	more()
	distinct := func() int {
		all := map[string]bool{}
		for _, s := range []*seen{&one, &two} {
			s.mu.Lock()
			for v := range s.fresh {
				all[v] = true
			}
			s.mu.Unlock()
		}
		return len(all)
	}
	eventually(t, func() bool { return distinct() == produced && two.len() > 0 }, func() string { return fmt.Sprint(distinct(), " of ", produced) })
	if err := stopOne(); err != nil {
		t.Fatal(err)
	}
	more()
	eventually(t, func() bool { return distinct() == produced }, func() string { return fmt.Sprint(distinct(), " of ", produced) })
	for p := range int32(4) {
		eventually(t, func() bool { return b.committed("g", "t", p) == int64(produced/4) }, func() string {
			return fmt.Sprintf("partition %d: %d committed of %d", p, b.committed("g", "t", p), produced/4)
		})
	}
	if one.opened != one.closed {
		t.Errorf("%d workers opened and %d closed", one.opened, one.closed)
	}
}

// TestLateAcknowledgement lets a worker finish long after its partition went
// to another member.
func TestLateAcknowledgement(t *testing.T) {
	b := newBroker(t)
	b.create("t", 1)
	b.produce(b.admin(), "t", 0, values("v", 100)...)
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	late := seen{handle: func(_ context.Context, batch *event.Batch) error {
		if batch.Records[0].Offset == 0 {
			once.Do(func() { close(entered) })
			<-release // it does not even look at its context
		}
		return nil
	}}
	cfg := b.config("g", "t")
	cfg.BatchRecords, cfg.RebalanceTimeout = 5, time.Second
	registry := prometheus.NewPedanticRegistry()
	start(t, cfg, Settings{Metrics: registry}, &late)
	<-entered
	var next seen
	start(t, b.config("g", "t"), Settings{}, &next)
	next.all(t, 100)
	eventually(t, func() bool { return b.committed("g", "t", 0) == 100 }, func() string { return fmt.Sprint("committed ", b.committed("g", "t", 0)) })
	close(release)
	eventually(t, func() bool { return metric(t, registry, "edrwatch_kafka_commits_total", "result", "error") > 0 }, func() string { return "the late commit was not refused" })
	if got := b.committed("g", "t", 0); got != 100 {
		t.Errorf("a late acknowledgement moved the offset from 100 to %d", got)
	}
}

func TestNewTopicByPattern(t *testing.T) {
	b := newBroker(t)
	b.create("edr.one", 1)
	b.create("other", 1)
	b.produce(b.admin(), "edr.one", 0, "1")
	b.produce(b.admin(), "other", 0, "not ours")
	b.create("edr.dead-letter", 1)
	b.produce(b.admin(), "edr.dead-letter", 0, "what we wrote ourselves")
	var s seen
	cfg := b.config("g")
	cfg.Topics, cfg.TopicPattern = nil, `edr\..*`
	start(t, cfg, Settings{Except: []string{"edr.dead-letter"}}, &s)
	s.all(t, 1)
	b.create("edr.two", 2)
	b.produce(b.admin(), "edr.two", 1, "2")
	got := s.all(t, 2)
	if len(got) != 2 || string(got[1].Value) != "2" || s.parts[1].Topic != "edr.two" {
		t.Errorf("got %v of %v", got, s.parts)
	}
}

func TestPartitionAdded(t *testing.T) {
	b := newBroker(t)
	b.create("t", 1)
	b.produce(b.admin(), "t", 0, "0")
	var s seen
	start(t, b.config("g", "t"), Settings{}, &s)
	s.all(t, 1)
	request := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = "t", 3
	request.Topics = append(request.Topics, topic)
	if response, err := request.RequestWith(t.Context(), b.admin()); err != nil || response.Topics[0].ErrorCode != 0 {
		t.Fatal(err, response)
	}
	client := b.connect()
	b.produce(client, "t", 2, "2")
	s.all(t, 2)
}

func TestMissingTopicIsWaitedFor(t *testing.T) {
	b := newBroker(t)
	var s seen
	var mu sync.Mutex
	var states []string
	start(t, b.config("g", "absent"), Settings{Health: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, fmt.Sprint(err))
	}}, &s)
	state := func(i int) string {
		mu.Lock()
		defer mu.Unlock()
		if i < len(states) {
			return states[i]
		}
		return ""
	}
	const want = `topics ["absent"] do not exist: make them, or correct topics; they are used as soon as they exist`
	eventually(t, func() bool { return state(0) == want }, func() string { return state(0) })
	b.create("absent", 1)
	b.produce(b.admin(), "absent", 0, "here")
	s.all(t, 1)
	if state(1) != "<nil>" {
		t.Errorf("health after the topic was made: %s", state(1))
	}
}

func TestStartLatestCommitsAtOnce(t *testing.T) {
	b := newBroker(t)
	b.create("t", 1)
	b.produce(b.admin(), "t", 0, values("old", 10)...)
	var s seen
	cfg := b.config("g", "t")
	cfg.Start, cfg.CommitInterval = "latest", time.Hour
	stop := start(t, cfg, Settings{}, &s)
	eventually(t, func() bool { return b.committed("g", "t", 0) == 10 }, func() string { return "the initial position is not committed" })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b.produce(b.admin(), "t", 0, "new")
	start(t, cfg, Settings{}, &s)
	if got := s.all(t, 1); string(got[0].Value) != "new" {
		t.Errorf("the first record is %q", got[0].Value)
	}
}

// TestRewindRebuildsState reads the horizon again after a restart, marked as
// committed before.
func TestRewindRebuildsState(t *testing.T) {
	b := newBroker(t)
	begin := time.Date(2024, 7, 19, 4, 9, 0, 0, time.UTC)
	for i, tc := range []struct {
		horizon, most time.Duration
		again         int
	}{
		{0, time.Hour, 0},
		{5 * time.Minute, time.Hour, 6}, // minutes 24 to 29
		{time.Hour, time.Hour, 30},
		{time.Hour, 2 * time.Minute, 3},
		{time.Hour, 0, 0},
	} {
		t.Run(fmt.Sprint(tc.horizon, " at most ", tc.most), func(t *testing.T) {
			topic := fmt.Sprint("t", i)
			b.create(topic, 1)
			for i := range 30 { // one a minute
				r := &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "minute-%d", i), Timestamp: begin.Add(time.Duration(i) * time.Minute)}
				if err := b.admin().ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			var before, after seen
			stop := start(t, b.config(topic, topic), Settings{}, &before)
			before.all(t, 30)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			cfg := b.config(topic, topic)
			cfg.MaxRewind = tc.most
			stop = start(t, cfg, Settings{Horizon: func() time.Duration { return tc.horizon }}, &after)
			b.produce(b.admin(), topic, 0, "new")
			after.all(t, 1)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if len(after.fresh) != 1 || after.fresh["new"] != 1 || len(after.again) != tc.again {
				t.Errorf("new: %v; again: %d records, want %d", after.fresh, len(after.again), tc.again)
			}
			if got := b.committed(topic, topic, 0); got != 31 {
				t.Errorf("%d committed, want 31", got)
			}
		})
	}
}

func TestOutOfRange(t *testing.T) {
	for _, tc := range []struct {
		policy string
		want   []string
		gap    float64
		err    string
	}{
		{"earliest", values("v", 10)[7:], 5, ""},
		{"latest", []string{"new"}, 8, ""},
		{"fail", nil, 0, "topic t partition 0 has offsets 7 to 9, but 2 is next: reset the group's offset, or set out_of_range to earliest or latest"},
	} {
		t.Run(tc.policy, func(t *testing.T) {
			b := newBroker(t)
			b.create("t", 1)
			b.produce(b.admin(), "t", 0, values("v", 2)...)
			var s seen
			stop := start(t, b.config("g", "t"), Settings{}, &s)
			s.all(t, 2)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			b.produce(b.admin(), "t", 0, values("v", 10)[2:]...)
			b.deleteBefore("t", 7)
			cfg := b.config("g", "t")
			cfg.OutOfRange = tc.policy
			registry := prometheus.NewPedanticRegistry()
			var after seen
			if tc.err != "" {
				source, err := New(cfg, Settings{Name: "test"})
				if err != nil {
					t.Fatal(err)
				}
				if err := source.Run(t.Context(), after.open); err == nil || !strings.HasSuffix(err.Error(), tc.err) {
					t.Errorf("Run returned %v, want %q", err, tc.err)
				}
				return
			}
			start(t, cfg, Settings{Metrics: registry}, &after)
			gap := func() float64 { return metric(t, registry, "edrwatch_kafka_gap_records_total", "topic", "t") }
			eventually(t, func() bool { return gap() == tc.gap }, func() string { return fmt.Sprint("gap of ", gap()) })
			if tc.policy == "latest" {
				b.produce(b.admin(), "t", 0, "new")
			}
			var got []string
			for _, r := range after.all(t, len(tc.want)) {
				got = append(got, string(r.Value))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func (b *broker) deleteBefore(topic string, offset int64) {
	b.t.Helper()
	request := kmsg.NewPtrDeleteRecordsRequest()
	t := kmsg.NewDeleteRecordsRequestTopic()
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	t.Topic, p.Offset = topic, offset
	t.Partitions = append(t.Partitions, p)
	request.Topics = append(request.Topics, t)
	if response, err := request.RequestWith(b.t.Context(), b.admin()); err != nil || response.Topics[0].Partitions[0].ErrorCode != 0 {
		b.t.Fatal(err, response)
	}
}
