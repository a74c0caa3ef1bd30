//go:build integration && unix

package testbed_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

func TestElasticsearchPlugin(t *testing.T) {
	es := shared.Elasticsearch(t)
	steps := []struct {
		name, method, path, body string
		status                   int
		contains                 string
	}{
		{"info", "GET", "/", "", 200, `"number":"8.19.21"`},
		{"policy", "PUT", "/_ilm/policy/edr", `{"policy":{"phases":{"hot":{"actions":{"rollover":{"max_age":"1d"}}},"delete":{"min_age":"7d","actions":{"delete":{}}}}}}`, 200, "acknowledged"},
		{"policy is kept", "GET", "/_ilm/policy/edr", "", 200, `"max_age":"1d"`},
		{"policy with a misspelt action", "PUT", "/_ilm/policy/bad", `{"policy":{"phases":{"hot":{"actions":{"rolover":{}}}}}}`, 400, "rolover"},
		{"policy with an action in the wrong phase", "PUT", "/_ilm/policy/bad", `{"policy":{"phases":{"warm":{"actions":{"rollover":{"max_age":"1d"}}}}}}`, 400, "invalid action [rollover]"},
		{"unknown policy", "GET", "/_ilm/policy/none", "", 404, "not found"},
		{"template with aliased types", "PUT", "/_index_template/edr", `{"index_patterns":["logs-edr.*"],"data_stream":{},"priority":500,"template":{
			"settings":{"number_of_replicas":0,"index.lifecycle.name":"edr"},
			"mappings":{"dynamic":"strict","properties":{"@timestamp":{"type":"date"},
				"data_stream":{"properties":{"dataset":{"type":"constant_keyword","value":"edr.telemetry"}}},
				"command_line":{"type":"wildcard"},"message":{"type":"match_only_text"},"pct":{"type":"scaled_float","scaling_factor":1000},
				"version":{"type":"version"},"big":{"type":"unsigned_long"},"ip":{"type":"ip"},"vendor":{"type":"flattened"}}}}}`, 200, "acknowledged"},
		{"type without its parameter", "PUT", "/wrong", `{"mappings":{"properties":{"pct":{"type":"scaled_float"}}}}`, 400, "scaling_factor"},
		{"bulk create", "POST", "/logs-edr.telemetry-default/_bulk?refresh=true&require_data_stream=true",
			`{"create":{"_id":"1"}}` + "\n" +
				`{"@timestamp":"2024-07-19T04:09:00Z","command_line":"` + strings.Repeat("x", 40000) + `","message":"hello world","pct":0.5,"version":"7.11","big":18446744073709551615,"ip":"::1","vendor":{"a":{"b":1}}}` + "\n" +
				`{"create":{"_id":"2"}}` + "\n" + `{"@timestamp":"2024-07-19T04:09:00Z","ip":"not an address"}` + "\n" +
				`{"index":{"_id":"3"}}` + "\n" + `{"@timestamp":"2024-07-19T04:09:00Z"}` + "\n", 200, ""},
		{"bulk create again", "POST", "/logs-edr.telemetry-default/_bulk?refresh=true", `{"create":{"_id":"1"}}` + "\n" + `{"@timestamp":"2024-07-19T04:09:00Z"}` + "\n", 200, `"status":409`},
		{"search", "GET", "/logs-edr.telemetry-default/_count?q=message:hello", "", 200, `"count":1`},
		{"data stream", "GET", "/_data_stream/logs-edr.telemetry-default", "", 200, `"ilm_policy":"edr"`},
		{"data streams by pattern", "GET", "/_data_stream/logs-edr.*", "", 200, `"template":"edr"`},
		{"unknown data stream", "GET", "/_data_stream/none", "", 404, "index_not_found_exception"},
	}
	for _, step := range steps {
		status, body := es.Do(t, step.method, step.path, step.body)
		if status != step.status || !strings.Contains(string(body), step.contains) {
			t.Errorf("%s: status %d, expected %d with %q: %s", step.name, status, step.status, step.contains, body)
		}
		if step.name == "bulk create" {
			if got := bulkStatuses(t, body); got != [3]int{201, 400, 400} {
				t.Errorf("bulk create: statuses %v, expected a created, a misparsed and a refused document: %s", got, body)
			}
		}
	}
}

func bulkStatuses(t *testing.T, body []byte) (statuses [3]int) {
	t.Helper()
	var answer struct {
		Items []map[string]struct{ Status int }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	for i, item := range answer.Items[:3] {
		for _, result := range item {
			statuses[i] = result.Status
		}
	}
	return statuses
}

func TestElasticsearchKeepsDataAndPoliciesThroughRestart(t *testing.T) {
	es := shared.Elasticsearch(t)
	es.Do(t, http.MethodPut, "/_ilm/policy/kept", `{"policy":{"phases":{"delete":{"min_age":"7d","actions":{"delete":{}}}}}}`)
	es.Do(t, http.MethodPut, "/kept/_doc/1?refresh=true", `{"n":1}`)
	es.Stop(t)
	es.Restart(t)
	for _, path := range []string{"/_ilm/policy/kept", "/kept/_doc/1"} {
		if status, body := es.Do(t, http.MethodGet, path, ""); status != http.StatusOK {
			t.Errorf("GET %s after restart: status %d: %s", path, status, body)
		}
	}
}

func TestElasticsearchSecurity(t *testing.T) {
	es := testbed.Elasticsearch(t, testbed.ESSecurity(), testbed.ESSetting("http.max_content_length", "4mb"))
	status, body := es.Do(t, http.MethodPost, "/_security/api_key", `{"name":"edrwatch","role_descriptors":{"edrwatch":{
		"cluster":["monitor"],"indices":[{"names":["logs-edr.*"],"privileges":["auto_configure","create_doc"]}]}}}`)
	if status != http.StatusOK || !strings.Contains(string(body), `"encoded"`) {
		t.Fatalf("creating an API key: status %d: %s", status, body)
	}
	if !strings.HasPrefix(es.URL(), "https://") {
		t.Errorf("URL %s is not https", es.URL())
	}
	// Without a password the node refuses, and without the authority the client does.
	if _, err := http.Get(es.URL()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client that does not know the authority got: %v", err)
	}
}
