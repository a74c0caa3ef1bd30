package elasticsearch

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

var began = time.Date(2024, 7, 19, 4, 9, 0, 0, time.UTC)

// alertDocument is one document of an alert; only while it fires it says why.
func alertDocument(alert, status string, after time.Duration, count int64) *event.Document {
	at := began.Add(after)
	detail := `"hosts":["a","b"],"evidence":{"type":"threshold","condition":"x > 1","value":5}`
	if status == "resolved" {
		detail = `"evidence":{"type":"threshold","value":20}`
	}
	id := fmt.Sprintf("%s-%s-%d", alert, status, count)
	body := fmt.Sprintf(`{"@timestamp":%q,"event":{"id":%q},"edr":{"alert":{"id":%q,"status":%q,"severity":"high","count":%d,%s}}}`,
		at.Format(time.RFC3339Nano), id, alert, status, count, detail)
	return &event.Document{ID: id, Stream: event.Alerts, Time: at.UnixNano(), Body: []byte(body), Latest: event.Latest{ID: alert, Version: event.AlertVersion(status, at.UnixNano(), count)}}
}

// lifeOf are the documents of an alert from firing to resolved.
func lifeOf(alert string) []*event.Document {
	return []*event.Document{
		alertDocument(alert, "firing", 0, 1), alertDocument(alert, "firing", 0, 4), alertDocument(alert, "firing", time.Minute, 9),
		alertDocument(alert, "resolved", time.Hour, 9),
	}
}

// checkResolved holds that the newest state says resolved and why it fired.
func checkResolved(t *testing.T, f *fake, alert string) {
	t.Helper()
	doc, _ := f.state("edr-alerts-latest-default", alert)
	got := fmt.Sprint(doc["edr"])
	for _, want := range []string{"status:resolved", "condition:x > 1", "value:20", "hosts:[a b]", "severity:high"} {
		if !strings.Contains(got, want) {
			t.Errorf("alert %s: %s, want %s", alert, got, want)
		}
	}
}

// TestLatestAlertKeepsItsEvidence: in one Write, one after the other, by a gateway
// that was restarted in between, and sent again.
func TestLatestAlertKeepsItsEvidence(t *testing.T) {
	f := newFake(t)
	writeAll(t, f.open(nil), lifeOf("together"), event.Indexed)
	checkResolved(t, f, "together")
	for _, d := range lifeOf("apart") {
		writeAll(t, f.open(nil), []*event.Document{d}, event.Indexed)
		if doc, _ := f.state("edr-alerts-latest-default", "apart"); !strings.Contains(fmt.Sprint(doc), strings.Split(d.ID, "-")[1]) {
			t.Errorf("after %s: %v", d.ID, doc)
		}
	}
	checkResolved(t, f, "apart")
	_, writes := f.state("edr-alerts-latest-default", "apart")
	for _, d := range append(lifeOf("apart"), lifeOf("together")...) {
		writeAll(t, f.open(nil), []*event.Document{d}, event.Duplicate)
	}
	checkResolved(t, f, "apart")
	if _, again := f.state("edr-alerts-latest-default", "apart"); again != writes {
		t.Errorf("%d writes of the state after everything came again, want %d", again, writes)
	}
}

func writeAll(t *testing.T, s *Sink, docs []*event.Document, want event.Outcome) {
	t.Helper()
	results := make([]event.Result, len(docs))
	if err := s.Write(t.Context(), docs, results); err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Outcome != want {
			t.Errorf("document %s is %v (%v), want %v", docs[i].ID, r.Outcome, r.Err, want)
		}
	}
}

// TestNewestStateWins in whatever order, how often and in what parts documents
// come: an older status never replaces a newer one.
func TestNewestStateWins(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		f := newFake(t)
		s := f.open(nil)
		docs := append(lifeOf("x"), lifeOf("x")...)
		for i := range 6 {
			at := began.Add(time.Duration(i%3) * time.Minute)
			docs = append(docs, &event.Document{ID: fmt.Sprint("agent-", i), Stream: event.Metrics, Body: fmt.Appendf(nil, `{"edr":{"presence":"p%d"}}`, i%3), Latest: event.Latest{ID: "agent", Version: at.UnixNano()}})
		}
		random.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
		for len(docs) > 0 {
			n := 1 + random.IntN(len(docs))
			if err := s.Write(t.Context(), docs[:n], make([]event.Result, n)); err != nil {
				t.Fatal(err)
			}
			docs = docs[n:]
		}
		doc, _ := f.state("edr-alerts-latest-default", "x")
		if agent, _ := f.state("edr-agents-latest-default", "agent"); !strings.Contains(fmt.Sprint(doc), "status:resolved") || !strings.Contains(fmt.Sprint(agent), "p2") {
			t.Fatalf("seed %d: the alert is %v, the agent %v", seed, doc, agent)
		}
	}
}

// TestStateIsPartOfTheOutcome: a document is done when its state is written, too;
// what fails there decides, and comes again without a second history.
func TestStateIsPartOfTheOutcome(t *testing.T) {
	for name, test := range map[string]struct {
		status    int
		body      string
		outcome   event.Outcome
		class     fault.Class
		afterward event.Outcome
	}{
		"index missing": {http.StatusOK, `{"errors":true,"items":[{"index":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index"}}}]}`, event.Pending, fault.Operator, event.Duplicate},
		"right missing": {http.StatusOK, `{"errors":true,"items":[{"index":{"status":403,"error":{"type":"security_exception","reason":"action is unauthorized"}}}]}`, event.Pending, fault.Operator, event.Duplicate},
		"busy":          {http.StatusTooManyRequests, `{}`, event.Pending, fault.Transient, event.Duplicate},
		"cut off":       {http.StatusOK, `{"errors":fal`, event.Pending, fault.Transient, event.Duplicate},
		"does not fit":  {http.StatusOK, `{"errors":true,"items":[{"index":{"status":400,"error":{"type":"document_parsing_exception","reason":"failed to parse"}}}]}`, event.Refused, 0, event.Duplicate},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			s := f.open(nil)
			f.script(nil, func(w http.ResponseWriter, r *http.Request, _ []string) bool {
				if r.URL.Query().Get("require_alias") == "" {
					return false
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
				return true
			})
			docs, results := lifeOf("x")[:1], make([]event.Result, 1)
			err := s.Write(t.Context(), docs, results)
			if results[0].Outcome != test.outcome || test.outcome == event.Pending && (fault.Of(err) == nil || fault.Of(err).Class != test.class) {
				t.Errorf("the document is %v, Write returned %v", results[0].Outcome, err)
			}
			f.script(nil, nil)
			writeAll(t, s, docs, test.afterward)
			if doc, _ := f.state("edr-alerts-latest-default", "x"); doc == nil || len(f.Contents()) != 1 {
				t.Errorf("the state is %v, the history has %d documents", doc, len(f.Contents()))
			}
		})
	}
}

// TestStateWaitsForWhatWasSaid: while it cannot be asked what an alert said, its
// resolution is pending, so that the evidence is not lost.
func TestStateWaitsForWhatWasSaid(t *testing.T) {
	f := newFake(t)
	s := f.open(nil)
	life := lifeOf("x")
	writeAll(t, s, life[:3], event.Indexed)
	f.script(nil, func(w http.ResponseWriter, r *http.Request, _ []string) bool {
		if strings.Contains(r.URL.RawQuery, "get._source") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	results := make([]event.Result, 1)
	if err := s.Write(t.Context(), life[3:], results); err == nil || results[0].Outcome != event.Pending {
		t.Errorf("the resolution is %v, %v", results[0].Outcome, err)
	}
	f.script(nil, nil)
	writeAll(t, s, life[3:], event.Duplicate)
	checkResolved(t, f, "x")
}
