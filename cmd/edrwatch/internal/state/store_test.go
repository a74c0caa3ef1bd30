package state

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
)

func newStore(t *testing.T, topic string) *Store {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return again(t, cluster.ListenAddrs(), topic)
}

// again is the store of another gateway, or the same after a restart.
func again(t *testing.T, brokers []string, topic string) *Store {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Topic = brokers, topic
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// snapshot of a size, different for every seed.
func snapshot(seed uint64, size int) []byte {
	rng, b := rand.New(rand.NewPCG(seed, 1)), make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func (s *Store) mustSave(t *testing.T, shard string, offset int64, b []byte) {
	t.Helper()
	if err := s.Save(t.Context(), shard, offset, b); err != nil {
		t.Fatal(err)
	}
}

// load returns what is restored, by a gateway that refuses the given offsets.
func (s *Store) load(t *testing.T, shard string, committed int64, refuse ...int64) (int64, []byte) {
	t.Helper()
	var restored []byte
	offset, ok, err := s.Load(t.Context(), shard, committed, func(offset int64, b []byte) error {
		for _, no := range refuse {
			if offset == no {
				return errors.New("no")
			}
		}
		restored = bytes.Clone(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return -1, nil
	}
	return offset, restored
}

func TestTheNewestThatWasCommittedIsRestored(t *testing.T) {
	s := newStore(t, "state")
	if offset, _ := s.load(t, "g/t/x-0", 100); offset != -1 {
		t.Errorf("an empty topic has a snapshot at %d", offset)
	}
	sizes := []int{3 * chunkBytes / 2, 10, 3*chunkBytes + 1, 0, chunkBytes}
	for i, size := range sizes {
		s.mustSave(t, "g/t/x-0", int64(10*(i+1)), snapshot(uint64(i), size))
		s.mustSave(t, "g/t/x-1", int64(10*(i+1))+5, snapshot(uint64(100+i), 7))
		b := again(t, s.cfg.Brokers, "state")
		if offset, got := b.load(t, "g/t/x-0", 1000); offset != int64(10*(i+1)) || !bytes.Equal(got, snapshot(uint64(i), size)) {
			t.Errorf("after %d snapshots that at %d is restored, with %d bytes, want %d", i+1, offset, len(got), size)
		}
	}
	b := again(t, s.cfg.Brokers, "state")
	for _, tc := range []struct {
		committed int64
		refuse    []int64
		want      int64
	}{
		{50, nil, 50}, {49, nil, 40}, {40, nil, 40}, {39, nil, -1}, {50, []int64{50}, 40}, {50, []int64{40, 50}, -1},
	} {
		if offset, _ := b.load(t, "g/t/x-0", tc.committed, tc.refuse...); offset != tc.want {
			t.Errorf("with %d committed and %v refused: restored that at %d, want %d", tc.committed, tc.refuse, offset, tc.want)
		}
	}
	// After 40 was restored because 50 is no good, 50 makes room.
	b.load(t, "g/t/x-0", 50, 50)
	b.mustSave(t, "g/t/x-0", 60, nil)
	if offset, _ := b.load(t, "g/t/x-0", 59); offset != 40 {
		t.Errorf("the good snapshot was overwritten: restored that at %d", offset)
	}
}

// TestDamageLeavesTheOtherSnapshot writes a part of a snapshot, and a broken
// chunk, over the older one.
func TestDamageLeavesTheOtherSnapshot(t *testing.T) {
	big := snapshot(3, 2*chunkBytes)
	for name, damage := range map[string]func(chunks []*chunk) []*chunk{
		"cut short":            func(c []*chunk) []*chunk { return c[:1] },
		"the beginning lost":   func(c []*chunk) []*chunk { return c[1:] },
		"a bit flipped":        func(c []*chunk) []*chunk { c[1].bytes = bytes.Clone(c[1].bytes); c[1].bytes[77] ^= 1; return c },
		"a chunk of another":   func(c []*chunk) []*chunk { c[1].id++; return c },
		"a chunk out of place": func(c []*chunk) []*chunk { c[1].number = 0; return c },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, "state")
			s.mustSave(t, "g/t/x-0", 10, snapshot(1, 2*chunkBytes))
			s.mustSave(t, "g/t/x-0", 20, snapshot(2, 2*chunkBytes))
			for i, c := range damage(cut(9, 30, big)) {
				place := c.number
				if name == "a chunk out of place" {
					place = i
				}
				// The third goes where the first one was.
				if err := s.writer.WriteMessages(t.Context(), kafkago.Message{Key: chunkKey("g/t/x-0", 1, place), Value: c.append(nil)}); err != nil {
					t.Fatal(err)
				}
			}
			b := again(t, s.cfg.Brokers, "state")
			if offset, got := b.load(t, "g/t/x-0", 100); offset != 20 || !bytes.Equal(got, snapshot(2, 2*chunkBytes)) {
				t.Errorf("restored that at %d", offset)
			}
			b.mustSave(t, "g/t/x-0", 40, big)
			if offset, _ := again(t, s.cfg.Brokers, "state").load(t, "g/t/x-0", 39); offset != 20 {
				t.Errorf("the only whole snapshot was overwritten: restored that at %d", offset)
			}
		})
	}
}

func TestMissingTopicIsSaid(t *testing.T) {
	s := newStore(t, "elsewhere")
	_, ok, err := s.Load(t.Context(), "g/t/x-0", 1, func(int64, []byte) error { return nil })
	if ok || err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("Load = %v, %v", ok, err)
	}
	if err := s.Save(t.Context(), "g/t/x-0", 1, nil); err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("Save = %v", err)
	}
}

func TestConfig(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Interval = time.Millisecond
	if err := cfg.Validate(); err != nil {
		t.Errorf("state that is off is refused: %v", err)
	}
	cfg.Topic = "state"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "interval: ") {
		t.Errorf("Validate = %v", err)
	}
}

func FuzzParseChunk(f *testing.F) {
	for _, c := range cut(7, 1<<40, []byte("state")) {
		f.Add(c.append(nil))
	}
	f.Add([]byte{chunkFormat})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseChunk(b)
		if err != nil {
			return
		}
		if back, err := parseChunk(c.append(nil)); err != nil || back.id != c.id || back.offset != c.offset || !bytes.Equal(back.bytes, c.bytes) {
			t.Fatalf("%+v came back as %+v, %v", c, back, err)
		}
		_, _ = join(map[int]*chunk{0: c})
	})
}
