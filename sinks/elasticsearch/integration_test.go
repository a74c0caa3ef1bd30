//go:build integration

package elasticsearch

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/deploy/testbed"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

// TestRealElasticsearch goes the way of an administrator and then of the
// gateway against a real node with TLS and API keys.
func TestRealElasticsearch(t *testing.T) {
	node := testbed.Elasticsearch(t, testbed.ESSecurity())
	dict, err := ecs.New(ecs.Field{Name: "crowdstrike.ConfigBuild", Type: "keyword"})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("set up", func(t *testing.T) { testSetup(t, node, dict) })
	t.Run("set up with ILM", func(t *testing.T) {
		cfg := realConfig(t, node, "setup-api-key.json")
		cfg.Templates.RetainedBy = ByILM
		apply(t, cfg, dict)
		if status, body := node.Do(t, http.MethodGet, "/_ilm/policy/edrwatch-alerts", ""); status != http.StatusOK || !bytes.Contains(body, []byte("365d")) {
			t.Errorf("the ILM policy: %d %s", status, body)
		}
		cfg.Templates.RetainedBy = ByLifecycle
		apply(t, cfg, dict)
	})
	gateway := realSink(t, realConfig(t, node, "gateway-api-key.json"))
	t.Run("check", func(t *testing.T) {
		if err := gateway.Check(t.Context()); err != nil {
			t.Errorf("with the gateway's key: %v", err)
		}
	})
	t.Run("types of all fields", func(t *testing.T) { testFieldTypes(t, node, gateway, dict) })
	t.Run("latest states", func(t *testing.T) { testLatest(t, node, gateway, dict) })
	t.Run("refused documents", func(t *testing.T) { testRefusedByRealNode(t, gateway) })
	t.Run("20,000 documents twice", func(t *testing.T) { testVolume(t, node, gateway) })
	t.Run("wrong credentials", func(t *testing.T) { testCredentials(t, node) })
}

func realConfig(t *testing.T, node *testbed.ESServer, key string) Config {
	cfg := DefaultConfig()
	cfg.URLs = []string{node.URL()}
	cfg.TLS.CAFile = node.Security().CAFile
	cfg.RequestDocuments = 500
	cfg.APIKey = createKey(t, node, string(APIKeys()[key]))
	return cfg
}

func createKey(t *testing.T, node *testbed.ESServer, body string) secret.String {
	t.Helper()
	status, answer := node.Do(t, http.MethodPost, "/_security/api_key", body)
	if status != http.StatusOK {
		t.Fatalf("creating an API key: %d %s", status, answer)
	}
	var created struct{ Encoded string }
	if err := json.Unmarshal(answer, &created); err != nil {
		t.Fatal(err)
	}
	return secret.New(created.Encoded)
}

func realSink(t *testing.T, cfg Config) *Sink {
	s, err := New(cfg, Settings{Name: "es", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func apply(t *testing.T, cfg Config, dict *ecs.Dictionary) map[Change]int {
	s, err := NewSetup(cfg, dict, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	applied, err := s.Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changes := map[Change]int{}
	for _, a := range applied {
		changes[a.Change]++
	}
	return changes
}

func testSetup(t *testing.T, node *testbed.ESServer, dict *ecs.Dictionary) {
	gateway := realSink(t, realConfig(t, node, "gateway-api-key.json"))
	results, err := write(t, gateway, 4)
	if f := fault.Of(err); f == nil || f.Class != fault.Operator || !strings.Contains(f.Hint, "setup") || results[0].Outcome != event.Pending {
		t.Errorf("writing before set-up: %v, want an operator's fault that names the set-up", err)
	}
	cfg := realConfig(t, node, "setup-api-key.json")
	if got := apply(t, cfg, dict); got[Created] != 10 {
		t.Errorf("the first set-up: %v, want 10 created", got)
	}
	if got := apply(t, cfg, dict); got[Unchanged] != 10 {
		t.Errorf("the second set-up: %v, want 10 unchanged", got)
	}
}

// testFieldTypes writes every field of the dictionary once and compares what
// the node made of it with what the dictionary says.
func testFieldTypes(t *testing.T, node *testbed.ESServer, s *Sink, dict *ecs.Dictionary) {
	const perDocument = 60
	want := map[string]string{}
	var docs []*event.Document
	e := event.New(dict)
	flush := func() {
		id := fmt.Sprintf("types-%d", len(docs))
		e.Set(ecs.Timestamp, event.Time(1721361600000000000))
		e.SetString(ecs.EventID, id)
		docs = append(docs, &event.Document{ID: id, Body: e.AppendJSON(nil)})
		e.Reset()
	}
	n := 0
	for id := range dict.Len() {
		f := dict.Field(ecs.ID(id))
		if !dict.Layout().Place(ecs.ID(id)).Leaf || f.Custom || strings.HasPrefix(f.Name, "data_stream.") {
			continue
		}
		e.Set(ecs.ID(id), sample(f))
		want[f.Name] = seenAs(f)
		if n++; n%perDocument == 0 {
			flush()
		}
	}
	flush()
	vendor := []byte(`{"@timestamp":"2024-07-19T04:00:00Z","crowdstrike":{"ConfigBuild":"1007.3","n":1,"deep":{"er":[1,"a"]}},"newvendor":{"a":{"b":1},"c":"d"}}`)
	docs = append(docs, &event.Document{ID: "types-vendor", Body: vendor})
	want["crowdstrike"], want["newvendor"] = "flattened", "flattened"

	results := make([]event.Result, len(docs))
	if err := s.Write(t.Context(), docs, results); err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Outcome != event.Indexed {
			t.Errorf("document %s: %v %v\n%s", docs[i].ID, r.Outcome, r.Err, docs[i].Body)
		}
	}
	node.Do(t, http.MethodPost, "/logs-edr.telemetry-default/_refresh", "")
	status, body := node.Do(t, http.MethodGet, "/logs-edr.telemetry-default/_field_caps?fields=*", "")
	var caps struct {
		Fields map[string]map[string]any `json:"fields"`
	}
	if err := json.Unmarshal(body, &caps); err != nil || status != http.StatusOK {
		t.Fatalf("field_caps: %d %v", status, err)
	}
	wrong := 0
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, ok := caps.Fields[name][want[name]]; !ok {
			if wrong++; wrong < 20 {
				t.Errorf("field %s: types %v, want %s", name, slices.Collect(maps.Keys(caps.Fields[name])), want[name])
			}
		}
	}
	t.Logf("%d fields compared, %d wrong", len(want), wrong)
	status, body = node.Do(t, http.MethodGet, "/logs-edr.telemetry-default/_count?q=crowdstrike.deep.er:a", "")
	if status != http.StatusOK || !bytes.Contains(body, []byte(`"count":1`)) {
		t.Errorf("searching below a vendor's root: %d %s", status, body)
	}
}

// sample returns a value that only the field's own type takes well.
func sample(f *ecs.Field) event.Value {
	switch f.Kind {
	case ecs.Int:
		return event.Int(1 << 20)
	case ecs.Float:
		return event.Float(3) // written "3": the type must not follow from it
	case ecs.Bool:
		return event.Bool(true)
	case ecs.Time:
		return event.Time(1721361600000000000)
	case ecs.JSON:
		if f.Type == "geo_point" {
			return event.JSON(`{"lat":52.5,"lon":13.4}`)
		}
		return event.JSON(`{"k":"v"}`)
	}
	if f.Type == "ip" {
		return event.String("2001:db8::1")
	}
	return event.String("text")
}

// seenAs is the type that the test node shows for a field; its plugin stands
// in for types that the node lacks (deploy/testbed/README.md).
func seenAs(f *ecs.Field) string {
	switch f.Type {
	case "constant_keyword", "wildcard", "version":
		return "keyword"
	case "match_only_text":
		return "text"
	case "scaled_float", "unsigned_long":
		return "double"
	case "object":
		return "flattened"
	}
	return f.Type
}

func testRefusedByRealNode(t *testing.T, s *Sink) {
	docs := sinktest.Documents("refused", 3, 10)
	docs[1].Body = []byte(`{"@timestamp":"2024-07-19T04:00:00Z","host":{"ip":"not an address"}}`)
	results := make([]event.Result, 3)
	if err := s.Write(t.Context(), docs, results); err != nil {
		t.Fatal(err)
	}
	if results[0].Outcome != event.Indexed || results[2].Outcome != event.Indexed {
		t.Errorf("the neighbours are %v and %v, want indexed", results[0].Outcome, results[2].Outcome)
	}
	// The failure store is in a module that the test node lacks: there the
	// document would be quarantined.
	bad := results[1]
	if bad.Outcome != event.Quarantined && (bad.Outcome != event.Refused || fault.Of(bad.Err).Reason != fault.MappingRejected) {
		t.Errorf("a document that does not fit: %v (%v), want refused for its mapping, or quarantined", bad.Outcome, bad.Err)
	}
}

func testVolume(t *testing.T, node *testbed.ESServer, s *Sink) {
	const writers, each = 4, 5000
	for _, want := range []event.Outcome{event.Indexed, event.Duplicate} {
		var group sync.WaitGroup
		var count atomic.Int64
		started := time.Now()
		for w := range writers {
			group.Go(func() {
				docs := sinktest.Documents(fmt.Sprintf("volume%d", w), each, 300)
				results := make([]event.Result, each)
				if err := s.Write(t.Context(), docs, results); err != nil {
					t.Error(err)
				}
				for _, r := range results {
					if r.Outcome == want {
						count.Add(1)
					}
				}
			})
		}
		group.Wait()
		if got := count.Load(); got != writers*each {
			t.Errorf("%d documents are %v, want %d", got, want, writers*each)
		}
		t.Logf("%d documents %v: %.0f/s (4 writers, requests of 500 documents, gzip, TLS)", writers*each, want, writers*each/time.Since(started).Seconds())
	}
	node.Do(t, http.MethodPost, "/logs-edr.*,metrics-edr.*/_refresh", "")
	status, body := node.Do(t, http.MethodGet, "/logs-edr.*,metrics-edr.*/_count?q=event.id:volume*", "")
	if !bytes.Contains(body, fmt.Appendf(nil, `"count":%d,`, writers*each)) {
		t.Errorf("the node counts %d %s, want %d documents", status, body, writers*each)
	}
}

func testCredentials(t *testing.T, node *testbed.ESServer) {
	cfg := realConfig(t, node, "gateway-api-key.json")
	good := cfg.APIKey
	cfg.APIKey = secret.New(base64.StdEncoding.EncodeToString([]byte("nobody:canary")))
	s := realSink(t, cfg)
	for what, err := range map[string]error{"Check": s.Check(t.Context()), "Write": second(write(t, s, 2))} {
		if f := fault.Of(err); f == nil || f.Reason != fault.Unauthorized || f.Hint == "" || strings.Contains(f.Error(), "canary") {
			t.Errorf("%s with a wrong key: %v", what, err)
		}
	}
	narrow := `{"name":"narrow","role_descriptors":{"r":{"cluster":["monitor"],"indices":[{"names":["logs-edr.telemetry-*"],"privileges":["create_doc","auto_configure"]}]}}}`
	cfg.APIKey = createKey(t, node, narrow)
	s = realSink(t, cfg)
	for what, err := range map[string]error{"Check": s.Check(t.Context()), "Write": second(write(t, s, 4))} {
		if f := fault.Of(err); f == nil || f.Reason != fault.Unauthorized || !strings.Contains(f.Error(), "create_doc") {
			t.Errorf("%s with a key for telemetry only: %v", what, err)
		}
	}
	cfg.APIKey = good
	cfg.TLS.CAFile = ""
	if err := realSink(t, cfg).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority's certificate: %v", err)
	}
}

func second(_ []event.Result, err error) error { return err }
