package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/decode/registry/registrytest"
)

// packedCapture writes records whose values are gzip'ed heartbeats, one in
// Confluent's wire format with a JSON schema of the id 7, and one that is cut off.
func packedCapture(t *testing.T, dir string) string {
	t.Helper()
	line := func(offset int, value []byte) string {
		return fmt.Sprintf(`{"ts":%d,"topic":"edr.crowdstrike.fdr","partition":0,"offset":%d,"key":"a1","headers":{},"value_b64":%q}`,
			noon.UnixMilli(), offset, base64.StdEncoding.EncodeToString(value))
	}
	pack := func(text string) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		return out.Bytes()
	}
	first := pack(heartbeat("a1", noon, 1))
	lines := []string{
		line(0, first),
		line(1, pack(heartbeat("a2", noon.Add(time.Second), 2))),
		line(2, append([]byte{0, 0, 0, 0, 7}, heartbeat("a3", noon, 3)...)),
		line(3, first[:20]),
	}
	return write(t, dir, "packed.capture", strings.Join(lines, "\n"))
}

// TestFilesAreDecoded takes a capture of values that are not JSON through
// normalize and replay: with the schema registry of a configuration, and without.
func TestFilesAreDecoded(t *testing.T) {
	s := registrytest.New(t)
	s.Add(7, registrytest.Schema{Schema: "{}", Type: "JSON"})
	dir := t.TempDir()
	in := packedCapture(t, dir)
	cfg := write(t, dir, "edrwatch.yaml", fmt.Sprintf("version: 1\nsources: [{name: in, type: file, paths: [x], schema_registry: {urls: [%q]}}]\nsinks: [{name: out, type: file, path: y}]\n", s.URL))
	dead := filepath.Join(dir, "dead.ndjson")
	for _, command := range [][]string{{"normalize", in, "--out", os.DevNull}, {"replay", "--in", in, "--alerts", os.DevNull}} {
		for _, c := range []struct {
			config []string
			want   string
		}{
			{[]string{"--config", cfg}, `"mapped":3,"other":0,"dead":1`},
			{nil, `"mapped":2,"other":0,"dead":2`},
		} {
			stdout, stderr, code := cli(t, "", append(append(command, "--dead", dead, "--summary", "-"), c.config...)...)
			if code != 0 || !strings.Contains(stdout, c.want) {
				t.Errorf("%s %v: exit code %d, %s%s", command[0], c.config, code, stdout, stderr)
			}
		}
	}
	text, err := os.ReadFile(dead)
	if err != nil {
		t.Fatal(err)
	}
	var buried []string
	for l := range strings.Lines(string(text)) {
		var d struct {
			Stage, Reason, Detail string
			Base64                []byte `json:"original_b64"`
		}
		if err := json.Unmarshal([]byte(l), &d); err != nil {
			t.Fatal(err)
		}
		buried = append(buried, d.Stage+" "+d.Reason)
	}
	if fmt.Sprint(buried) != "[decode undecodable decode undecodable]" {
		t.Errorf("dead letters %v", buried)
	}

	// A registry that does not answer ends the run: nothing is buried for it.
	s.Fail(http.StatusServiceUnavailable)
	_, stderr, code := cli(t, "", "normalize", in, "--out", os.DevNull, "--config", cfg)
	if code == 0 || !strings.Contains(stderr, "line 3") || !strings.Contains(stderr, "503") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	stdout, stderr, code := cli(t, "", "explain", "--in", in)
	if code != 0 || !strings.Contains(stdout, "sensor-heartbeat") || !strings.Contains(stdout, "schema_registry.urls") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}
