package elasticsearch

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

type reference struct{ Type, ID, Name string }

type savedObject struct {
	Type, ID   string
	References []reference
	Attributes struct {
		Title, TimeFieldName, PanelsJSON string
		Columns                          []string
		Sort                             [][]string
		KibanaSavedObjectMeta            struct{ SearchSourceJSON string }
	}
}

type panel struct {
	Type, PanelIndex, PanelRefName string
	EmbeddableConfig               struct {
		Attributes struct {
			References []reference
			State      struct {
				Query         struct{ Query string }
				Visualization struct {
					Layers  []layer // of a chart
					layer           // of a number, or a table:
					Columns []struct{ ColumnID string }
				}
				DatasourceStates struct {
					FormBased struct{ Layers map[string]columns }
				}
			}
		}
	}
}

type layer struct {
	LayerID, XAccessor, SplitAccessor, MetricAccessor string
	Accessors                                         []string
}

type columns struct {
	ColumnOrder []string
	Columns     map[string]struct {
		OperationType, SourceField, ReducedTimeRange string
		Filter                                       struct{ Query string }
		Params                                       struct {
			OrderBy   struct{ ColumnID string }
			SortField string
		}
	}
}

// TestKibanaObjects: every field that the saved objects use has an explicit
// mapping of a fitting type, and everything that they refer to is there.
func TestKibanaObjects(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kibana", "edrwatch.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	k := kibana{t: t, dict: dictionary(t), objects: map[string]savedObject{}}
	for line := range bytes.Lines(file) {
		var o savedObject
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		key := o.Type + " " + o.ID
		if _, twice := k.objects[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		k.objects[key] = o
	}
	for key, o := range k.objects {
		for _, r := range o.References {
			if _, ok := k.objects[r.Type+" "+r.ID]; !ok {
				t.Errorf("%s refers to %s %s, which is not in the file", key, r.Type, r.ID)
			}
		}
		switch o.Type {
		case "index-pattern":
			k.dataView(o)
		case "search":
			k.search(o)
		case "dashboard":
			k.dashboard(o)
		default:
			t.Errorf("%s is of an unexpected type", key)
		}
	}
	if len(k.objects) < 13 {
		t.Errorf("%d saved objects, want six data views, five searches and two dashboards", len(k.objects))
	}
	// What is firing, and who is silent, is a question about now.
	for id, view := range map[string]string{"edrwatch-alerts-firing": "edrwatch-alerts-latest", "edrwatch-fleet-unwell": "edrwatch-agents-latest"} {
		if k := k.of(k.objects["search "+id].References); k.view != view {
			t.Errorf("%s asks %s, want %s", id, k.view, view)
		}
	}
}

type kibana struct {
	t       *testing.T
	dict    *ecs.Dictionary
	objects map[string]savedObject
	view    string // id of the data view that is asked
}

// of returns the checks of what asks one of the data views that are referred to.
func (k kibana) of(references []reference) kibana {
	for _, r := range references {
		if r.Type == "index-pattern" {
			k.view = r.ID
		}
	}
	return k
}

// maps reports whether the data view has an explicit mapping of a field.
func (k kibana) maps(f *ecs.Field) bool {
	for stream, view := range map[event.Stream]string{event.Metrics: "edrwatch-agents-latest", event.Alerts: "edrwatch-alerts-latest"} {
		if k.view == view {
			_, ok := lookup(latestMappings(k.dict, stream), f.Name)
			return ok
		}
	}
	return mapped(f)
}

// field checks that the templates map a name explicitly to one of the types.
func (k kibana) field(where, name string, types ...string) {
	k.t.Helper()
	id, ok := k.dict.Lookup(name)
	if !ok || !k.maps(k.dict.Field(id)) {
		k.t.Errorf("%s uses %s, which the templates of %s do not map", where, name, k.view)
		return
	}
	if typ := k.dict.Field(id).Type; len(types) > 0 && !slices.Contains(types, typ) {
		k.t.Errorf("%s uses %s, which is %s, as one of %v", where, name, typ, types)
	}
}

var kqlField = regexp.MustCompile(`([@a-z][\w.@-]*)\s*[:<>]`)

func (k kibana) query(where, kql string) {
	for _, m := range kqlField.FindAllStringSubmatch(kql, -1) {
		k.field(where, m[1])
	}
}

func (k kibana) dataView(o savedObject) {
	known := slices.ContainsFunc(event.Streams(), func(s event.Stream) bool { return DataStream(s, "*") == o.Attributes.Title })
	// The latest states are those of now, whatever time is chosen.
	latest := slices.Contains(latestIndices("*"), o.Attributes.Title)
	if !(known && o.Attributes.TimeFieldName == "@timestamp" || latest && o.Attributes.TimeFieldName == "") {
		k.t.Errorf("data view %s is on %s by %s", o.ID, o.Attributes.Title, o.Attributes.TimeFieldName)
	}
}

func (k kibana) search(o savedObject) {
	k = k.of(o.References)
	for _, c := range o.Attributes.Columns {
		k.field(o.ID, c)
	}
	for _, s := range o.Attributes.Sort {
		k.field(o.ID, s[0])
	}
	var source struct {
		IndexRefName string
		Query        struct{ Query string }
	}
	if err := json.Unmarshal([]byte(o.Attributes.KibanaSavedObjectMeta.SearchSourceJSON), &source); err != nil {
		k.t.Errorf("%s: %v", o.ID, err)
	}
	k.query(o.ID, source.Query.Query)
	if !slices.ContainsFunc(o.References, func(r reference) bool { return r.Name == source.IndexRefName }) {
		k.t.Errorf("%s names no data view", o.ID)
	}
}

func (k kibana) dashboard(o savedObject) {
	var panels []panel
	if err := json.Unmarshal([]byte(o.Attributes.PanelsJSON), &panels); err != nil {
		k.t.Fatalf("%s: %v", o.ID, err)
	}
	used := map[string]bool{}
	for _, p := range panels {
		where := o.ID + ", panel " + p.PanelIndex
		k := k.of(p.EmbeddableConfig.Attributes.References)
		if p.PanelRefName != "" {
			used[p.PanelIndex+":"+p.PanelRefName] = true
		}
		for _, r := range p.EmbeddableConfig.Attributes.References {
			used[p.PanelIndex+":"+r.Name] = true
		}
		state := p.EmbeddableConfig.Attributes.State
		k.query(where, state.Query.Query)
		for id, layer := range state.DatasourceStates.FormBased.Layers {
			used[p.PanelIndex+":indexpattern-datasource-layer-"+id] = true
			k.columns(where, layer)
		}
		shown := map[string][]string{} // columns by layer
		for _, l := range state.Visualization.Layers {
			shown[l.LayerID] = append(l.Accessors, l.XAccessor, l.SplitAccessor)
		}
		if v := state.Visualization; v.MetricAccessor != "" {
			shown[v.LayerID] = append(shown[v.LayerID], v.MetricAccessor)
		}
		for _, c := range state.Visualization.Columns {
			shown[state.Visualization.LayerID] = append(shown[state.Visualization.LayerID], c.ColumnID)
		}
		if p.Type == "lens" && len(shown) != len(state.DatasourceStates.FormBased.Layers) {
			k.t.Errorf("%s shows %d of %d layers", where, len(shown), len(state.DatasourceStates.FormBased.Layers))
		}
		for id, accessors := range shown {
			columns := state.DatasourceStates.FormBased.Layers[id].Columns
			for _, accessor := range accessors {
				if _, ok := columns[accessor]; !ok {
					k.t.Errorf("%s shows column %q, which is not defined", where, accessor)
				}
			}
		}
	}
	for name := range used {
		if !slices.ContainsFunc(o.References, func(r reference) bool { return r.Name == name }) {
			k.t.Errorf("%s does not list the reference %s", o.ID, name)
		}
	}
	for _, r := range o.References {
		if !used[r.Name] {
			k.t.Errorf("%s lists the reference %s, which no panel uses", o.ID, r.Name)
		}
	}
}

func (k kibana) columns(where string, c columns) {
	for _, name := range c.ColumnOrder {
		if _, ok := c.Columns[name]; !ok {
			k.t.Errorf("%s orders column %s, which is not defined", where, name)
		}
	}
	for name, column := range c.Columns {
		if !slices.Contains(c.ColumnOrder, name) {
			k.t.Errorf("%s leaves column %s out of the order", where, name)
		}
		if by := column.Params.OrderBy.ColumnID; by != "" && c.Columns[by].OperationType == "" {
			k.t.Errorf("%s orders %s by column %s, which is not defined", where, name, by)
		}
		k.query(where, column.Filter.Query)
		if r := column.ReducedTimeRange; r != "" && r != "1h" {
			k.t.Errorf("%s looks at the last %s: agents are told of once an hour", where, r)
		}
		switch column.OperationType {
		case "date_histogram", "max":
			k.field(where, column.SourceField, "date")
		case "terms", "unique_count":
			k.field(where, column.SourceField, "keyword", "boolean")
		case "last_value":
			k.field(where, column.SourceField)
			k.field(where, column.Params.SortField, "date")
		case "count":
			if column.SourceField != "___records___" {
				k.t.Errorf("%s counts %s", where, column.SourceField)
			}
		default:
			k.t.Errorf("%s has a column of operation %s", where, strings.TrimSpace(column.OperationType))
		}
	}
}
