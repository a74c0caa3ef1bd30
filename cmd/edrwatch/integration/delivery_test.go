//go:build integration && linux

package integration

import (
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
	g := start(t, f.text(configuration{hec: hec, kafka: fmt.Sprintf(`brokers: [%s]
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
