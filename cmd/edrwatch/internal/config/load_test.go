package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

// comments returns what the lines of a file that begin with "# key: " say.
func comments(src []byte, key string) []string {
	var found []string
	for line := range strings.Lines(string(src)) {
		if text, ok := strings.CutPrefix(line, "# "+key+": "); ok {
			found = append(found, strings.TrimSuffix(text, "\n"))
		}
	}
	return found
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no files match %s (%v)", pattern, err)
	}
	return names
}

// load loads a file of testdata as if it stood in the working directory, with the variables that it asks for.
func load(t *testing.T, name string) (*config.Loaded, []byte, error) {
	t.Helper()
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Parse(name, src, comments(src, "env"))
	return loaded, src, err
}

// TestGood loads every good file and compares the effective configuration with its golden file.
func TestGood(t *testing.T) {
	for _, name := range files(t, "testdata/good/*.yml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			loaded, _, err := load(t, name)
			if err != nil {
				t.Fatal(err)
			}
			var printed bytes.Buffer
			if err := loaded.Print(&printed); err != nil {
				t.Fatal(err)
			}
			goldentest.Compare(t, strings.TrimSuffix(name, ".yml")+".printed", printed.Bytes())
			if strings.Contains(printed.String(), "hunter2") {
				t.Error("a secret is printed")
			}
		})
	}
}

// TestPrintedConfigurationMeansTheSame reads the effective configuration again.
func TestPrintedConfigurationMeansTheSame(t *testing.T) {
	for _, name := range files(t, "testdata/good/*.yml") {
		loaded, _, err := load(t, name)
		if err != nil {
			t.Fatal(err)
		}
		var printed bytes.Buffer
		if err := loaded.Print(&printed); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(printed.String(), "[redacted]") {
			continue
		}
		again, err := config.Parse(name, printed.Bytes(), nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, &printed)
		}
		var printedAgain bytes.Buffer
		if err := again.Print(&printedAgain); err != nil {
			t.Fatal(err)
		}
		origins := regexp.MustCompile(` +#.*`)
		if got, want := origins.ReplaceAllString(printedAgain.String(), ""), origins.ReplaceAllString(printed.String(), ""); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestBad compares the messages about every bad file with those that its first lines announce.
func TestBad(t *testing.T) {
	for _, name := range files(t, "testdata/bad/*.yml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, src, err := load(t, name)
			want := strings.Join(comments(src, "want"), "\n")
			if err == nil {
				t.Fatalf("no error, want\n%s", want)
			}
			got := strings.ReplaceAll(err.Error(), name+":", filepath.Base(name)+":")
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestLoadWithoutFile(t *testing.T) {
	if _, err := config.Load("missing.yml", nil); err == nil || err.Error() != "missing.yml: reading configuration: no such file or directory" {
		t.Error(err)
	}
	loaded, err := config.Load("", []string{
		"EDRWATCH_SOURCES_IN_TYPE=file", "EDRWATCH_SOURCES_IN_PATHS=a.ndjson, b.ndjson",
		"EDRWATCH_SINKS_MY_STORE_TYPE=store", "EDRWATCH_SINKS_MY_STORE_MAX_BYTES=64MiB", "EDRWATCH_SINKS_MY_STORE_REQUIRED=false",
		"EDRWATCH_SINKS_MY_STORE_ROUTE_KINDS=tamper,cpu_spike",
		"EDRWATCH_PIPELINE_RETRY_MIN=1s", "EDRWATCH_HTTP_LISTEN=0.0.0.0:80",
	})
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := loaded.Print(&printed); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(printed.String()), " ")
	for _, want := range []string{
		"name: in # env EDRWATCH_SOURCES_IN_TYPE type: file # env EDRWATCH_SOURCES_IN_TYPE",
		"- a.ndjson # env EDRWATCH_SOURCES_IN_PATHS - b.ndjson # env EDRWATCH_SOURCES_IN_PATHS",
		"name: my_store # env", "max_bytes: 64MiB # env EDRWATCH_SINKS_MY_STORE_MAX_BYTES",
		"required: false # env EDRWATCH_SINKS_MY_STORE_REQUIRED", "- cpu_spike # env EDRWATCH_SINKS_MY_STORE_ROUTE_KINDS",
		"min: 1s # env EDRWATCH_PIPELINE_RETRY_MIN", `listen: 0.0.0.0:80 # env EDRWATCH_HTTP_LISTEN`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, &printed)
		}
	}
}

func TestMadeConfigurationCanBePrinted(t *testing.T) {
	loaded, err := config.Load("testdata/good/minimal.yml", nil)
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := config.Made(loaded.Config).Print(&printed); err != nil {
		t.Fatal(err)
	}
	if again, err := config.Parse("printed.yml", printed.Bytes(), nil); err != nil || again.Config.Sinks[0].Name != "out" {
		t.Errorf("%v\n%s", err, &printed)
	}
	for line := range strings.Lines(printed.String()) {
		if strings.Contains(line, "#") && !strings.HasSuffix(line, "# default\n") {
			t.Errorf("%q", line)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	for variable, want := range map[string]bool{
		"EDRWATCH_SINKS_A_TYPE=store": true, "EDRWATCH_SOURCES_A_TYPE=file": true, "EDRWATCH_SINKS_A_TYPE=": false,
		"EDRWATCH_HTTP_LISTEN=127.0.0.1:1": false, "SINKS_A_TYPE=store": false,
	} {
		if got := config.FromEnvironment([]string{"HOME=/", variable}); got != want {
			t.Errorf("%s: got %v", variable, got)
		}
	}
}

func TestVariablesThatAreNoSettings(t *testing.T) {
	base := []string{"EDRWATCH_SOURCES_IN_TYPE=file", "EDRWATCH_SOURCES_IN_PATHS=a", "EDRWATCH_SINKS_S_TYPE=store"}
	for variable, want := range map[string]string{
		"EDRWATCH_CONFIG=/etc/edrwatch.yml":       "",
		"EDRWATCH_TESTBED_DIR=/cache":             "",
		"EDRWATCH_SERVICE_HOST=10.0.0.1":          "",
		"EDRWATCH_SERVICE_PORT_HTTP=80":           "",
		"EDRWATCH_PORT=tcp://10.0.0.1:80":         "",
		"EDRWATCH_PORT_80_TCP_ADDR=10.0.0.1":      "",
		"EDRWATCH_CONSOLE_SERVICE_PORT=80":        "",
		"EDRWATCH_HTTP_LISTN=":                    "",
		"OTHER=1":                                 "",
		"EDRWATCH_HTTP_LISTN=1":                   "EDRWATCH_HTTP_LISTN: unknown environment variable (did you mean EDRWATCH_HTTP_LISTEN?)",
		"EDRWATCH_SINKS_S_PTH=x":                  "EDRWATCH_SINKS_S_PTH: unknown environment variable (did you mean EDRWATCH_SINKS_S_PATH?)",
		"EDRWATCH_SINKS_OTHER_TYPE=elasticserch":  `EDRWATCH_SINKS_OTHER_TYPE: unknown type, found something else (did you mean "elasticsearch"?)`,
		"EDRWATCH_SINKS_S_MAX_BYTES=hunter2":      "EDRWATCH_SINKS_S_MAX_BYTES: the value does not fit, found something else",
		"EDRWATCH_SINKS_S_MAX_BYTES=1KiB":         "EDRWATCH_SINKS_S_MAX_BYTES: max_bytes: expected at least 4MiB, found 1KiB",
		"EDRWATCH_SINKS_S_PATH=${file:/no/such}":  "EDRWATCH_SINKS_S_PATH: file /no/such does not exist",
		"EDRWATCH_SINKS_S_PATH=http://u:p@h/path": "EDRWATCH_SINKS_S_PATH: path: user name and password do not belong into a URL (use the keys for user name and password)",
	} {
		got := ""
		if _, err := config.Load("", append(base, variable)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", variable, got, want)
		}
	}
}
