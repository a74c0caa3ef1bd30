package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEnrichAndRedact takes records through the configuration's files and
// looks for what must not come out.
func TestEnrichAndRedact(t *testing.T) {
	dir := t.TempDir()
	hosts := write(t, dir, "hosts.csv", "host,site,ring\npc-*,paris,early\n")
	cfg := write(t, dir, "edrwatch.yaml", `
sources: [{name: in, type: file, paths: [in.ndjson]}]
sinks: [{name: out, type: file, path: out.ndjson}]
enrich: {files: [`+hosts+`]}
redact: {users: hash, key: "${HASH_KEY}"}
`)
	t.Setenv("HASH_KEY", "0123456789abcdef")
	const canary = "c4n4ry"
	install := `{"SourceName":"Service Control Manager","EventID":7045,"Channel":"System","Hostname":"PC-0042.example.com",` +
		`"EventTime":"2024-07-19 04:12:00","ServiceName":"x","ImagePath":"x.exe --token ` + canary + `","AccountName":"EXAMPLE\\jdoe"}`
	broken := `{"password":"` + canary
	dead := filepath.Join(dir, "dead.ndjson")
	stdout, stderr, code := cli(t, install+"\n"+broken, "normalize", "--config", cfg, "--dead", dead)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, gone := range []string{canary, "jdoe"} {
		if strings.Contains(stdout, gone) {
			t.Errorf("%s is still there: %s", gone, stdout)
		}
	}
	var doc struct {
		EDR struct {
			Site    string
			Rollout struct{ Ring string }
		}
		Process struct {
			Executable  string
			CommandLine string `json:"command_line"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.EDR.Site != "paris" || doc.EDR.Rollout.Ring != "early" || doc.Process.Executable != "x.exe" || doc.Process.CommandLine != "x.exe --token [redacted]" {
		t.Errorf("got %+v", doc)
	}
	kept, err := os.ReadFile(dead)
	if err != nil || strings.Count(string(kept), "\n") != 1 || !strings.Contains(string(kept), canary) {
		t.Errorf("the dead letter must hold what came: %s, %v", kept, err)
	}
	if _, stderr, code = cli(t, "", "normalize", "--config", write(t, dir, "bad.yaml", `
sources: [{name: in, type: file, paths: [in.ndjson]}]
sinks: [{name: out, type: file, path: out.ndjson}]
enrich: {files: [missing.csv]}
`)); code != 78 || !strings.Contains(stderr, "missing.csv") {
		t.Errorf("a file that is not there: exit code %d, %s", code, stderr)
	}
}
