package kafka

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// The versions of the requests: the oldest that say what is needed, so that
// brokers from 2.1 on understand them.
const (
	metadataVersion    = 5
	listOffsetsVersion = 2
	fetchVersion       = 10 // the first that may answer with zstd
)

// answerTime is how long a broker may take to answer, beyond the time that a
// fetch asks it to wait.
const answerTime = 20 * time.Second

// wire is one connection to a broker with one request under way at a time.
type wire struct {
	conn        net.Conn
	r           *bufio.Reader
	correlation int32
}

func newWire(conn net.Conn) *wire { return &wire{conn: conn, r: bufio.NewReader(conn)} }

func (w *wire) close() { w.conn.Close() }

// send writes a request and sets the time until which its answer must begin.
func (w *wire) send(version int16, request protocol.Message, wait time.Duration) error {
	w.correlation++
	if err := w.conn.SetDeadline(time.Now().Add(wait + answerTime)); err != nil {
		return err
	}
	return protocol.WriteRequest(w.conn, version, w.correlation, clientID, request)
}

// roundTrip sends a request and decodes its answer with kafka-go.
func (w *wire) roundTrip(ctx context.Context, version int16, request protocol.Message) (protocol.Message, error) {
	defer context.AfterFunc(ctx, w.close)()
	if err := w.send(version, request, 0); err != nil {
		return nil, err
	}
	if err := w.looksLikeTLS(); err != nil {
		return nil, err
	}
	correlation, response, err := protocol.ReadResponse(w.r, request.ApiKey(), version)
	if err != nil {
		return nil, err
	}
	if correlation != w.correlation {
		return nil, fmt.Errorf("reading answer: expected request %d, found %d", w.correlation, correlation)
	}
	return response, nil
}

// errExpectsTLS is how a broker that expects TLS answers without it.
var errExpectsTLS = errors.New("the broker answered with a TLS alert")

func (w *wire) looksLikeTLS() error {
	begin, err := w.r.Peek(3)
	if err == nil && begin[0] == 0x15 && begin[1] == 0x03 && begin[2] <= 4 {
		return errExpectsTLS
	}
	return nil // a read error shows again on reading
}

// metadata asks for topics by name; nil means all.
func (w *wire) metadata(ctx context.Context, topics []string) (*metadata.Response, error) {
	response, err := w.roundTrip(ctx, metadataVersion, &metadata.Request{TopicNames: topics})
	if err != nil {
		return nil, fmt.Errorf("asking for metadata: %w", err)
	}
	return response.(*metadata.Response), nil
}

// listOffset returns the first offset at or after a time in milliseconds since
// 1970, or for kafkago.FirstOffset and LastOffset that of the log; -1 if none.
func (w *wire) listOffset(ctx context.Context, topic string, partition int32, ms int64, isolation int8) (int64, error) {
	response, err := w.roundTrip(ctx, listOffsetsVersion, &listoffsets.Request{
		ReplicaID: -1, IsolationLevel: isolation,
		Topics: []listoffsets.RequestTopic{{Topic: topic, Partitions: []listoffsets.RequestPartition{{Partition: partition, Timestamp: ms}}}},
	})
	if err != nil {
		return 0, fmt.Errorf("asking for offsets of %s partition %d: %w", topic, partition, err)
	}
	topics := response.(*listoffsets.Response).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("asking for offsets of %s partition %d: the answer has no such partition", topic, partition)
	}
	answer := topics[0].Partitions[0]
	if answer.ErrorCode != 0 {
		return 0, fmt.Errorf("asking for offsets of %s partition %d: %w", topic, partition, kafkago.Error(answer.ErrorCode))
	}
	return answer.Offset, nil
}

// readSize reads the size of the next answer, which blocks until there is one.
func (w *wire) readSize() (int, error) {
	var size [4]byte
	if _, err := io.ReadFull(w.r, size[:]); err != nil {
		return 0, err
	}
	n := int32(binary.BigEndian.Uint32(size[:]))
	if n < 0 {
		return 0, fmt.Errorf("reading answer: expected its size, found %d", n)
	}
	return int(n), nil
}
