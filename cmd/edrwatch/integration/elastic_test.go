//go:build integration && linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/deploy/testbed"
	"github.com/edrwatch/edrwatch/sinks/elasticsearch"
)

// elastic is the shared Elasticsearch, with TLS and security, set up by
// `edrwatch setup elasticsearch` with the set-up's API key. Gateways use the
// gateway's API key, which may create documents and nothing else.
type elastic struct {
	*testbed.ESServer
	keyFile string // holds the gateway's API key
}

func (b *bench) elasticsearch(t testing.TB) *elastic {
	t.Helper()
	server := b.servers.Elasticsearch(t, testbed.ESSecurity())
	if b.elastic == nil {
		e := &elastic{server, filepath.Join(b.dir, "gateway-api-key")}
		e.install(t)
		e.createKey(t, "gateway-api-key.json", e.keyFile)
		b.elastic = e
	}
	return b.elastic
}

// createKey makes an API key of those in deploy/elasticsearch.
func (e *elastic) createKey(t testing.TB, body, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "elasticsearch", body))
	if err != nil {
		t.Fatal(err)
	}
	status, answer := e.Do(t, http.MethodPost, "/_security/api_key", string(text))
	var key struct{ Encoded string }
	if err := json.Unmarshal(answer, &key); err != nil || key.Encoded == "" {
		t.Fatalf("creating an API key: status %d: %s", status, answer)
	}
	if err := os.WriteFile(file, []byte(key.Encoded+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// install runs the set-up command, twice: it can be repeated.
func (e *elastic) install(t testing.TB) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "setup-api-key")
	e.createKey(t, "setup-api-key.json", key)
	file := writeConfig(t, "version: 1\nsources: [{name: in, type: file, paths: [\"-\"]}]\nsinks:\n"+
		e.sink("default", key)+"dead_letter: {type: file}\n")
	for _, want := range []string{"created", "unchanged"} {
		out, err := exec.Command(shared.binary, "setup", "elasticsearch", "--config", file).CombinedOutput()
		if err != nil || strings.Count(string(out), want) < 6 {
			t.Fatalf("setting up Elasticsearch: %v, expected at least 6 assets to be %s:\n%s", err, want, out)
		}
	}
}

// prepare makes the indices of latest states of a namespace, as the set-up does
// for the one that is configured.
func (e *elastic) prepare(t testing.TB, namespace string) {
	t.Helper()
	for _, name := range []string{elasticsearch.LatestAgents, elasticsearch.LatestAlerts} {
		alias := name + "-" + namespace
		status, answer := e.Do(t, http.MethodPut, "/"+alias+"-1", fmt.Sprintf(`{"aliases":{%q:{"is_write_index":true}}}`, alias))
		if status != http.StatusOK && !strings.Contains(string(answer), "resource_already_exists_exception") {
			t.Fatalf("making %s: status %d: %s", alias, status, answer)
		}
	}
}

// sink is the sink's entry in a configuration.
func (e *elastic) sink(namespace, keyFile string) string {
	return fmt.Sprintf(`  - name: elastic
    type: elasticsearch
    urls: [%q]
    namespace: %s
    api_key: ${file:%s}
    tls: {ca_file: %q}
`, e.URL(), namespace, keyFile, e.Security().CAFile)
}

// streams are a feed's data streams, as in a request's path.
func (f *feed) streams() string {
	return "logs-edr.telemetry-" + f.name + ",metrics-edr.agent-" + f.name + ",logs-edr.alerts-" + f.name
}

// hit is a document as Elasticsearch has it.
type hit struct {
	ID     string          `json:"_id"`
	Index  string          `json:"_index"`
	Source json.RawMessage `json:"_source"`
}

// documents reads every document of a feed. It fails when an id is there twice.
func (e *elastic) documents(f *feed) map[string]hit {
	t := f.t
	t.Helper()
	e.query(t, http.MethodPost, "/"+f.streams()+"/_refresh?ignore_unavailable=true", "", nil)
	docs := map[string]hit{}
	type page struct {
		ScrollID string `json:"_scroll_id"`
		Hits     struct{ Hits []hit }
	}
	var p page
	e.query(t, http.MethodPost, "/"+f.streams()+"/_search?scroll=1m&ignore_unavailable=true", `{"size":5000,"sort":["_doc"]}`, &p)
	for len(p.Hits.Hits) > 0 {
		for _, h := range p.Hits.Hits {
			if before, twice := docs[h.ID]; twice {
				t.Errorf("document %s is in %s and in %s", h.ID, before.Index, h.Index)
			}
			docs[h.ID] = h
		}
		id := p.ScrollID
		p = page{}
		e.query(t, http.MethodPost, "/_search/scroll", fmt.Sprintf(`{"scroll":"1m","scroll_id":%q}`, id), &p)
	}
	return docs
}

// count returns how many documents of a feed match a query.
func (e *elastic) count(f *feed, query string) int {
	f.t.Helper()
	var answer struct{ Count int }
	e.query(f.t, http.MethodPost, "/"+f.streams()+"/_count", `{"query":`+query+`}`, &answer)
	return answer.Count
}

// query sends a request that must succeed and decodes the answer.
func (e *elastic) query(t testing.TB, method, path, body string, into any) {
	t.Helper()
	status, answer := e.Do(t, method, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: status %d: %.2000s", method, path, status, answer)
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(bytes.NewReader(answer)).Decode(into); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// fieldTypes returns the types of fields in a feed's data streams.
func (e *elastic) fieldTypes(f *feed) map[string][]string {
	f.t.Helper()
	var answer struct {
		Fields map[string]map[string]struct{}
	}
	e.query(f.t, http.MethodGet, "/"+f.streams()+"/_field_caps?fields=*", "", &answer)
	types := map[string][]string{}
	for name, byType := range answer.Fields {
		for typ := range byType {
			types[name] = append(types[name], typ)
		}
	}
	return types
}
