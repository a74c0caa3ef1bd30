package ecs

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestDictionaryKnowsECSAndOurFields(t *testing.T) {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if d.Len() < 2600 {
		t.Errorf("dictionary has %d fields, want the 2605 of ECS and ours", d.Len())
	}
	for name, want := range map[string]struct {
		id    ID
		kind  Kind
		array bool
	}{
		"@timestamp":           {Timestamp, Time, false},
		"agent.id":             {AgentID, String, false},
		"event.category":       {EventCategory, String, true},
		"event.risk_score":     {EventRiskScore, Float, false},
		"edr.resource.cpu_pct": {EDRResourceCPUPct, Float, false},
		"edr.alert.hosts":      {EDRAlertHosts, String, true},
		"edr.alert.evidence":   {EDRAlertEvidence, JSON, false},
		"edr.tamper.blocked":   {EDRTamperBlocked, Bool, false},
	} {
		id, ok := d.Lookup(name)
		if !ok || id != want.id {
			t.Errorf("Lookup(%q) = %d, %v; want constant %d", name, id, ok, want.id)
			continue
		}
		if f := d.Field(id); f.Kind != want.kind || f.Array != want.array {
			t.Errorf("%s: kind %v array %v, want %v %v", name, f.Kind, f.Array, want.kind, want.array)
		}
	}
}

func TestConstantsMatchTables(t *testing.T) {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if last := d.Field(EDRGatewayReason).Name; last != "edr.gateway.reason" {
		t.Errorf("the constants are out of step with the tables (edr.gateway.reason is %s): run go generate", last)
	}
}

func TestCustomFields(t *testing.T) {
	d, err := New(Field{Name: "acme.health.score", Type: "long"}, Field{Name: "acme.health.score", Type: "long"})
	if err != nil {
		t.Fatal(err)
	}
	id, ok := d.Lookup("acme.health.score")
	if !ok || d.Field(id).Kind != Int || !d.Field(id).Custom {
		t.Errorf("custom field: %d %v %+v", id, ok, d.Field(id))
	}
	if !d.IsObject("acme.health") || d.IsObject("acme.health.score") {
		t.Error("acme.health is an object, acme.health.score is not")
	}
	for _, tc := range []struct {
		field Field
		want  string
	}{
		{Field{Name: "agent.id", Type: "long"}, "is keyword already"},
		{Field{Name: "acme.x", Type: "strnig"}, "unknown type"},
		{Field{Name: "agent.id.more", Type: "keyword"}, "cannot have fields below it"},
		{Field{Name: "acme..x", Type: "keyword"}, "dot-separated"},
		{Field{Name: `acme."x`, Type: "keyword"}, "dot-separated"},
	} {
		if _, err := New(tc.field); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%+v) = %v, want %q", tc.field, err, tc.want)
		}
	}
}

func TestLayoutKeepsObjectsTogether(t *testing.T) {
	d, err := New(Field{Name: "host.zeta", Type: "keyword"}, Field{Name: "agent-x.y", Type: "keyword"})
	if err != nil {
		t.Fatal(err)
	}
	l := d.Layout()
	closed := map[uint16]bool{}
	var open []uint16
	for rank := range d.Len() {
		id := l.At(rank)
		if l.Rank(id) != rank {
			t.Fatalf("rank of %s is %d, want %d", d.Field(id).Name, l.Rank(id), rank)
		}
		objects := l.Place(id).Objects
		for _, o := range open {
			if !slices.Contains(objects, o) {
				closed[o] = true
			}
		}
		for _, o := range objects {
			if closed[o] {
				t.Fatalf("%s re-opens an object that was closed", d.Field(id).Name)
			}
		}
		open = objects
	}
}

func TestActionsAreValidECS(t *testing.T) {
	kinds := strings.Fields("alert asset enrichment event metric state pipeline_error signal")
	// The event.type values that ECS 9.4.0 expects under each event.category.
	expected := map[string]string{
		"api":                 "access admin allowed change creation deletion denied end info start user",
		"authentication":      "start end info",
		"configuration":       "access change creation deletion info",
		"database":            "access change info error",
		"driver":              "change end info start",
		"email":               "info",
		"file":                "access change creation deletion info",
		"host":                "access change end info start",
		"iam":                 "admin change creation deletion group info user",
		"intrusion_detection": "allowed denied info",
		"library":             "start",
		"malware":             "info",
		"network":             "access allowed connection denied end info protocol start",
		"package":             "access change deletion info installation start",
		"process":             "access change end info start",
		"registry":            "access change creation deletion",
		"session":             "start end info",
		"threat":              "indicator",
		"vulnerability":       "info",
		"web":                 "access error info",
	}
	seen := map[string]bool{}
	for _, a := range Actions() {
		if seen[a.Name] {
			t.Errorf("%s stands twice", a.Name)
		}
		seen[a.Name] = true
		if !slices.Contains(kinds, a.Kind) {
			t.Errorf("%s: event.kind %q", a.Name, a.Kind)
		}
		var allowed []string
		for _, c := range a.Category {
			types, known := expected[c]
			if !known {
				t.Errorf("%s: event.category %q", a.Name, c)
			}
			allowed = append(allowed, strings.Fields(types)...)
		}
		for _, y := range a.Type {
			if !slices.Contains(allowed, y) {
				t.Errorf("%s: event.type %q is not expected under %v", a.Name, y, a.Category)
			}
		}
	}
}

// BenchmarkNew prints what one dictionary costs in time and in heap.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	keep, err := New()
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		if _, err := New(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1024, "KiB-kept")
	runtime.KeepAlive(keep)
}
