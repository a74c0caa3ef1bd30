//go:build integration && linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

// TestDelivery is the main job: 20,000 mixed records through TLS and SCRAM,
// and everything that they must become is in every destination.
func TestDelivery(t *testing.T) {
	c, want := shared.corpusAndExpectation(t)
	es := shared.elasticsearch(t)
	hec := testbed.HEC(t, testbed.HECAck(), testbed.HECTLS())
	f := newFeed(t, "delivery")
	f.produce(c)
	security := f.server.Security()
	g := start(t, f.text(configuration{hec: hec, source: fmt.Sprintf(`brokers: [%s]
tls: {enabled: true, ca_file: %q}
sasl: {mechanism: SCRAM-SHA-512, username: %s, password: "${file:%s}"}`,
		strings.Join(security.SASLTLS, ", "), security.CAFile, security.User, secretFile(t, security.Password))}))
	began := time.Now()
	g.awaitRecords(int64(c.total), 90*time.Second)
	t.Logf("%d records in %s", c.total, time.Since(began).Round(time.Millisecond))
	f.awaitCommitted(10 * time.Second)
	g.awaitReady(true, 5*time.Second)

	documents := want.documents(f)
	es.check(f, documents)
	taken, refused := splitByReceiver(documents)
	checkHEC(t, hec.Events(t), taken)
	f.checkLetters(c, want.dead, refused, false)
	checkAccount(t, g.checkConservation(), c, want, len(documents), len(refused))
	checkTypes(f, es, documents)
	if took := g.terminate(10 * time.Second); took > 5*time.Second {
		t.Errorf("an idle gateway took %s to end", took)
	}
	// The documents that the receiver refuses are worth a word.
	problems := slices.DeleteFunc(errorLines(g.log), func(line string) bool { return strings.Contains(line, "refuses") })
	if len(problems) > 0 {
		t.Errorf("the log of an untroubled run has warnings or errors:\n%s", strings.Join(problems, "\n"))
	}
}

// errorLines returns the lines of the log from level WARN on.
func errorLines(l *log) []string {
	var found []string
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) || !strings.HasPrefix(line, "{") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// checkAccount compares the metrics of a gateway that did everything with what
// replay says.
func checkAccount(t *testing.T, s scrape, c *corpus, want *expectation, documents, refused int) {
	t.Helper()
	for outcome, expected := range map[string]int{
		"mapped": want.outcomes["mapped"] + want.outcomes["other"], "dead": want.outcomes["dead"],
		"filtered": want.outcomes["blank"], "duplicate": want.outcomes["duplicate"],
	} {
		if got := int(s.sum("edrwatch_records_total", "outcome", outcome)); got != expected {
			t.Errorf("%d records are counted as %s, expected %d", got, outcome, expected)
		}
	}
	if got := int(s.sum("edrwatch_records_received_total")); got != c.total {
		t.Errorf("%d records are counted as received, expected %d", got, c.total)
	}
	if got := int(s.sum("edrwatch_records_unmapped_total")); got != want.outcomes["other"] {
		t.Errorf("%d records are counted as unmapped, expected %d", got, want.outcomes["other"])
	}
	if got := int(s.sum("edrwatch_alerts_total")); got != want.outcomes["alerts"] {
		t.Errorf("%d alerts are counted, expected %d", got, want.outcomes["alerts"])
	}
	if got := int(s.sum("edrwatch_dead_letters_total")); got != len(want.dead)+refused {
		t.Errorf("%d dead letters are counted, expected %d", got, len(want.dead)+refused)
	}
	for sink, expected := range map[string]int{"elastic": documents, "splunk": documents - refused} {
		if got := int(s.sum("edrwatch_documents_total", "sink", sink, "outcome", "indexed")); got != expected {
			t.Errorf("sink %s: %d documents are counted as indexed, expected %d", sink, got, expected)
		}
	}
}

// checkTypes asks Elasticsearch for the types of fields, and proves them with
// queries that only answer right on the right type.
func checkTypes(f *feed, es *elastic, documents map[string][]byte) {
	t := f.t
	t.Helper()
	types := es.fieldTypes(f)
	for field, want := range map[string]string{
		"@timestamp": "date", "event.created": "date", "event.start": "date",
		"event.id": "keyword", "event.action": "keyword", "event.category": "keyword", "event.severity": "long", "event.risk_score": "float",
		"agent.id": "keyword", "agent.version": "keyword", "host.name": "keyword", "host.ip": "ip", "observer.ip": "ip", "message": "text",
		"edr.resource.cpu_pct": "float", "edr.resource.memory_bytes": "long", "edr.feed.delay_seconds": "float", "edr.isolated": "boolean",
		"edr.rules": "keyword", "edr.alert.hosts": "keyword", "edr.alert.count": "long", "edr.alert.evidence": "flattened",
		"crowdstrike": "flattened", "winlog": "flattened", "metricbeat": "flattened", "unmapped": "flattened",
	} {
		if got := types[field]; len(got) != 1 || got[0] != want {
			t.Errorf("field %s has type %v, expected %s", field, got, want)
		}
	}
	var parsed []map[string]any
	for _, doc := range documents {
		var d map[string]any
		decoder := json.NewDecoder(bytes.NewReader(doc))
		decoder.UseNumber() // Some vendor fields hold numbers that no float64 can.
		if err := decoder.Decode(&d); err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, d)
	}
	number := func(field string, holds func(float64) bool) func(map[string]any) bool {
		return func(d map[string]any) bool {
			text, _ := at(d, field).(json.Number)
			n, err := text.Float64()
			return err == nil && holds(n)
		}
	}
	text := func(field string, holds func(string) bool) func(map[string]any) bool {
		return func(d map[string]any) bool { return slices.ContainsFunc(texts(at(d, field)), holds) }
	}
	for _, check := range []struct {
		name, query string
		holds       func(map[string]any) bool
	}{
		{"date", `{"range":{"@timestamp":{"lt":"2024-07-19T04:09:00Z"}}}`,
			text("@timestamp", func(s string) bool { return s < "2024-07-19T04:09:00" })},
		{"float", `{"range":{"edr.resource.cpu_pct":{"gte":50.5}}}`, number("edr.resource.cpu_pct", func(n float64) bool { return n >= 50.5 })},
		{"long", `{"range":{"edr.resource.memory_bytes":{"gte":500000000}}}`,
			number("edr.resource.memory_bytes", func(n float64) bool { return n >= 5e8 })},
		{"ip", `{"term":{"observer.ip":"198.18.5.0/24"}}`, text("observer.ip", func(s string) bool { return strings.HasPrefix(s, "198.18.5.") })},
		{"boolean", `{"term":{"edr.isolated":false}}`, func(d map[string]any) bool { return at(d, "edr.isolated") == false }},
		{"keyword", `{"term":{"event.action":"sensor-heartbeat"}}`, text("event.action", func(s string) bool { return s == "sensor-heartbeat" })},
		{"keyword array", `{"prefix":{"edr.alert.hosts":"fra"}}`, text("edr.alert.hosts", func(s string) bool { return strings.HasPrefix(s, "fra") })},
		{"enrichment", `{"exists":{"field":"edr.rules"}}`, text("edr.rules", func(string) bool { return true })},
		{"flattened", `{"term":{"crowdstrike.NetworkContainmentState":"0"}}`,
			text("crowdstrike.NetworkContainmentState", func(s string) bool { return s == "0" })},
	} {
		want := 0
		for _, d := range parsed {
			if check.holds(d) {
				want++
			}
		}
		if got := es.count(f, check.query); got != want || want == 0 {
			t.Errorf("%s: %s finds %d documents, expected %d (and more than none)", check.name, check.query, got, want)
		}
	}
}

// at returns what stands at a path of keys; nil when nothing does.
func at(d map[string]any, path string) any {
	key, rest, nested := strings.Cut(path, ".")
	if !nested {
		return d[key]
	}
	below, ok := d[key].(map[string]any)
	if !ok {
		return nil
	}
	return at(below, rest)
}

// texts returns a string, or the strings of an array.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, element := range v {
			all = append(all, texts(element)...)
		}
		return all
	}
	return nil
}
