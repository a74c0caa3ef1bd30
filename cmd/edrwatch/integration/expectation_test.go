//go:build integration && linux

package integration

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// expectation is what must come out of a corpus.
type expectation struct {
	partitions []partitionDocuments
	alerts     map[string][]byte // by event.id
	dead       map[coordinate]deadRecord
	// outcomes counts records by their outcome.
	outcomes map[string]int
}

// partitionDocuments are the documents of one partition, by event.id.
type partitionDocuments struct {
	place
	events map[string][]byte
}

// coordinate is where a record stands.
type coordinate struct {
	place
	offset int64
}

// deadRecord says why a record cannot be used.
type deadRecord struct{ stage, reason string }

// cluster is the name in every gateway's configuration.
const cluster = "integration"

// idPrefix is the first part of the ids of a topic's events.
func idPrefix(cluster, topic string) string {
	var sum [8]byte
	h := xxhash.Sum64String(cluster + "\x00" + topic + "\x00" + "0")
	for i := range sum {
		sum[i] = byte(h >> (56 - 8*i))
	}
	return hex.EncodeToString(sum[:])
}

// expect replays a corpus in the order of its records' time.
func expect(t testing.TB, c *corpus) *expectation {
	t.Helper()
	e := &expectation{dead: map[coordinate]deadRecord{}, outcomes: map[string]int{}}
	file := filepath.Join(t.TempDir(), "corpus")
	order := c.inTime()
	writeCapture(t, file, c, order)
	e.replay(t, file, order)
	return e
}

// inTime lists the records of all partitions in the order of their time, those of
// each in its own.
func (c *corpus) inTime() []coordinate {
	places := slices.SortedFunc(maps.Keys(c.partitions), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	next := make([]int, len(places))
	var order []coordinate
	for {
		first := -1
		for i, at := range places {
			if next[i] < len(c.partitions[at]) && (first < 0 || c.partitions[at][next[i]].time < c.partitions[places[first]][next[first]].time) {
				first = i
			}
		}
		if first < 0 {
			return order
		}
		order = append(order, coordinate{places[first], int64(next[first])})
		next[first]++
	}
}

// writeCapture writes records as capture lines, all bytes in base64.
func writeCapture(t testing.TB, file string, c *corpus, order []coordinate) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(out)
	lines := json.NewEncoder(w)
	for _, at := range order {
		r := c.partitions[at.place][at.offset]
		headers := map[string][][]byte{}
		for _, h := range r.headers {
			headers[h.Key] = append(headers[h.Key], h.Value)
		}
		line := map[string]any{
			"ts": r.time, "topic": at.topic, "partition": at.partition, "offset": at.offset,
			"key_b64": r.key, "headers_b64": headers, "value_b64": r.value,
		}
		if err := lines.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

// replay adds what `edrwatch replay` makes of a capture.
func (e *expectation) replay(t testing.TB, file string, order []coordinate) {
	t.Helper()
	cmd := exec.Command(shared.binary, "replay", "--format", "capture", "--rules", shared.rules, "--in", file, "--events", file+".events",
		"--alerts", file+".alerts", "--dead", file+".dead", "--summary", file+".summary", "--quiet")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("replaying %s: %v\n%s", file, err, out)
	}
	e.alerts = readDocuments(t, file+".alerts")
	byPlace := map[string]partitionDocuments{}
	for _, at := range order {
		name := fmt.Sprintf("%s-%d", idPrefix("", at.topic), at.partition)
		if _, ok := byPlace[name]; !ok {
			byPlace[name] = partitionDocuments{at.place, map[string][]byte{}}
		}
	}
	for id, doc := range readDocuments(t, file+".events") {
		parts := strings.SplitN(id, "-", 3)
		p, ok := byPlace[parts[0]+"-"+parts[1]]
		if !ok {
			t.Fatalf("event %s is of no partition of the corpus", id)
		}
		p.events[id] = doc
	}
	e.partitions = slices.Collect(maps.Values(byPlace))
	eachLine(t, file+".dead", func(line []byte) {
		var d struct {
			Line          int64
			Stage, Reason string
		}
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatal(err)
		}
		e.dead[order[d.Line-1]] = deadRecord{d.Stage, d.Reason}
	})
	summary := map[string]int{}
	eachLine(t, file+".summary", func(line []byte) {
		if err := json.Unmarshal(line, &summary); err != nil {
			t.Fatal(err)
		}
	})
	if got := summary["blank"] + summary["mapped"] + summary["other"] + summary["dead"] + summary["duplicate"]; got != len(order) || summary["lines"] != len(order) {
		t.Fatalf("replaying %s: the summary %v does not account for %d lines", file, summary, len(order))
	}
	for name, n := range summary {
		e.outcomes[name] += n
	}
}

// readDocuments reads documents by id; each has an id of its own.
func readDocuments(t testing.TB, file string) map[string][]byte {
	t.Helper()
	docs := map[string][]byte{}
	eachLine(t, file, func(line []byte) {
		id := eventID(t, line)
		if docs[id] != nil {
			t.Fatalf("%s has two documents with the id %s:\n%s\n%s", file, id, docs[id], line)
		}
		docs[id] = bytes.Clone(line)
	})
	return docs
}

func eachLine(t testing.TB, file string, do func(line []byte)) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r := bufio.NewReaderSize(in, 1<<20)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			do(bytes.TrimSuffix(line, []byte("\n")))
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func eventID(t testing.TB, doc []byte) string {
	t.Helper()
	var d struct{ Event struct{ ID string } }
	if err := json.Unmarshal(doc, &d); err != nil || d.Event.ID == "" {
		t.Fatalf("a document without event.id (%v): %.300s", err, doc)
	}
	return d.Event.ID
}

// under returns documents as they must be in the sinks of a feed: a replay
// does not know the cluster, and the feed's topics have other names.
func (p partitionDocuments) under(f *feed, docs map[string][]byte) map[string][]byte {
	from, to := idPrefix("", p.topic), idPrefix(cluster, f.topic(p.topic))
	renamed := make(map[string][]byte, len(docs))
	for id, doc := range docs {
		renamed[strings.Replace(id, from, to, 1)] = bytes.ReplaceAll(doc, []byte(from), []byte(to))
	}
	return renamed
}

// documents returns what must be in every sink of a feed, by id.
func (e *expectation) documents(f *feed) map[string][]byte {
	all := map[string][]byte{}
	for _, p := range e.partitions {
		maps.Copy(all, p.under(f, p.events))
	}
	for id, doc := range e.alerts { // They may name events of several topics.
		for topic := range corpusTopics() {
			doc = bytes.ReplaceAll(doc, []byte(idPrefix("", topic)), []byte(idPrefix(cluster, f.topic(topic))))
		}
		all[id] = doc
	}
	return all
}

// corpusAndExpectation makes both once.
func (b *bench) corpusAndExpectation(t testing.TB) (*corpus, *expectation) {
	t.Helper()
	if b.records == nil {
		c := newCorpus(t)
		b.want = expect(t, c)
		b.records = c
		t.Logf("corpus: %d records; replay: %v", c.total, b.want.outcomes)
	}
	return b.records, b.want
}

// offsetOf returns the offset in an event's id.
func offsetOf(id string) int64 {
	parts := strings.Split(id, "-")
	if len(parts) != 4 {
		return -1
	}
	n, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return -1
	}
	return n
}
