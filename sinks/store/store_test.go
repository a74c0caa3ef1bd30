package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// second and start make readable times: start is 2024-07-19T04:00:00Z.
const (
	second = int64(1e9)
	start  = 1721361600 * second
)

func open(tb testing.TB, change func(*Config, *Settings)) *Store {
	tb.Helper()
	cfg, set := DefaultConfig(), Settings{VendorRoots: []string{"crowdstrike"}}
	cfg.Path = filepath.Join(tb.TempDir(), "events.db")
	if change != nil {
		change(&cfg, &set)
	}
	s, err := New(cfg, set)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// doc makes a telemetry document; body is its JSON without the outer braces.
func doc(id string, at int64, action, host, agent, body string) *event.Document {
	return &event.Document{ID: id, Time: at, Action: action, Host: host, AgentID: agent, Body: []byte("{" + body + "}")}
}

// alert makes a document of an alert's episode.
func alert(id, episode string, at int64, status, severity, kind, host string) *event.Document {
	d := doc(id, at, "alert", host, "", fmt.Sprintf(
		`"message":"%s on %s","host":{"name":%q},"edr":{"alert":{"id":%q,"status":%q,"severity":%q,"kind":%q,"hosts":[%q,"other-host"]}}`,
		kind, host, host, episode, status, severity, kind, host))
	d.Stream, d.Severity, d.AlertKind, d.Rules = event.Alerts, severity, kind, []string{"rule-" + kind}
	return d
}

func write(tb testing.TB, s *Store, docs ...*event.Document) []event.Result {
	tb.Helper()
	results := make([]event.Result, len(docs))
	if err := s.Write(tb.Context(), docs, results); err != nil {
		tb.Fatal(err)
	}
	return results
}

func ids(docs []Doc) string {
	var list []string
	for _, d := range docs {
		list = append(list, d.ID)
	}
	return strings.Join(list, " ")
}

func TestWriteOutcomes(t *testing.T) {
	s := open(t, nil)
	first := doc("1", start, "other", "a", "", `"message":"x"`)
	results := write(t, s, first, doc("2", start, "other", "a", "", ""), first, doc("3", start, "other", "a", "", `"broken":`))
	for i, want := range []event.Outcome{event.Indexed, event.Indexed, event.Duplicate, event.Refused} {
		if results[i].Outcome != want {
			t.Errorf("document %d: %v, want %v", i, results[i].Outcome, want)
		}
	}
	if e := fault.Of(results[3].Err); e.Class != fault.Permanent || e.Reason != fault.Rejected {
		t.Errorf("refused for %v", e)
	}
	if again := write(t, s, first); again[0].Outcome != event.Duplicate {
		t.Errorf("written again: %v", again[0].Outcome)
	}
}

func TestRefusesOversizedDocument(t *testing.T) {
	s := open(t, func(c *Config, _ *Settings) { c.MaxBytes = smallest })
	big := doc("big", start, "other", "a", "", `"message":"`+strings.Repeat("x", smallest/16)+`"`)
	results := write(t, s, big, doc("small", start, "other", "a", "", ""))
	if e := fault.Of(results[0].Err); results[0].Outcome != event.Refused || e.Reason != fault.TooLarge {
		t.Errorf("oversized: %+v", results[0])
	}
	if results[1].Outcome != event.Indexed {
		t.Errorf("its neighbour: %v", results[1].Outcome)
	}
}

// TestDeepDocumentSpoilsNoSearch stores what the database's JSON functions
// cannot read, or almost cannot.
func TestDeepDocumentSpoilsNoSearch(t *testing.T) {
	s := open(t, nil)
	nested := func(levels int) string {
		return `"message":"needle \"[[[","labels":` + strings.Repeat("[", levels) + strings.Repeat("]", levels)
	}
	wide := `"labels":[` + strings.Repeat(`[],`, 2000) + `"needle"]`
	results := write(t, s, doc("deep", start, "other", "a", "", nested(maxDepth)), doc("limit", start, "other", "a", "", nested(maxDepth-1)), doc("wide", start, "other", "a", "", wide))
	for i, want := range []event.Outcome{event.Refused, event.Indexed, event.Indexed} {
		if results[i].Outcome != want {
			t.Errorf("document %d: %v %v, want %v", i, results[i].Outcome, results[i].Err, want)
		}
	}
	for _, text := range []string{"needle", "host.name:x", "NOT host.os.type:x"} {
		if _, err := s.Search(t.Context(), Query{Text: text}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if page, err := s.Search(t.Context(), Query{Text: "needle"}); err != nil || ids(page.Docs) != "wide limit" {
		t.Errorf("found %q, %v", ids(page.Docs), err)
	}
}

func TestCancelledWriteStoresNothing(t *testing.T) {
	s := open(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results := make([]event.Result, 1)
	err := s.Write(ctx, []*event.Document{doc("1", start, "other", "a", "", "")}, results)
	if !errors.Is(err, context.Canceled) || results[0].Outcome != event.Pending {
		t.Fatalf("err %v, outcome %v", err, results[0].Outcome)
	}
	if n, _, err := s.Count(t.Context(), Query{}); n != 0 || err != nil {
		t.Errorf("%d documents, %v", n, err)
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "er", "events.db")
	at := func(c *Config, _ *Settings) { c.Path = path }
	s := open(t, at)
	write(t, s, doc("1", start, "sensor-heartbeat", "pc-1", "a1", `"agent":{"type":"x"}`), alert("2", "ep", start, "firing", "high", "tamper", "pc-1"))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
	s = open(t, at)
	st, err := s.Stats(t.Context())
	if err != nil || st.Documents["telemetry"] != 1 || st.Documents["alerts"] != 1 || st.Oldest != start || st.Newest != start {
		t.Errorf("stats %+v, %v", st, err)
	}
	if got := write(t, s, doc("1", start, "sensor-heartbeat", "pc-1", "a1", "")); got[0].Outcome != event.Duplicate {
		t.Errorf("after reopening: %v", got[0].Outcome)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"a damaged file", func(c *Config) { c.Path = garbage }, "file is not a database"},
		{"a directory", func(c *Config) { c.Path = dir }, "is a directory"},
		{"no path", func(c *Config) { c.Path = "" }, "path: expected the name of the database file"},
		{"a tiny size", func(c *Config) { c.Path = filepath.Join(dir, "x"); c.MaxBytes = 5 }, "max_bytes: expected at least 4MiB, found 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := DefaultConfig()
			tc.change(&cfg)
			s, err := New(cfg, Settings{})
			if err == nil {
				t.Fatal(errors.Join(errors.New("opened"), s.Close()))
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestEvictsOldestEventsAndKeepsAlerts(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := open(t, func(c *Config, set *Settings) { c.MaxBytes = smallest; set.Metrics = registry })
	write(t, s, alert("alert", "ep", start, "firing", "high", "tamper", "pc-1"))
	filler := strings.Repeat("x", 800)
	written := int64(1)
	for batch := range 20 {
		var docs []*event.Document
		for i := range 500 {
			n := int64(batch*500 + i)
			docs = append(docs, doc(fmt.Sprint("e", n), start+n*second, "other", "pc-1", "a1", `"message":"`+filler+`"`))
		}
		write(t, s, docs...)
		written += int64(len(docs))
	}
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Evicted == 0 || st.Documents["telemetry"]+st.Documents["alerts"]+st.Evicted != written {
		t.Errorf("%d written, %+v", written, st)
	}
	if slack := int64(1 << 20); st.Bytes > int64(smallest)+slack {
		t.Errorf("%d bytes in use of %d", st.Bytes, smallest)
	}
	if _, err := s.Document(t.Context(), "alert"); err != nil {
		t.Errorf("the alert, older than all events: %v", err)
	}
	if _, err := s.Document(t.Context(), "e9999"); err != nil {
		t.Errorf("the newest event: %v", err)
	}
	if _, err := s.Document(t.Context(), "e0"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the oldest event: %v", err)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(fmt.Sprintf(`
# HELP edrwatch_store_evicted_total Documents that the embedded store evicted to stay within its size, since its file was created.
# TYPE edrwatch_store_evicted_total counter
edrwatch_store_evicted_total{sink="store"} %d
`, st.Evicted)), "edrwatch_store_evicted_total"); err != nil {
		t.Error(err)
	}
}

func TestEvictsAlertsLast(t *testing.T) {
	s := open(t, func(c *Config, _ *Settings) { c.MaxBytes = smallest })
	for batch := range 20 {
		var docs []*event.Document
		for i := range 500 {
			n := batch*500 + i
			docs = append(docs, alert(fmt.Sprint("d", n), fmt.Sprint("ep", n), start+int64(n)*second, "firing", "high", "tamper", strings.Repeat("h", 200)))
		}
		write(t, s, docs...)
	}
	st, err := s.Stats(t.Context())
	if err != nil || st.Evicted == 0 {
		t.Fatalf("%+v, %v", st, err)
	}
	page, err := s.Alerts(t.Context(), Query{Limit: 1})
	if err != nil || int64(page.Total) != st.Documents["alerts"] {
		t.Errorf("%d episodes for %d alert documents, %v", page.Total, st.Documents["alerts"], err)
	}
}

func TestObserveSeesNewDocumentsOnce(t *testing.T) {
	var seen []string
	s := open(t, func(_ *Config, set *Settings) {
		set.Observe = func(docs []*event.Document) {
			for _, d := range docs {
				seen = append(seen, d.ID)
			}
		}
	})
	a, b := doc("1", start, "other", "a", "", ""), doc("2", start, "other", "a", "", "")
	write(t, s, a)
	write(t, s, a, b, doc("3", start, "other", "a", "", `x`))
	if !slices.Equal(seen, []string{"1", "2"}) {
		t.Errorf("observed %v", seen)
	}
}

func TestReadersRunBesideTheWriter(t *testing.T) {
	s := open(t, nil)
	done := make(chan error, 3)
	for r := range 3 {
		go func() {
			for range 30 {
				page, err := s.Search(context.WithoutCancel(t.Context()), Query{Text: "message:hello", Limit: 10})
				if err == nil && page.Total%50 != 0 {
					err = fmt.Errorf("reader %d saw %d documents: half a batch", r, page.Total)
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for batch := range 30 {
		var docs []*event.Document
		for i := range 50 {
			docs = append(docs, doc(fmt.Sprintf("%d-%d", batch, i), start, "other", "a", "", `"message":"hello"`))
		}
		write(t, s, docs...)
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestCheckNeedsAWritableFile(t *testing.T) {
	s := open(t, nil)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
