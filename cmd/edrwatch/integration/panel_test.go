//go:build integration && linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/sinks/elasticsearch"
)

// lens is a panel of a dashboard as Kibana keeps it.
type lens struct {
	Type, PanelIndex string
	EmbeddableConfig struct {
		Attributes struct {
			References []struct{ ID string }
			State      struct {
				Query            struct{ Query string }
				DatasourceStates struct {
					FormBased struct {
						Layers map[string]struct {
							ColumnOrder []string
							Columns     map[string]column
						}
					}
				}
			}
		}
	}
}

type column struct {
	OperationType, SourceField, ReducedTimeRange string
}

// dashboard reads the panels of one of the saved objects in deploy/kibana.
func dashboard(t testing.TB, id string) (panels []lens) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "kibana", "edrwatch.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(file) {
		var o struct {
			ID         string
			Attributes struct{ PanelsJSON string }
		}
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatal(err)
		}
		if o.ID == id {
			if err := json.Unmarshal([]byte(o.Attributes.PanelsJSON), &panels); err != nil {
				t.Fatal(err)
			}
		}
	}
	return panels
}

// columns returns those of an operation, in the order of the panel.
func (p *lens) columns(t testing.TB, operation string) (list []column) {
	t.Helper()
	for _, layer := range p.EmbeddableConfig.Attributes.State.DatasourceStates.FormBased.Layers {
		for _, name := range layer.ColumnOrder {
			if c := layer.Columns[name]; c.OperationType == operation {
				list = append(list, c)
			}
		}
	}
	return list
}

// stream is the data stream of the panel's data view.
func (p *lens) stream(namespace string) string {
	view := map[string]string{"edrwatch-metrics": "metrics-edr.agent-", "edrwatch-gateway": "logs-edr.gateway-", "edrwatch-agents-latest": elasticsearch.LatestAgents + "-"}
	return view[p.EmbeddableConfig.Attributes.References[0].ID] + namespace
}

// condition is the panel's query; the part of KQL that panels use differs from
// a query string in the case of its operators.
func (p *lens) condition() string {
	text, _ := json.Marshal(strings.NewReplacer(" : ", ":", " and ", " AND ", " or ", " OR ").Replace(p.EmbeddableConfig.Attributes.State.Query.Query))
	return `{"query_string":{"query":` + string(text) + `}}`
}

// ask counts what a panel counts: documents by the values of its terms.
func (e *elastic) ask(t testing.TB, namespace string, p lens) map[string]int {
	t.Helper()
	terms, counts := p.columns(t, "terms"), p.columns(t, "count")
	if len(counts) != 1 || counts[0].ReducedTimeRange != "" {
		t.Fatalf("panel %s counts %v", p.PanelIndex, counts)
	}
	const count = `"n":{"filter":{"match_all":{}}}`
	var sources []string
	for i, c := range terms {
		sources = append(sources, fmt.Sprintf(`{"%d":{"terms":{"field":%q,"missing_bucket":true}}}`, i, c.SourceField))
	}
	aggs := count
	if len(sources) > 0 {
		aggs = `"by":{"composite":{"size":10000,"sources":[` + strings.Join(sources, ",") + `]},"aggs":{` + count + `}}`
	}
	type number struct {
		Count int `json:"doc_count"`
	}
	var answer struct {
		Aggregations struct {
			N  number
			By struct {
				Buckets []struct {
					Key map[string]any
					N   number
				}
			}
		}
	}
	e.query(t, "POST", "/"+p.stream(namespace)+"/_search", `{"size":0,"query":`+p.condition()+`,"aggs":{`+aggs+`}}`, &answer)
	if len(sources) == 0 {
		return map[string]int{"": answer.Aggregations.N.Count}
	}
	got := map[string]int{}
	for _, b := range answer.Aggregations.By.Buckets {
		var values []string
		for i := range terms {
			if v := b.Key[fmt.Sprint(i)]; v != nil {
				values = append(values, fmt.Sprint(v))
			} else {
				values = append(values, "")
			}
		}
		if b.N.Count > 0 {
			got[strings.Join(values, ", ")] = b.N.Count
		}
	}
	return got
}

// expected counts the same in what `edrwatch fleet` lists.
func (p *lens) expected(t testing.TB, agents []fleet.Record) map[string]int {
	t.Helper()
	fields := p.columns(t, "terms")
	want := map[string]int{}
	if len(fields) == 0 {
		want[""] = 0
	}
	for i := range agents {
		if !p.shows(&agents[i]) {
			continue
		}
		var values []string
		for _, c := range fields {
			values = append(values, valueOf(t, &agents[i], c.SourceField))
		}
		want[strings.Join(values, ", ")]++
	}
	return want
}

// shows reports whether the panel is about an agent, by the panel's purpose.
func (p *lens) shows(r *fleet.Record) bool {
	switch p.PanelIndex {
	case "silent", "silent-by-site", "silent-by-content":
		return r.Presence == "silent"
	case "protecting":
		return r.Presence == "alive" && r.State == "protecting"
	case "state-by-product":
		return r.Presence == "alive"
	case "reduced":
		return r.Presence == "alive" && slices.Contains([]string{"disabled", "reduced", "degraded"}, r.State)
	case "behind", "behind-by-ring":
		return r.Behind
	}
	return true
}

func valueOf(t testing.TB, r *fleet.Record, field string) string {
	t.Helper()
	switch field {
	case "agent.type":
		return r.Product
	case "agent.version":
		return r.Version
	case "edr.mode":
		return r.Mode
	case "edr.state":
		return r.State
	case "edr.presence":
		return r.Presence
	case "edr.rollout.ring":
		return r.Ring
	case "edr.site":
		return r.Site
	case "edr.privilege.account":
		return r.Account
	case "edr.privilege.start_type":
		return r.StartType
	case "edr.content.channel":
		if r.LastContent != nil {
			return r.LastContent.Channel
		}
		return ""
	case "edr.content.version":
		if r.LastContent != nil {
			return r.LastContent.Version
		}
		return ""
	}
	t.Fatalf("the test does not know %s", field)
	return ""
}

// checkRollouts holds that the table of rollouts shows the latest that was told
// of each.
func (e *elastic) checkRollouts(t testing.TB, namespace string, p lens, list []fleet.Rollout) {
	t.Helper()
	var answer struct {
		Aggregations struct {
			By struct {
				Buckets []struct {
					Key    string
					Latest struct {
						Hits struct{ Hits []hit }
					}
				}
			}
		}
	}
	e.query(t, "POST", "/"+p.stream(namespace)+"/_search", `{"size":0,"query":`+p.condition()+
		`,"aggs":{"by":{"terms":{"field":"edr.rollout.key","size":50},"aggs":{"latest":{"top_hits":{"size":1,"sort":[{"@timestamp":"desc"}]}}}}}}`, &answer)
	if n := len(answer.Aggregations.By.Buckets); n != len(list) {
		t.Errorf("%d rollouts are shown, edrwatch rollout list gives %d", n, len(list))
	}
	for _, b := range answer.Aggregations.By.Buckets {
		var doc struct {
			EDR struct {
				Rollout struct {
					Verdict, Ring          string
					Exposed, Fleet, Harmed int
					AtRisk                 int `json:"at_risk"`
				}
			}
		}
		if err := json.Unmarshal(b.Latest.Hits.Hits[0].Source, &doc); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(r fleet.Rollout) bool { return r.AlertKey == b.Key })
		if i < 0 {
			t.Errorf("%s is shown and not known", b.Key)
			continue
		}
		r, got := list[i], doc.EDR.Rollout
		if got.Verdict != string(r.Verdict) || got.Ring != r.CurrentRing || got.Exposed != r.Exposed || got.AtRisk != r.AtRisk || got.Fleet != r.Fleet || got.Harmed != r.Harmed {
			t.Errorf("%s is shown as %+v, edrwatch rollout list gives %+v", b.Key, got, r)
		}
	}
}
