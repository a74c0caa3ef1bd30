package elasticsearch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

func dictionary(t *testing.T, custom ...ecs.Field) *ecs.Dictionary {
	t.Helper()
	d, err := ecs.New(custom...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDeployedAssets keeps deploy/elasticsearch equal to what is generated.
func TestDeployedAssets(t *testing.T) {
	dir := filepath.Join("..", "..", "deploy", "elasticsearch")
	want := APIKeys()
	assets, err := Assets(dictionary(t), DefaultTemplates(), DefaultConfig().Namespace)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range assets {
		want[a.File()] = a.Body
	}
	have, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if goldentest.Update() {
		for _, path := range have {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		for name, body := range want {
			if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	for _, path := range have {
		if _, ok := want[filepath.Base(path)]; !ok {
			t.Errorf("%s is not generated any more", path)
		}
	}
	for name, body := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, body) {
			t.Errorf("%s differs from what is generated: EDRWATCH_UPDATE=1 go test ./sinks/elasticsearch -run TestDeployedAssets", name)
		}
	}
}

// TestComposeGrantsWhatTheKeyDoes: the role of the example set-up is that of the
// gateway's API key.
func TestComposeGrantsWhatTheKeyDoes(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "..", "deploy", "compose", "users.sh"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(script), "/_security/role/edrwatch '")
	text, _, _ := strings.Cut(rest, "'")
	var role object
	var key struct {
		Roles map[string]object `json:"role_descriptors"`
	}
	if err := errors.Join(json.Unmarshal([]byte(text), &role), json.Unmarshal(APIKeys()["gateway-api-key.json"], &key)); err != nil {
		t.Fatal(err)
	}
	if want := key.Roles["edrwatch_gateway"]; !reflect.DeepEqual(role, want) {
		t.Errorf("the role is %v, the API key's %v", role, want)
	}
}

// TestEveryFieldHasItsType walks all names of the dictionary and finds for
// each an explicit mapping, an exact dynamic template, or a type that
// Elasticsearch infers.
func TestEveryFieldHasItsType(t *testing.T) {
	d := dictionary(t, ecs.Field{Name: "host.rack", Type: "integer"}, ecs.Field{Name: "acme.level", Type: "long"})
	m := mappings(d, DefaultTemplates().VendorRoots)
	exact := map[string]string{}
	for _, template := range m["dynamic_templates"].([]object) {
		for _, body := range template {
			body := body.(object)
			names, _ := body["path_match"].([]string)
			for _, name := range names {
				if strings.Contains(name, "*") {
					t.Errorf("a dynamic template matches the pattern %s", name)
				}
				exact[name] = body["mapping"].(object)["type"].(string)
			}
		}
	}
	counts := map[string]int{}
	for id := range d.Len() {
		f := d.Field(ecs.ID(id))
		if !d.Layout().Place(ecs.ID(id)).Leaf {
			continue
		}
		want := map[string]string{"object": "flattened"}[f.Type]
		if want == "" {
			want = f.Type
		}
		got, explicit := lookup(m, f.Name)
		template, dynamic := exact[f.Name]
		switch {
		case explicit && (got == want || got == "flattened" && f.Custom):
			counts["explicit"]++
		case !explicit && dynamic && template == want:
			counts["template"]++
		case !explicit && !dynamic && inferred(f):
			counts["inferred"]++
		default:
			t.Errorf("field %s (%s): explicit %q, template %q", f.Name, f.Type, got, template)
		}
	}
	if counts["explicit"] < 400 {
		t.Errorf("fields by origin of their type: %v", counts)
	}
	if got, _ := lookup(m, "host.rack"); got != "integer" {
		t.Errorf("a field that a user added below host is %q, want integer", got)
	}
	if got, _ := lookup(m, "acme"); got != "flattened" {
		t.Errorf("the root of a vendor's field that a user added is %q, want flattened", got)
	}
}

// lookup finds the type of a name in mappings; a flattened parent counts.
func lookup(m object, name string) (string, bool) {
	for part := range strings.SplitSeq(name, ".") {
		properties, ok := m["properties"].(object)
		if !ok {
			break
		}
		if m, ok = properties[part].(object); !ok {
			return "", false
		}
	}
	typ, ok := m["type"].(string)
	if typ == "object" {
		return "", false
	}
	return typ, ok
}

func TestAssetsFollowTheConfiguration(t *testing.T) {
	d := dictionary(t)
	cfg := DefaultTemplates()
	cfg.RetainedBy, cfg.FailureStore, cfg.Priority = ByILM, false, 300
	assets, err := Assets(d, cfg, "default")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range assets {
		seen[a.Kind+" "+a.Name] = true
		text := string(a.Body)
		if a.Kind == "index_template" && !strings.HasSuffix(a.Name, "-latest") && (!strings.Contains(text, `"lifecycle": {
          "name": "`+a.Name) || !seen["ilm_policy "+a.Name] || strings.Contains(text, "failure_store") || !strings.Contains(text, `"priority": 300`)) {
			t.Errorf("%s does not follow the configuration, or comes before its policy:\n%s", a.Name, text)
		}
		if !json.Valid(a.Body) {
			t.Errorf("%s is not JSON", a.Name)
		}
	}
	if len(assets) != 14 || !seen["index edr-agents-latest-default-1"] {
		t.Errorf("%d assets, want 14: %v", len(assets), seen)
	}
	cfg.Retention = nil
	if _, err := Assets(d, cfg, "default"); err == nil {
		t.Error("ILM without a retention was accepted")
	}
}

// cluster is a fake that keeps what set-up installs.
type cluster struct {
	version string
	kept    map[string]string
	missing map[string]bool // privileges
	status  int             // of every answer, unless 0
	mapped  int             // mappings of indices that were there
}

func (c *cluster) respond(w http.ResponseWriter, r *http.Request, ids []string) bool {
	if ids != nil {
		return false
	}
	if c.status != 0 {
		w.WriteHeader(c.status)
		return true
	}
	switch {
	case r.URL.Path == "/":
		_, _ = fmt.Fprintf(w, `{"version":{"number":%q}}`, c.version)
	case r.URL.Path == "/_security/user/_has_privileges":
		asked := new(bytes.Buffer)
		_, _ = asked.ReadFrom(r.Body)
		state := strings.Contains(asked.String(), `{"names":["edr-agents-latest-default","edr-alerts-latest-default"],"privileges":["index"]}`)
		_, _ = fmt.Fprintf(w, `{"has_all_requested":%v,"cluster":{"monitor":true},"index":{"logs-edr.alerts-default":{"auto_configure":true,"create_doc":%v},"edr-agents-latest-default":{"index":%v}}}`,
			len(c.missing) == 0 && state, !c.missing["create_doc"], state && !c.missing["index"])
	case strings.HasSuffix(r.URL.Path, "/_mapping"):
		if index := strings.TrimSuffix(r.URL.Path, "/_mapping"); c.kept[index] == "" {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		c.mapped++
		_, _ = w.Write([]byte(`{"acknowledged":true}`))
	case r.Method == http.MethodPut:
		body := new(bytes.Buffer)
		_, _ = body.ReadFrom(r.Body)
		c.kept[r.URL.Path] = body.String()
		_, _ = w.Write([]byte(`{"acknowledged":true}`))
	case c.kept[r.URL.Path] == "":
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":{"type":"resource_not_found_exception","reason":"not found"},"status":404}`))
	case strings.HasPrefix(r.URL.Path, "/_component_template/"):
		_, _ = fmt.Fprintf(w, `{"component_templates":[{"name":"n","component_template":%s}]}`, c.kept[r.URL.Path])
	case strings.HasPrefix(r.URL.Path, "/edr-"):
		_, _ = fmt.Fprintf(w, `{%q:{"aliases":{},"mappings":{"_meta":{"version":%d}}}}`, r.URL.Path[1:], AssetsVersion)
	default:
		_, _ = fmt.Fprintf(w, `{"index_templates":[{"name":"n","index_template":%s}]}`, c.kept[r.URL.Path])
	}
	return true
}

func TestSetupIsIdempotentAndCareful(t *testing.T) {
	c := &cluster{version: "8.18.3", kept: map[string]string{}}
	f := newFake(t)
	f.script(nil, c.respond)
	cfg := DefaultConfig()
	cfg.URLs = []string{f.server.URL}
	s, err := NewSetup(cfg, dictionary(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, want := range []Change{Created, Unchanged} {
		applied, err := s.Apply(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range applied {
			if a.Change != want {
				t.Errorf("%s %s: %s, want %s", a.Kind, a.Name, a.Change, want)
			}
		}
	}
	if c.mapped != 2 {
		t.Errorf("%d indices that were there got the mappings, want 2", c.mapped)
	}
	if text := strings.Join(slices.Collect(maps.Values(c.kept)), ""); strings.Contains(text, "failure_store") {
		t.Error("a version without failure store got its option")
	}
	const alerts = "/_index_template/edrwatch-alerts"
	c.kept[alerts] = strings.ReplaceAll(c.kept[alerts], `"version": 2`, `"version": 99`)
	newer := c.kept[alerts]
	if _, err := s.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("installing over a newer version: %v", err)
	}
	if c.kept[alerts] != newer {
		t.Error("a newer version was overwritten")
	}
	c.kept[alerts] = strings.ReplaceAll(newer, `"version": 99`, `"version": 0`)
	c.version = "9.1.0"
	applied, err := s.Apply(t.Context())
	if err != nil || !strings.Contains(c.kept[alerts], "failure_store") {
		t.Errorf("a version with failure store did not get its option: %v", err)
	}
	for _, a := range applied {
		if (a.Name == "edrwatch-alerts") != (a.Change == Updated) {
			t.Errorf("%s: %s", a.Name, a.Change)
		}
	}
	c.status = http.StatusForbidden
	if _, err := s.Apply(t.Context()); err == nil || fault.Of(err).Class != fault.Operator {
		t.Errorf("without privileges: %v", err)
	}
}

func TestCheck(t *testing.T) {
	installed := func() map[string]string {
		kept := map[string]string{}
		for _, s := range []string{"telemetry", "metrics", "alerts", "gateway", "agents-latest", "alerts-latest"} {
			kept["/_index_template/edrwatch-"+s] = "{}"
		}
		return kept
	}
	for name, test := range map[string]struct {
		cluster *cluster
		want    string
	}{
		"fine":               {&cluster{version: "9.4.1", kept: installed()}, ""},
		"too old":            {&cluster{version: "8.17.9", kept: installed()}, "upgrade it to 8.18"},
		"no version":         {&cluster{version: "", kept: installed()}, "check that the address"},
		"no templates":       {&cluster{version: "8.19.0"}, "edrwatch setup elasticsearch"},
		"privilege missing":  {&cluster{version: "8.19.0", kept: installed(), missing: map[string]bool{"create_doc": true}}, "create_doc on logs-edr.alerts-default"},
		"no right to states": {&cluster{version: "8.19.0", kept: installed(), missing: map[string]bool{"index": true}}, "index on edr-agents-latest-default"},
		"refused":            {&cluster{status: 401}, "credentials"},
		"unavailable":        {&cluster{status: 503}, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.script(nil, test.cluster.respond)
			err := f.open(nil).Check(t.Context())
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("Check returned %v, want %q", err, test.want)
			}
			if len(f.bulkRequests()) != 0 {
				t.Error("Check wrote something")
			}
		})
	}
}
