package event

import (
	"context"
	"strconv"
)

// Partition names one ordered stream of records.
type Partition struct {
	// Prefix identifies the stream across time and clusters:
	// hex(xxhash64(cluster, topic, epoch)) for Kafka, of the path for files.
	Prefix string
	Topic  string
	Number int32
}

// Record is one record as its source delivered it. Bytes may be shared with
// the source's buffers: they are valid until the worker returns from the batch.
type Record struct {
	Offset int64 // in its partition; line number for files, from 1
	// Time is the broker's (or capture's) timestamp in milliseconds since
	// 1970, the clock of silence and of replays; 0 where the source has none.
	Time    int64
	Key     []byte
	Value   []byte // nil for a Kafka tombstone
	Headers []Header
	// Raw is what the source delivered, where a decoder made Value of it or
	// failed to; otherwise nil, and Value is what the source delivered.
	Raw []byte
	// Fault is set by a source that could not deliver the value (a batch that
	// does not decompress, a line over the limit). The record is dead-lettered.
	Fault error
}

// Header is one Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Header returns the value of the first header called key.
func (r *Record) Header(key string) ([]byte, bool) {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// Batch is consecutive records of one partition in offset order (gaps occur:
// compaction, control records).
type Batch struct {
	Partition Partition
	Records   []Record
	// Committed is the offset up to which (exclusive) the records were
	// acknowledged before this worker opened the partition. Records below it
	// are read again only to rebuild state: they are mapped and judged, but
	// nothing is written, counted as input or acknowledged for them.
	Committed int64
}

// Worker handles the batches of one partition, one at a time and in order.
//
// Handle blocks until every required sink holds everything that the batch
// became; only a nil return is an acknowledgement. It retries transient
// failures by itself and returns an error only when ctx ends.
type Worker interface {
	Handle(ctx context.Context, b *Batch) error
	// Close releases the partition's state. No Handle runs or follows.
	Close()
}

// Resumer is a Worker whose state may be restored from a snapshot. Resume is called
// before the first Handle with the offset up to which records were acknowledged
// and returns from where on the worker has to see them, not after committed;
// without ok the source decides. What it found damaged counts as not there.
type Resumer interface {
	Resume(ctx context.Context, committed int64) (from int64, ok bool)
}

// Paced is a Worker whose records are judged in step with those of other
// partitions: Handle waits until these are as far, by the brokers' time. A source
// with several partitions tells it what it knows of the log, lest the others wait
// for records that do not exist. All methods but Handle are safe for concurrent
// use. Times are nanoseconds since 1970.
type Paced interface {
	Worker
	// Asked returns up to where in the log records of other partitions are known. It
	// is called before the log is asked whether anything is left, for CaughtUp.
	Asked() int64
	// CaughtUp says that nothing was left in the log when it was asked after Asked
	// had returned asked, and that Handle has returned from all before.
	CaughtUp(asked int64)
	// Ahead says up to what time records have been read that Handle has not seen.
	Ahead(at int64)
	// Waited reports whether another partition waits, so that the log should be
	// asked at once.
	Waited() bool
	// Holding returns a channel that is closed while other partitions wait for this
	// one: it has to get on whatever memory the others hold.
	Holding() <-chan struct{}
	// GiveUp lets Handle return at once, with an error, where it waits for other
	// partitions: the partition is given up.
	GiveUp()
}

// AppendID appends the deterministic id prefix-partition-offset-ordinal of the
// ordinal-th event of a record.
func AppendID(dst []byte, p *Partition, offset int64, ordinal int) []byte {
	dst = append(dst, p.Prefix...)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, int64(p.Number), 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, offset, 10)
	dst = append(dst, '-')
	return strconv.AppendInt(dst, int64(ordinal), 10)
}
