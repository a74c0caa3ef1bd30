//go:build integration && linux

package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/sources/simulator"
)

// record is one record of a partition; its offset is its place there.
type record struct {
	time    int64 // ms since 1970
	key     []byte
	value   []byte // nil: a tombstone
	headers []kafka.Header
}

// place is a partition of one of the corpus's topics.
type place struct {
	topic     string
	partition int
}

// corpus is what is produced, by partition, in the order of time.
type corpus struct {
	partitions map[place][]record
	total      int
}

// topics of the corpus with their numbers of partitions.
func corpusTopics() map[string]int {
	return map[string]int{
		simulator.TopicFDR: 4, simulator.TopicMetrics: 3, simulator.TopicWindows: 2, simulator.TopicDefender: 1,
	}
}

// corpusSize is how many records there are at least.
const corpusSize = 20_000

// newCorpus lets a simulated fleet live through 19 July 2024 and puts poison
// between its records.
func newCorpus(t testing.TB) *corpus {
	t.Helper()
	scenario, err := simulator.Shipped("july19")
	if err != nil {
		t.Fatal(err)
	}
	// More noise than a real fleet has, so that every kind of it is there.
	scenario.Noise.Duplicates, scenario.Noise.Malformed, scenario.Noise.Late = 0.01, 0.005, 0.005
	fleet, err := simulator.New(simulator.Config{Seed: 19, Agents: 385, Scenario: scenario})
	if err != nil {
		t.Fatal(err)
	}
	c := &corpus{partitions: map[place][]record{}}
	vandal := newVandal()
	var places []place
	for topic, n := range corpusTopics() {
		for i := range n {
			places = append(places, place{topic, i})
		}
	}
	slices.SortFunc(places, func(a, b place) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for e, ok := fleet.Next(); ok; e, ok = fleet.Next() {
		hash := fnv.New32a()
		hash.Write(e.Key)
		at := place{e.Topic, int(hash.Sum32() % uint32(corpusTopics()[e.Topic]))}
		c.add(at, record{time: e.Time, key: e.Key, value: e.Value, headers: []kafka.Header{{Key: "shipper", Value: []byte("simulator")}}})
		if c.total%97 == 0 {
			c.add(places[c.total/97%len(places)], vandal.next(e.Time))
		}
	}
	if c.total < corpusSize {
		t.Fatalf("the corpus has %d records, expected at least %d: use more agents", c.total, corpusSize)
	}
	return c
}

func (c *corpus) add(at place, r record) {
	c.partitions[at] = append(c.partitions[at], r)
	c.total++
}

// part returns the records of each partition between two shares of its length.
func (c *corpus) part(from, to float64) *corpus {
	p := &corpus{partitions: map[place][]record{}}
	for at, records := range c.partitions {
		n := float64(len(records))
		cut := records[int(from*n):int(to*n)]
		p.partitions[at] = cut
		p.total += len(cut)
	}
	return p
}

// vandal makes records that no agent sends.
type vandal struct {
	random *rand.Rand
	made   int
}

func newVandal() *vandal { return &vandal{random: rand.New(rand.NewPCG(4, 2024))} }

// next returns the next kind of poison in turn.
func (v *vandal) next(at int64) record {
	kinds := []func() []byte{
		v.noise,
		func() []byte { return []byte{} },
		func() []byte { return nil },
		func() []byte { return fmt.Appendf(nil, `{"event_simpleName":"SensorHeartbeat","aid":%q`, v.id()) }, // cut off
		func() []byte { return []byte(`{"unknown":"shape","n":1.5e3,"list":[1,"two",null,{"three":3}]}`) },
		func() []byte { return nested(12) },
		func() []byte { return nested(100) },
		func() []byte { return nested(100_000) },
		func() []byte {
			return []byte("{\"event_simpleName\":\"SensorHeartbeat\",\"ComputerName\":\"caf\xe9\"}")
		}, // Latin-1
		func() []byte { return append([]byte("\xef\xbb\xbf"), v.heartbeat(at, "")...) }, // byte order mark
		func() []byte { return v.heartbeat(at, "") },
		func() []byte { return v.heartbeat(at, strings.Repeat("0123456789abcdef", 1<<16)) }, // 1 MiB
		func() []byte { return []byte(`[{"an":"array"}]`) },
		func() []byte { return []byte(`"text"`) },
		func() []byte { return []byte("null") },
		func() []byte { return []byte("Jul 19 04:09:00 host syslog: not JSON\n") },
		func() []byte {
			return []byte(`{"event_simpleName":"SensorHeartbeat","aid":1,"aid":{"twice":[]},"timestamp":"yesterday"}`)
		},
		func() []byte { return fmt.Appendf(nil, `{"n":1e400,"m":-0,"big":%s}`, strings.Repeat("9", 400)) },
		func() []byte {
			return []byte("{\"zero\":\"\\u0000\",\"half\":\"\\ud800\",\"\":\"no name\",\"a.b\":1,\"a\":{\"b\":2}}")
		},
	}
	kind := v.made % len(kinds)
	// The large ones are rare.
	if kind == 11 && v.made > 2*len(kinds) {
		kind = 10
	}
	v.made++
	return record{
		time: at, key: fmt.Appendf(nil, "poison-%d", v.made), value: kinds[kind](),
		headers: []kafka.Header{
			{Key: "made", Value: fmt.Append(nil, v.made)},
			{Key: "binary", Value: binary.BigEndian.AppendUint32([]byte{0xff, 0x00}, uint32(v.made))},
			{Key: "binary", Value: []byte{}},
			{Key: "none"},
		},
	}
}

func (v *vandal) noise() []byte {
	b := make([]byte, 16+v.random.IntN(2000))
	for i := range b {
		b[i] = byte(v.random.Uint32())
	}
	return b
}

func (v *vandal) id() string { return fmt.Sprintf("%016x%016x", v.random.Uint64(), v.random.Uint64()) }

// heartbeat is a good record of an agent outside of the fleet.
func (v *vandal) heartbeat(at int64, padding string) []byte {
	return fmt.Appendf(nil, `{"event_simpleName":"SensorHeartbeat","event_platform":"Win","aid":%q,"cid":"0123456789abcdef0123456789abcdef",`+
		`"ComputerName":"stray-%d","aip":"192.0.2.%d","ConfigBuild":"1007.3.0018909.1","timestamp":"%d","id":%q,"name":"SensorHeartbeatV4","Padding":%q}`,
		v.id()[:32], v.made, v.made%250, at-time.Second.Milliseconds(), v.id(), padding)
}

func nested(depth int) []byte {
	return slices.Concat(bytes.Repeat([]byte(`{"a":`), depth), []byte("1"), bytes.Repeat([]byte("}"), depth))
}
