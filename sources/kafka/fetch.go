package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol/fetch"
)

// fetchOf is what a fetch asks for.
type fetchOf struct {
	topic     string
	partition int32
	offset    int64
	maxBytes  int32
	wait      time.Duration // for which the broker may hold the answer back
}

// fetchRequest asks for one partition outside of any fetch session.
func fetchRequest(of fetchOf, cfg *Config) *fetch.Request {
	return &fetch.Request{
		ReplicaID: -1, MaxWaitTime: int32(of.wait.Milliseconds()), MinBytes: int32(cfg.FetchMinBytes), MaxBytes: of.maxBytes,
		IsolationLevel: cfg.isolation(), SessionEpoch: -1,
		Topics: []fetch.RequestTopic{{Topic: of.topic, Partitions: []fetch.RequestPartition{{
			Partition: of.partition, CurrentLeaderEpoch: -1, FetchOffset: of.offset, LogStartOffset: -1, PartitionMaxBytes: of.maxBytes,
		}}}},
	}
}

// isolation returns the protocol's number of the isolation level.
func (c *Config) isolation() int8 {
	if c.Isolation == "read_committed" {
		return 1
	}
	return 0
}

// fetched is the answer to a fetch of one partition. It points into the bytes
// of the answer.
type fetched struct {
	code       int16 // error of the partition or of the whole request
	highWater  int64 // offset after the last record
	lastStable int64 // offset before which every transaction has ended
	aborted    []abortedTransaction
	records    []byte // record batches; the last one may be incomplete
}

// abortedTransaction says that records of a producer from an offset on, up to
// its next abort marker, must not be delivered.
type abortedTransaction struct{ producer, first int64 }

var errShortAnswer = errors.New("decoding fetch answer: it ends too early")

// parseFetch decodes the body of a fetch answer in version 10. When the answer
// was cut off on purpose (cut), the records may end early.
func parseFetch(body []byte, correlation int32, cut bool) (fetched, error) {
	c := cursor{b: body}
	if got := c.int32(); got != correlation && !c.short {
		return fetched{}, fmt.Errorf("decoding fetch answer: expected request %d, found %d", correlation, got)
	}
	c.int32() // throttle time: the broker delays by itself
	var f fetched
	f.code = c.int16()
	c.int32() // session
	topics := c.int32()
	if !c.short && f.code != 0 {
		return f, nil
	}
	if c.short || topics != 1 {
		return f, c.fail("one topic", topics)
	}
	c.skip(int(c.int16()))
	if partitions := c.int32(); c.short || partitions != 1 {
		return f, c.fail("one partition", partitions)
	}
	c.int32() // partition
	f.code = c.int16()
	f.highWater = c.int64()
	f.lastStable = c.int64()
	c.int64() // start of the log
	if n := c.int32(); n > 0 && int(n) <= len(c.b)/16 {
		f.aborted = make([]abortedTransaction, n)
		for i := range f.aborted {
			f.aborted[i] = abortedTransaction{c.int64(), c.int64()}
		}
	} else if n > 0 {
		return f, errShortAnswer
	}
	size := int(c.int32())
	switch {
	case c.short:
		return f, errShortAnswer
	case size <= 0:
		return f, nil
	case size <= len(c.b):
		f.records = c.b[:size]
	case cut:
		f.records = c.b
	default:
		return f, errShortAnswer
	}
	return f, nil
}

// cursor reads big-endian numbers from bytes; after their end it reads zeros
// and short is set.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) fail(expected string, found int32) error {
	if c.short {
		return errShortAnswer
	}
	return fmt.Errorf("decoding fetch answer: expected %s, found %d", expected, found)
}

func (c *cursor) skip(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.short = nil, true
		return nil
	}
	skipped := c.b[:n:n]
	c.b = c.b[n:]
	return skipped
}

func (c *cursor) int16() int16 {
	if b := c.skip(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() int32 {
	if b := c.skip(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (c *cursor) int64() int64 {
	if b := c.skip(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// varint reads a zigzag number.
func (c *cursor) varint() int64 {
	n, size := binary.Varint(c.b)
	if size <= 0 {
		c.b, c.short = nil, true
		return 0
	}
	c.b = c.b[size:]
	return n
}

// bytes reads a length as varint and so many bytes; nil for length -1.
func (c *cursor) bytes() []byte {
	n := c.varint()
	if n == -1 || c.short {
		return nil
	}
	if n < 0 || n > int64(len(c.b)) {
		c.b, c.short = nil, true
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}
