package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// The bytes of a chunk: the format (1); the snapshot's id (8 bytes); the
// chunk's number and how many there are, the offset, and the snapshot's length
// (uvarints); the xxHash64 of the whole snapshot (8 bytes); its part of it.
const chunkFormat = 1

const (
	chunkBytes = 512 << 10
	// maxSnapshot bounds what is put together; a larger one is not written.
	maxSnapshot = 1 << 30
)

// chunk is a part of a snapshot.
type chunk struct {
	id     uint64
	number int
	of     int
	offset int64 // of the partition, that the snapshot was taken at
	length int   // of the whole snapshot
	sum    uint64
	bytes  []byte
}

func (c *chunk) append(to []byte) []byte {
	to = append(to, chunkFormat)
	to = binary.LittleEndian.AppendUint64(to, c.id)
	for _, n := range []uint64{uint64(c.number), uint64(c.of), uint64(c.offset), uint64(c.length)} {
		to = binary.AppendUvarint(to, n)
	}
	to = binary.LittleEndian.AppendUint64(to, c.sum)
	return append(to, c.bytes...)
}

// parseChunk reads a chunk, whose bytes are those of the value.
func parseChunk(value []byte) (*chunk, error) {
	if len(value) < 9 || value[0] != chunkFormat {
		return nil, errors.New("state: expected a chunk of format 1")
	}
	c := &chunk{id: binary.LittleEndian.Uint64(value[1:])}
	rest := value[9:]
	var numbers [4]uint64
	for i := range numbers {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > 1<<62 {
			return nil, errors.New("state: a chunk ends early")
		}
		numbers[i], rest = v, rest[n:]
	}
	if len(rest) < 8 || numbers[0] >= numbers[1] || numbers[3] > maxSnapshot || numbers[1] > maxSnapshot/chunkBytes+1 {
		return nil, fmt.Errorf("state: a chunk says that it is %d of %d of %d bytes", numbers[0], numbers[1], numbers[3])
	}
	c.number, c.of, c.offset, c.length = int(numbers[0]), int(numbers[1]), int64(numbers[2]), int(numbers[3])
	c.sum, c.bytes = binary.LittleEndian.Uint64(rest), rest[8:]
	return c, nil
}

// cut makes the chunks of a snapshot.
func cut(id uint64, offset int64, snapshot []byte) []*chunk {
	sum, of := xxhash.Sum64(snapshot), max((len(snapshot)+chunkBytes-1)/chunkBytes, 1)
	chunks := make([]*chunk, of)
	for i := range chunks {
		part := snapshot[i*chunkBytes : min((i+1)*chunkBytes, len(snapshot))]
		chunks[i] = &chunk{id: id, number: i, of: of, offset: offset, length: len(snapshot), sum: sum, bytes: part}
	}
	return chunks
}

// join puts a snapshot together again. It fails where a chunk is missing or of
// another snapshot: writing was cut short.
func join(chunks map[int]*chunk) ([]byte, error) {
	first := chunks[0]
	if first == nil {
		return nil, errors.New("state: the first chunk is missing")
	}
	var whole bytes.Buffer
	for i := range first.of {
		c := chunks[i]
		if c == nil || c.id != first.id || c.of != first.of || c.number != i {
			return nil, fmt.Errorf("state: chunk %d of %d is missing: writing it was cut short", i, first.of)
		}
		whole.Write(c.bytes)
	}
	if whole.Len() != first.length || xxhash.Sum64(whole.Bytes()) != first.sum {
		return nil, fmt.Errorf("state: the %d chunks are not what was written: they have %d bytes of %d, or another sum", first.of, whole.Len(), first.length)
	}
	return whole.Bytes(), nil
}

func chunkKey(shard string, slot, number int) []byte {
	return fmt.Appendf(nil, "%s/%d/%d", shard, slot, number)
}

// parseKey takes a key apart; false for one that is no chunk's.
func parseKey(key []byte) (shard string, slot, number int, ok bool) {
	text := string(key)
	last := strings.LastIndexByte(text, '/')
	if last < 0 {
		return "", 0, 0, false
	}
	before := strings.LastIndexByte(text[:last], '/')
	if before < 0 {
		return "", 0, 0, false
	}
	slot, errSlot := strconv.Atoi(text[before+1 : last])
	number, errNumber := strconv.Atoi(text[last+1:])
	return text[:before], slot, number, errSlot == nil && errNumber == nil && slot >= 0 && slot < slots && number >= 0
}

// slots is the number of snapshots of a shard that are kept.
const slots = 2
