package pipeline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Snapshotter is a Detector, or a RecordJudge, whose state can be kept outside
// the process.
type Snapshotter interface {
	// AppendSnapshot appends the bytes of the whole state; false when a part of
	// it cannot be stored, and the bytes are of no use.
	AppendSnapshot(to []byte) ([]byte, bool)
	// Restore reads the state into one that has judged nothing; after an
	// error it is still as new.
	Restore(snapshot []byte) error
}

// keeper is the part of the shard that keeps the state of rules.
func (s *Shard) keeper() (Snapshotter, bool) {
	if k, ok := s.judge.(Snapshotter); ok {
		return k, true
	}
	k, ok := s.detector.(Snapshotter)
	return k, ok
}

// The bytes of a shard's state: the format; of the clock now, records beyond
// and the nearest of them; of the dedupe when it began and two sets of sums,
// sorted; the length of the detector's state, and that; the xxHash64 of all
// before. Numbers are varints, sums have 8 bytes.
const shardFormat = "edrwatch shard 1\n"

// AppendSnapshot appends the state after the record that was processed last.
// False means that the detector cannot keep its own.
func (s *Shard) AppendSnapshot(to []byte) ([]byte, bool) {
	d, ok := s.keeper()
	if !ok {
		return to, false
	}
	begin := len(to)
	to = append(to, shardFormat...)
	for _, n := range []int64{s.clock.now, int64(s.clock.beyond), s.clock.nearest, s.dedupe.began} {
		to = binary.AppendVarint(to, n)
	}
	to = s.dedupe.young.appendSorted(to)
	to = s.dedupe.old.appendSorted(to)
	// The length stands before what is measured: room is left for it.
	at := len(to)
	to = append(to, 0, 0, 0, 0, 0, 0, 0, 0)
	if to, ok = d.AppendSnapshot(to); !ok {
		return to[:begin], false
	}
	binary.LittleEndian.PutUint64(to[at:], uint64(len(to)-at-8))
	return binary.LittleEndian.AppendUint64(to, xxhash.Sum64(to[begin:])), true
}

func (s *hashSet) appendSorted(to []byte) []byte {
	to = binary.AppendUvarint(to, uint64(s.count))
	sums := make([]uint64, 0, s.count)
	for _, sum := range s.slots {
		if sum != 0 {
			sums = append(sums, sum)
		}
	}
	slices.Sort(sums)
	for _, sum := range sums {
		to = binary.LittleEndian.AppendUint64(to, sum)
	}
	return to
}

// Restore reads the state that AppendSnapshot wrote into a shard that has
// processed nothing. After an error the shard is still as new.
func (s *Shard) Restore(snapshot []byte) error {
	d, ok := s.keeper()
	if !ok {
		return errors.New("restoring a shard: its detector keeps no state")
	}
	r, err := openSnapshot(snapshot)
	if err != nil {
		return err
	}
	c := clock{now: r.varint(), beyond: int(r.varint()), nearest: r.varint()}
	began := r.varint()
	young, old := r.sums(), r.sums()
	state := r.rest()
	if r.short {
		return errors.New("restoring a shard: the snapshot ends early")
	}
	if err := d.Restore(state); err != nil {
		return fmt.Errorf("restoring a shard: %w", err)
	}
	s.clock, s.dedupe.began, s.dedupe.young, s.dedupe.old = c, began, young, old
	return nil
}

// KeptState returns the part of a shard's snapshot that its Snapshotter wrote.
func KeptState(snapshot []byte) ([]byte, error) {
	r, err := openSnapshot(snapshot)
	if err != nil {
		return nil, err
	}
	for range 4 {
		r.varint()
	}
	r.sums()
	r.sums()
	if state := r.rest(); !r.short {
		return state, nil
	}
	return nil, errors.New("restoring a shard: the snapshot ends early")
}

// openSnapshot checks format and sum.
func openSnapshot(snapshot []byte) (*snapshotReader, error) {
	if len(snapshot) < len(shardFormat)+8 || string(snapshot[:len(shardFormat)]) != shardFormat {
		return nil, fmt.Errorf("restoring a shard: expected the format %q", shardFormat[:len(shardFormat)-1])
	}
	body := snapshot[:len(snapshot)-8]
	if sum := binary.LittleEndian.Uint64(snapshot[len(body):]); sum != xxhash.Sum64(body) {
		return nil, errors.New("restoring a shard: the snapshot is damaged: its sum is another one")
	}
	return &snapshotReader{b: body[len(shardFormat):]}, nil
}

// snapshotReader reads; after the end it returns zeros.
type snapshotReader struct {
	b     []byte
	short bool
}

func (r *snapshotReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.short = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *snapshotReader) sums() hashSet {
	var set hashSet
	n, read := binary.Uvarint(r.b)
	if read <= 0 || n > uint64(len(r.b)-read)/8 {
		r.b, r.short = nil, true
		return set
	}
	r.b = r.b[read:]
	for range n {
		set.add(binary.LittleEndian.Uint64(r.b))
		r.b = r.b[8:]
	}
	return set
}

// rest reads the detector's state, which has to be all that is left.
func (r *snapshotReader) rest() []byte {
	if len(r.b) < 8 || binary.LittleEndian.Uint64(r.b) != uint64(len(r.b)-8) {
		r.b, r.short = nil, true
		return nil
	}
	return r.b[8:]
}
