package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// explainedFile is the configuration with every setting.
const explainedFile = "../../../../deploy/config/edrwatch.yaml"

// commentedKey matches a comment that is a key with its value, or an entry of a
// list: what an operator would uncomment. Prose does not look like that.
var commentedKey = regexp.MustCompile(`^( *)# ?( *(?:- )?\{?[a-z_]+:(?: .*)?)$`)

// uncommented returns the file as if all settings were in force that stand in
// comments.
func uncommented(src string) string {
	var out strings.Builder
	for line := range strings.Lines(src) {
		if m := commentedKey.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			line = m[1] + m[2] + "\n"
		}
		out.WriteString(line)
	}
	return out.String()
}

// explained collects the settings that a file states, each as the struct that has
// it and the name of its field: where two components share a struct, saying it
// once is enough.
type explained struct {
	t      *testing.T
	stated map[string]bool
}

// walk notes the keys of a node, and finds those that are no setting.
func (e *explained) walk(n strict.Node, v reflect.Value, path string) {
	v = filled(v)
	switch t := v.Type(); {
	case formOf(t) == formStruct:
		if entry, ok := v.Addr().Interface().(variant); ok {
			e.choose(n, entry, path)
		}
		keys := keysOf(v)
		for _, entry := range n.Entries() {
			name, _ := entry.Key.Scalar()
			i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
			if i < 0 {
				line, _ := entry.Key.Position()
				e.t.Errorf("edrwatch.yaml:%d: %s%s is no setting", line, path, name)
				continue
			}
			e.stated[fieldName(keys[i].owner, keys[i].field)] = true
			e.walk(entry.Value, keys[i].value, path+name+".")
		}
	case formOf(t) == formList:
		for _, item := range n.Items() {
			e.walk(item, reflect.New(t.Elem()).Elem(), path)
		}
	case formOf(t) == formMap:
		for _, entry := range n.Entries() {
			e.walk(entry.Value, reflect.New(t.Elem()).Elem(), path)
		}
	}
}

// choose gives an entry the settings of the type that it states.
func (e *explained) choose(n strict.Node, entry variant, path string) {
	name, _ := n.Get("type").Scalar()
	for _, k := range entry.kinds() {
		if k.name == name {
			entry.setSettings(k.make())
			e.stated[path+name] = true
			return
		}
	}
	line, _ := n.Position()
	e.t.Errorf("edrwatch.yaml:%d: %s has no type that is known", line, path)
}

// TestEverySettingIsExplained walks the configuration's structs and the file that
// explains it, both ways: a setting that the file does not state, if only in a
// comment, and a key of the file that is no setting are errors. So is a type of
// source, sink or responder that it shows no entry of.
func TestEverySettingIsExplained(t *testing.T) {
	src, err := os.ReadFile(explainedFile)
	if err != nil {
		t.Fatal(err)
	}
	root, err := strict.ParseOne("edrwatch.yaml", []byte(uncommented(string(src))))
	if err != nil {
		t.Fatalf("with its comments in force:\n%v", err)
	}
	e := &explained{t: t, stated: map[string]bool{}}
	cfg := Default()
	e.walk(root, reflect.ValueOf(&cfg).Elem(), "")

	for s := range structs() {
		for i := range s.NumField() {
			f := s.Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name == "" || name == "-" {
				continue
			}
			if name := fieldName(s, f.Name); !e.stated[name] {
				t.Errorf("deploy/config/edrwatch.yaml does not state %s (yaml: %s)", name, f.Tag.Get("yaml"))
			}
		}
	}
	for list, kinds := range map[string][]kind{"sources.": sourceKinds(), "sinks.": sinkKinds(), "responders.": responderKinds()} {
		for _, k := range kinds {
			if !e.stated[list+k.name] {
				t.Errorf("deploy/config/edrwatch.yaml has no entry of %s of type %s", strings.TrimSuffix(list, "."), k.name)
			}
		}
	}
}
