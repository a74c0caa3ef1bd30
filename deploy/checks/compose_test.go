package checks

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// project loads the compose file with the compose specification's own loader,
// which checks its schema, interpolation and references.
func project(t *testing.T, environment map[string]string) (*types.Project, error) {
	t.Helper()
	dir, err := filepath.Abs("../compose")
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "compose.yaml")}},
		Environment: environment,
	}, func(o *loader.Options) { o.SetProjectName("edrwatch", true) })
}

func TestComposeFile(t *testing.T) {
	p, err := project(t, map[string]string{"ELASTIC_PASSWORD": "a", "KIBANA_PASSWORD": "b", "EDRWATCH_PASSWORD": "c"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kafka", "elasticsearch", "kibana", "edrwatch"} {
		s, err := p.GetService(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.HealthCheck == nil {
			t.Errorf("%s has no health check", name)
		}
		if s.MemLimit == 0 {
			t.Errorf("%s has no memory limit", name)
		}
	}
	for name, s := range p.Services {
		if s.Image == "" {
			t.Errorf("%s names no image", name)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q: expected 127.0.0.1", name, port.Published, port.HostIP)
			}
		}
		if !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s keeps capabilities or may gain privileges", name)
		}
	}
	if s := p.Services["edrwatch"]; !s.ReadOnly || s.User != "65532:65532" {
		t.Errorf("edrwatch: read_only is %v, user is %q", s.ReadOnly, s.User)
	}
}

func TestComposeFileAsksForItsSecrets(t *testing.T) {
	if _, err := project(t, nil); err == nil {
		t.Error("expected an error when no password is set")
	}
}
