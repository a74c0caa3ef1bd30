// Package streamid gives an ordered stream of records the name that the ids of
// its events begin with, so that the same record gets the same id on every
// reading.
package streamid

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// Topic returns the prefix of a Kafka topic: 16 hexadecimal digits of the
// xxHash64 of cluster, topic and epoch. The cluster keeps equal topic names of
// two clusters apart; the epoch is raised by the operator when a topic is
// deleted and made again, because its offsets then start at 0 again.
func Topic(cluster, topic string, epoch int) string {
	return sum(cluster + "\x00" + topic + "\x00" + strconv.Itoa(epoch))
}

// Path returns the prefix of a file.
func Path(path string) string { return sum(path) }

func sum(name string) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, xxhash.Sum64String(name)))
}
