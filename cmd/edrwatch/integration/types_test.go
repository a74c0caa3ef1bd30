//go:build integration && linux

package integration

import (
	"bytes"
	"cmp"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkTypes asks Elasticsearch for the type of every field that a document
// has, and proves types with queries that only answer right on the right one.
func checkTypes(f *feed, es *elastic, documents map[string][]byte) {
	t := f.t
	t.Helper()
	var parsed []map[string]any
	for _, doc := range documents {
		var d map[string]any
		decoder := json.NewDecoder(bytes.NewReader(doc))
		decoder.UseNumber() // Some vendor fields hold numbers that no float64 can.
		if err := decoder.Decode(&d); err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, d)
	}
	checkFields(t, parsed, es.fieldTypes(f))
	number := func(field string, holds func(float64) bool) func(map[string]any) bool {
		return func(d map[string]any) bool {
			text, _ := at(d, field).(json.Number)
			n, err := text.Float64()
			return err == nil && holds(n)
		}
	}
	text := func(field string, holds func(string) bool) func(map[string]any) bool {
		return func(d map[string]any) bool { return slices.ContainsFunc(texts(at(d, field)), holds) }
	}
	for _, check := range []struct {
		name, query string
		holds       func(map[string]any) bool
	}{
		{"date", `{"range":{"@timestamp":{"lt":"2024-07-19T04:09:00Z"}}}`,
			text("@timestamp", func(s string) bool { return s < "2024-07-19T04:09:00" })},
		{"float", `{"range":{"edr.resource.cpu_pct":{"gte":50.5}}}`, number("edr.resource.cpu_pct", func(n float64) bool { return n >= 50.5 })},
		{"long", `{"range":{"edr.resource.memory_bytes":{"gte":500000000}}}`,
			number("edr.resource.memory_bytes", func(n float64) bool { return n >= 5e8 })},
		{"ip", `{"term":{"observer.ip":"198.18.5.0/24"}}`, text("observer.ip", func(s string) bool { return strings.HasPrefix(s, "198.18.5.") })},
		{"boolean", `{"term":{"edr.isolated":false}}`, func(d map[string]any) bool { return at(d, "edr.isolated") == false }},
		{"keyword", `{"term":{"event.action":"sensor-heartbeat"}}`, text("event.action", func(s string) bool { return s == "sensor-heartbeat" })},
		{"keyword array", `{"prefix":{"edr.alert.hosts":"fra"}}`, text("edr.alert.hosts", func(s string) bool { return strings.HasPrefix(s, "fra") })},
		{"enrichment", `{"exists":{"field":"edr.rules"}}`, text("edr.rules", func(string) bool { return true })},
		{"flattened", `{"term":{"crowdstrike.NetworkContainmentState":"0"}}`,
			text("crowdstrike.NetworkContainmentState", func(s string) bool { return s == "0" })},
	} {
		want := 0
		for _, d := range parsed {
			if check.holds(d) {
				want++
			}
		}
		if got := es.count(f, check.query); got != want || want == 0 {
			t.Errorf("%s: %s finds %d documents, expected %d (and more than none)", check.name, check.query, got, want)
		}
	}
}

// checkFields compares the types that Elasticsearch has given to the fields of
// documents with those of the dictionary.
func checkFields(t testing.TB, documents []map[string]any, got map[string][]string) {
	t.Helper()
	d := differences{what: "field types"}
	want := map[string]string{}
	dictionary := dictionaryTypes(t)
	for _, doc := range documents {
		collectFields(doc, "", dictionary, want)
	}
	counts := map[string]int{}
	for field, typ := range want {
		counts[typ]++
		if types := got[field]; len(types) != 1 || types[0] != typ {
			d.add("field %s has type %v, expected %s", field, types, typ)
		}
	}
	d.report(t)
	t.Logf("%d fields by type: %v", len(want), counts)
	for _, typ := range []string{"date", "long", "float", "boolean", "ip", "keyword", "text", "flattened"} {
		if counts[typ] == 0 {
			t.Errorf("no document has a field of type %s", typ)
		}
	}
}

// collectFields notes the type that each field of a document must have. What
// the dictionary does not know at the top is a vendor's: one field.
func collectFields(d map[string]any, prefix string, dictionary, found map[string]string) {
	for key, value := range d {
		name := prefix + key
		below, isObject := value.(map[string]any)
		switch typ := dictionary[name]; {
		case typ != "":
			found[name] = typ
		case isObject && dictionary[name+"."] != "":
			collectFields(below, name+".", dictionary, found)
		default:
			found[name] = "flattened"
		}
	}
}

// dictionaryTypes returns the types that Elasticsearch must give to the fields
// of the dictionary; names that end in a dot are those of objects with fields.
// The server of the tests takes aliases for some (deploy/testbed).
func dictionaryTypes(t testing.TB) map[string]string {
	t.Helper()
	served := map[string]string{
		"constant_keyword": "keyword", "wildcard": "keyword", "match_only_text": "text", "scaled_float": "double", "object": "flattened",
	}
	types := map[string]string{}
	for _, file := range []string{"ecs_fields.tsv", "edr_fields.tsv"} {
		eachLine(t, filepath.Join("..", "..", "..", "pipeline", "ecs", file), func(line []byte) {
			columns := strings.Split(string(line), "\t")
			if strings.HasPrefix(columns[0], "#") {
				return
			}
			types[columns[0]] = cmp.Or(served[columns[1]], columns[1])
			for i, c := range columns[0] {
				if c == '.' {
					types[columns[0][:i+1]] = "object"
				}
			}
		})
	}
	return types
}

// at returns what stands at a path of keys; nil when nothing does.
func at(d map[string]any, path string) any {
	key, rest, nested := strings.Cut(path, ".")
	if !nested {
		return d[key]
	}
	below, ok := d[key].(map[string]any)
	if !ok {
		return nil
	}
	return at(below, rest)
}

// texts returns a string, or the strings of an array.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, element := range v {
			all = append(all, texts(element)...)
		}
		return all
	}
	return nil
}
