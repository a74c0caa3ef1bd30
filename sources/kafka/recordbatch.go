package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Sizes of the record batch header, see "Message Format" in Kafka's protocol
// guide.
const (
	batchPrefix = 12 // base offset and length, which counts what follows it
	batchHeader = 61
	crcFrom     = 21 // the checksum covers everything from here on
)

// maxHeaders bounds the headers of one record, which cost more memory than
// bytes on the wire.
const maxHeaders = 1024

// batchInfo is the header of a record batch.
type batchInfo struct {
	base, last       int64 // offsets; last holds even when compaction removed the record
	magic            int8
	crc              uint32
	attributes       int16
	firstTime, maxTS int64
	producer         int64
	count            int32
}

func (h *batchInfo) codec() int8         { return int8(h.attributes & 7) }
func (h *batchInfo) logAppendTime() bool { return h.attributes&(1<<3) != 0 }
func (h *batchInfo) transactional() bool { return h.attributes&(1<<4) != 0 }
func (h *batchInfo) control() bool       { return h.attributes&(1<<5) != 0 }

// nextBatch takes the first batch off records: its header, all its bytes and
// what follows. Complete is false when records ends before the batch does;
// then h holds as much of the header as is there and raw is the rest. The old
// formats (magic 0 and 1) have no range: last is all that is known.
func nextBatch(records []byte) (h batchInfo, raw, rest []byte, complete bool) {
	if len(records) < batchPrefix {
		return h, records, nil, false
	}
	c := cursor{b: records}
	h.base = c.int64()
	h.last = h.base
	length := int(c.int32())
	raw = records
	if length >= 0 && length <= len(c.b) {
		raw, rest, complete = records[:batchPrefix+length], records[batchPrefix+length:], true
	}
	c.b = raw[batchPrefix:]
	c.int32() // leader epoch
	magic := c.skip(1)
	if magic == nil {
		return h, raw, rest, complete
	}
	h.magic = int8(magic[0])
	if h.magic != 2 || len(raw) < batchHeader {
		return h, raw, rest, complete
	}
	h.crc = uint32(c.int32())
	h.attributes = c.int16()
	if delta := c.int32(); delta > 0 {
		h.last = h.base + int64(delta)
	}
	h.firstTime, h.maxTS = c.int64(), c.int64()
	h.producer = c.int64()
	c.int16() // producer's epoch
	c.int32() // sequence
	h.count = c.int32()
	return h, raw, rest, complete
}

// check verifies format and checksum of a complete batch.
func (h *batchInfo) check(raw []byte, table *crc32.Table) error {
	if h.magic != 2 {
		return fmt.Errorf("expected record batches of format 2, found format %d of before Kafka 0.11", h.magic)
	}
	if len(raw) < batchHeader {
		return fmt.Errorf("expected a header of %d bytes, found %d", batchHeader, len(raw))
	}
	if sum := crc32.Checksum(raw[crcFrom:], table); sum != h.crc {
		return fmt.Errorf("expected checksum %08x, found %08x", h.crc, sum)
	}
	return nil
}

// abortMarker reports whether a control batch ends its transaction with an
// abort; it may also be a commit or a marker that is none of ours.
func (h *batchInfo) abortMarker(payload []byte) bool {
	c := cursor{b: payload}
	c.varint() // length
	c.skip(1)  // attributes
	c.varint() // time
	c.varint() // offset
	key := c.bytes()
	return len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == 0
}

var errMalformedRecord = errors.New("expected a record, found bytes that are none")

// recordReader iterates over the uncompressed records of a batch. Records
// share the payload's bytes.
type recordReader struct {
	h       *batchInfo
	c       cursor
	left    int32
	next    int64 // the lowest offset that the next record may have
	headers []event.Header
	intern  func([]byte) string
}

// read returns the next record. The headers are appended to those of the
// reader, which its user empties with every batch that was handled.
func (r *recordReader) read() (rec event.Record, ok bool, err error) {
	if r.left <= 0 {
		return rec, false, nil
	}
	r.left--
	length := r.c.varint()
	if r.c.short || length < 0 || length > int64(len(r.c.b)) {
		return rec, false, errMalformedRecord
	}
	c := cursor{b: r.c.skip(int(length))}
	c.skip(1) // attributes, unused
	rec.Time = r.h.firstTime + c.varint()
	if r.h.logAppendTime() {
		rec.Time = r.h.maxTS
	}
	rec.Offset = r.h.base + c.varint()
	rec.Key = c.bytes()
	rec.Value = c.bytes()
	headers := c.varint()
	if c.short || rec.Offset < r.next || rec.Offset > r.h.last {
		return rec, false, errMalformedRecord
	}
	if headers < 0 || headers > maxHeaders {
		return rec, false, fmt.Errorf("expected at most %d headers in a record, found %d", maxHeaders, headers)
	}
	if headers > 0 {
		from := len(r.headers)
		for range headers {
			key := c.bytes()
			r.headers = append(r.headers, event.Header{Key: r.intern(key), Value: c.bytes()})
		}
		if c.short {
			return rec, false, errMalformedRecord
		}
		rec.Headers = r.headers[from:len(r.headers):len(r.headers)]
	}
	r.next = rec.Offset + 1
	return rec, true, nil
}
