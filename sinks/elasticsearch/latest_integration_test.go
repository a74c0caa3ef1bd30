//go:build integration

package elasticsearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/deploy/testbed"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// testLatest holds, with the gateway's own key, what is promised of the indices of
// newest states: rights, mappings, order, and evidence that stays.
func testLatest(t *testing.T, node *testbed.ESServer, gateway *Sink, dict *ecs.Dictionary) {
	search := func(index, query string) (hits []object) {
		t.Helper()
		node.Do(t, http.MethodPost, "/edr-*-latest-*/_refresh", "")
		status, body := node.Do(t, http.MethodGet, "/"+index+"/_search?size=100&q="+query, "")
		var answer struct {
			Hits struct {
				Hits []struct {
					Source object `json:"_source"`
				} `json:"hits"`
			} `json:"hits"`
		}
		if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
			t.Fatalf("searching %s: %d %s", index, status, body)
		}
		for _, h := range answer.Hits.Hits {
			hits = append(hits, h.Source)
		}
		return hits
	}
	t.Run("an alert keeps its evidence", func(t *testing.T) {
		for _, d := range append(lifeOf("real"), alertDocument("other", "firing", 0, 1)) {
			writeAll(t, gateway, []*event.Document{d}, event.Indexed)
		}
		for _, d := range lifeOf("real") { // Once more, and out of order.
			writeAll(t, gateway, []*event.Document{d}, event.Duplicate)
		}
		firing, resolved := search(LatestAlerts+"-default", "edr.alert.status:firing"), search(LatestAlerts+"-default", "edr.alert.status:resolved")
		if len(firing) != 1 || !strings.Contains(fmt.Sprint(firing), "id:other") {
			t.Errorf("firing now: %v, want the one that is", firing)
		}
		for _, want := range []string{"condition:x > 1", "value:20", "hosts:[a b]", "severity:high"} {
			if len(resolved) != 1 || !strings.Contains(fmt.Sprint(resolved), want) {
				t.Errorf("resolved: %v, want %s", resolved, want)
			}
		}
		if hits := search(LatestAlerts+"-default", "edr.alert.evidence.condition:*"); len(hits) != 2 {
			t.Errorf("%d alerts are found by their evidence, want 2", len(hits))
		}
	})
	t.Run("an agent is one document", func(t *testing.T) {
		state := func(presence string, after time.Duration) *event.Document {
			at := began.Add(after)
			body := fmt.Sprintf(`{"@timestamp":%q,"host":{"name":"h1"},"edr":{"entity":{"id":"e1"},"presence":%q,"fleet":{"since":%[1]q},"content":{"channels":["291:32"],"channel":"291","version":"32","received":%[1]q}},"vendor":{"any":{"thing":1}}}`,
				at.Format(time.RFC3339), presence)
			return &event.Document{ID: fmt.Sprint("e1-", presence), Stream: event.Metrics, Time: at.UnixNano(), Body: []byte(body), Latest: event.Latest{ID: "e1", Version: at.UnixNano()}}
		}
		for _, d := range []*event.Document{state("alive", 0), state("silent", 2*time.Minute), state("unknown", time.Minute)} {
			writeAll(t, gateway, []*event.Document{d}, event.Indexed)
		}
		silent := search(LatestAgents+"-default", "edr.presence:silent+AND+edr.content.channels:%22291:32%22")
		if all := search(LatestAgents+"-default", "*:*"); len(all) != 1 || len(silent) != 1 {
			t.Errorf("%d documents of one agent, %d of them silent; want 1 and 1", len(all), len(silent))
		}
	})
	t.Run("mappings", func(t *testing.T) {
		for _, index := range latestIndices("default") {
			status, body := node.Do(t, http.MethodGet, "/"+index+"/_mapping", "")
			if status != http.StatusOK || bytes.Contains(body, []byte(`"vendor"`)) || !bytes.Contains(body, []byte(`"dynamic":"false"`)) {
				t.Errorf("the mapping of %s: %d %.300s", index, status, body)
			}
			status, body = node.Do(t, http.MethodGet, "/"+index+"/_field_caps?fields=*", "")
			var caps struct {
				Fields map[string]map[string]any `json:"fields"`
			}
			if err := json.Unmarshal(body, &caps); err != nil || status != http.StatusOK {
				t.Fatalf("field_caps: %d %v", status, err)
			}
			for _, name := range []string{"edr.presence", "edr.state", "edr.alert.evidence", "edr.fleet.since", "edr.content.received", "host.name", "agent.version", "edr.rollout.ring"} {
				id, _ := dict.Lookup(name)
				stream := map[bool]event.Stream{true: event.Alerts, false: event.Metrics}[strings.HasPrefix(index, LatestAlerts)]
				if _, wanted := lookup(latestMappings(dict, stream), name); !wanted {
					continue
				}
				if want := seenAs(dict.Field(id)); caps.Fields[name][want] == nil {
					t.Errorf("%s of %s is %v, want %s", name, index, caps.Fields[name], want)
				}
			}
		}
	})
	t.Run("rights", func(t *testing.T) {
		a, err := gateway.client.do(t.Context(), request{method: http.MethodGet, path: "/" + LatestAlerts + "-default/_search"})
		if err != nil || a.status != http.StatusForbidden {
			t.Errorf("searching with the gateway's key: %d %v, want 403", a.status, err)
		}
		a, err = gateway.client.do(t.Context(), request{method: http.MethodDelete, path: "/" + LatestAgents + "-default-1"})
		if err != nil || a.status != http.StatusForbidden {
			t.Errorf("deleting the index with the gateway's key: %d %v, want 403", a.status, err)
		}
		old := gateway.cfg
		old.APIKey = createKey(t, node, `{"name":"before","role_descriptors":{"r":{"cluster":["monitor"],"indices":[{"names":["logs-edr.*","metrics-edr.*"],"privileges":["create_doc","auto_configure"]}]}}}`)
		s := realSink(t, old)
		results := make([]event.Result, 1)
		for what, err := range map[string]error{"Check": s.Check(t.Context()), "Write": s.Write(t.Context(), []*event.Document{alertDocument("keyless", "firing", 0, 1)}, results)} {
			if f := fault.Of(err); f == nil || f.Reason != fault.Unauthorized || !strings.Contains(f.Error(), "index") {
				t.Errorf("%s with a key without the right to states: %v", what, err)
			}
		}
	})
	t.Run("before the set-up of a namespace", func(t *testing.T) {
		cfg := gateway.cfg
		cfg.Namespace = "nowhere"
		results := make([]event.Result, 1)
		err := realSink(t, cfg).Write(t.Context(), []*event.Document{alertDocument("early", "firing", 0, 1)}, results)
		if f := fault.Of(err); f == nil || f.Class != fault.Operator || !strings.Contains(f.Hint, "setup") || results[0].Outcome != event.Pending {
			t.Errorf("%v, %v; want an operator's fault that names the set-up", results[0].Outcome, err)
		}
	})
}
