//go:build integration && linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

// differences collects what is wrong with many documents and shows the first.
type differences struct {
	what  string
	count int
	first []string
}

func (d *differences) add(format string, args ...any) {
	if d.count++; len(d.first) < 5 {
		d.first = append(d.first, fmt.Sprintf(format, args...))
	}
}

func (d *differences) report(t testing.TB) {
	t.Helper()
	if d.count > 0 {
		t.Errorf("%s: %d differences, the first:\n%s", d.what, d.count, strings.Join(d.first, "\n"))
	}
}

// checkElasticsearch compares what Elasticsearch has of a feed with what it
// must have: each document once, each byte as replay says.
func (e *elastic) check(f *feed, want map[string][]byte) {
	f.t.Helper()
	e.compare(f, e.documents(f), want)
}

func (e *elastic) compare(f *feed, got map[string]hit, want map[string][]byte) {
	f.t.Helper()
	d := differences{what: "Elasticsearch"}
	for id, doc := range want {
		h, ok := got[id]
		switch {
		case !ok:
			d.add("document %s is missing: %.300s", id, doc)
		case !equalJSON(h.Source, doc):
			d.add("document %s is\n  %.2000s\nexpected\n  %.2000s", id, h.Source, doc)
		case !strings.Contains(h.Index, streamOf(doc)+"-"+f.name+"-"):
			d.add("document %s is in %s, expected %s", id, h.Index, streamOf(doc))
		}
	}
	for id, h := range got {
		if _, ok := want[id]; !ok {
			d.add("document %s is too many: %.300s", id, h.Source)
		}
	}
	d.report(f.t)
}

// checkUnnamed compares what gateways delivered that read records again, or do not
// share what they know of names: each event once, with all that its record says.
// What is filled in of the agent and its host depends on what each of them has read
// by then. Where they share nothing so do the rules that an event matches: without
// alerts these are not compared, else each has to be there once.
func (e *elastic) checkUnnamed(f *feed, want map[string][]byte, alerts bool) {
	f.t.Helper()
	d := differences{what: "Elasticsearch"}
	got := e.documents(f)
	for id, doc := range want {
		h, ok := got[id]
		switch {
		case streamOf(doc) == "logs-edr.alerts" && (ok || !alerts):
		case !ok:
			d.add("document %s is missing: %.300s", id, doc)
		case !reflect.DeepEqual(unnamed(h.Source), unnamed(doc)):
			d.add("document %s is\n  %.2000s\nexpected\n  %.2000s", id, h.Source, doc)
		case !strings.Contains(h.Index, streamOf(doc)+"-"+f.name+"-"):
			d.add("document %s is in %s, expected %s", id, h.Index, streamOf(doc))
		}
	}
	for id, h := range got {
		if _, ok := want[id]; !ok && (alerts || streamOf(h.Source) != "logs-edr.alerts") {
			d.add("document %s is too many: %.300s", id, h.Source)
		}
	}
	d.report(f.t)
}

// unnamed is a document without what the names of agents and hosts fill in.
func unnamed(doc []byte) map[string]any {
	var m map[string]any
	if json.Unmarshal(withoutIngestion(doc), &m) != nil {
		return nil
	}
	for _, name := range []string{"agent", "host", "related"} {
		delete(m, name)
	}
	if edr, ok := m["edr"].(map[string]any); ok {
		for _, name := range []string{"entity", "site", "rollout", "asset", "rules"} {
			delete(edr, name)
		}
		if len(edr) == 0 {
			delete(m, "edr")
		}
	}
	return m
}

// streamOf is the data stream that a document belongs to, without namespace.
func streamOf(doc []byte) string {
	var d struct{ Event struct{ Kind, Action string } }
	_ = json.Unmarshal(doc, &d) // A document that is no JSON differs anyway.
	switch {
	case d.Event.Action == "alert": // Vendors' events can be of kind alert, too.
		return "logs-edr.alerts"
	case d.Event.Kind == "metric":
		return "metrics-edr.agent"
	}
	return "logs-edr.telemetry"
}

// ingestion matches event.ingested, which a replay does not have.
var ingestion = regexp.MustCompile(`"ingested":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",`)

// withoutIngestion takes event.ingested out of what the gateway wrote.
func withoutIngestion(doc []byte) []byte { return ingestion.ReplaceAll(doc, nil) }

// equalJSON compares what the gateway wrote with what a replay does; the order
// of keys does not count, and event.ingested must be there.
func equalJSON(a, b []byte) bool {
	written := a
	if a = withoutIngestion(written); len(a) == len(written) {
		return false
	}
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// splitByReceiver separates the documents that the receiver refuses: numbers
// that no float64 can hold are beyond it (RFC 8259, section 6, promises no
// more). Elasticsearch takes them.
func splitByReceiver(documents map[string][]byte) (taken, refused map[string][]byte) {
	taken, refused = map[string][]byte{}, map[string][]byte{}
	for id, doc := range documents {
		if bytes.Contains(doc, []byte(":1e400")) {
			refused[id] = doc
		} else {
			taken[id] = doc
		}
	}
	return taken, refused
}

// checkHEC compares what the receiver has. It may have events several times.
func checkHEC(t testing.TB, events []testbed.HECEvent, want map[string][]byte) {
	t.Helper()
	d := differences{what: "HEC receiver"}
	got := map[string]bool{}
	for _, e := range events {
		id := eventID(t, e.Event)
		doc, ok := want[id]
		switch {
		case !ok:
			d.add("event %s is too many: %.300s", id, e.Event)
		case !equalJSON(e.Event, doc):
			d.add("event %s is\n  %.2000s\nexpected\n  %.2000s", id, e.Event, doc)
		case e.Token != hecToken:
			d.add("event %s came with token %q", id, e.Token)
		case e.Index != "edr" || e.SourceType == "" || e.Source != "edrwatch":
			d.add("event %s has index %q, sourcetype %q, source %q", id, e.Index, e.SourceType, e.Source)
		}
		got[id] = true
	}
	for id, doc := range want {
		if !got[id] {
			d.add("event %s is missing: %.300s", id, doc)
		}
	}
	d.report(t)
}

// checkLetters compares the dead-letter topic with the records that cannot be
// used, key, value and headers as they came, and why; and with the documents
// that the sink called splunk refuses. A letter may be there several times
// when repeats are permitted.
func (f *feed) checkLetters(c *corpus, records map[coordinate]deadRecord, documents map[string][]byte, repeats bool) {
	f.t.Helper()
	d := differences{what: "dead letters"}
	got, refused := map[coordinate]bool{}, map[string]bool{}
	for _, m := range f.letters() {
		own, why := splitHeaders(m.Headers)
		if why["stage"] == "splunk" {
			id := eventID(f.t, m.Value)
			if !bytes.Equal(withoutIngestion(m.Value), documents[id]) || why["reason"] != "rejected" || refused[id] && !repeats {
				d.add("document %s should not be dead, or not twice: %v, %.200q", id, why, m.Value)
			}
			refused[id] = true
			continue
		}
		at := coordinate{place{strings.TrimPrefix(why["topic"], f.name+"."), atoi(why["partition"])}, int64(atoi(why["offset"]))}
		dead, ok := records[at]
		if !ok {
			d.add("%v should not be dead: %v, %.200q", at, why, m.Value)
			continue
		}
		if got[at] && !repeats {
			d.add("%v is there twice", at)
		}
		got[at] = true
		r := c.partitions[at.place][at.offset]
		switch {
		case why["stage"] != dead.stage || why["reason"] != dead.reason || why["detail"] == "":
			d.add("%v: headers say %v, expected stage %s and reason %s", at, why, dead.stage, dead.reason)
		case why["timestamp"] != strconv.FormatInt(r.time, 10):
			d.add("%v: timestamp %s, expected %d", at, why["timestamp"], r.time)
		case !bytes.Equal(m.Value, r.value) || !bytes.Equal(m.Key, r.key):
			d.add("%v: the record is not as it came: %.200q", at, m.Value)
		case !equalHeaders(own, r.headers):
			d.add("%v: headers %v, expected %v", at, own, r.headers)
		}
	}
	for at, dead := range records {
		if !got[at] {
			d.add("%v is missing (%s, %s)", at, dead.stage, dead.reason)
		}
	}
	for id := range documents {
		if !refused[id] {
			d.add("document %s is missing", id)
		}
	}
	d.report(f.t)
}

// splitHeaders separates what the gateway added from the record's own headers.
func splitHeaders(headers []kafka.Header) (own []kafka.Header, why map[string]string) {
	why = map[string]string{}
	for _, h := range headers {
		if name, ok := strings.CutPrefix(h.Key, "edrwatch.dlq."); ok {
			why[name] = string(h.Value)
			continue
		}
		own = append(own, h)
	}
	return own, why
}

func equalHeaders(a, b []kafka.Header) bool {
	return slices.EqualFunc(a, b, func(a, b kafka.Header) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) })
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}
