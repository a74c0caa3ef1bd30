package main

import (
	"strings"
	"testing"
)

func TestNormalizeCoverage(t *testing.T) {
	in := strings.Join([]string{
		`{"event_simpleName":"SensorHeartbeat","aid":"a","timestamp":"1721362140000","Extra":"1"}`,
		`{"event_simpleName":"SensorHeartbeat","aid":"a","timestamp":"1721362141000"}`,
		`{"zeta":1,"alpha":2}`,
		`broken`,
	}, "\n")
	stdout, stderr, code := cli(t, in, "normalize", "--coverage", "--output", "json")
	const want = `{"source":"","type":"alpha,zeta","action":"other","events":1,"no_home":{"alpha":1,"zeta":1}}
{"source":"crowdstrike.fdr","type":"SensorHeartbeat","action":"sensor-heartbeat","events":2,"no_home":{"Extra":1}}
`
	if code != 0 || stdout != want {
		t.Errorf("exit code %d %s\ngot  %s\nwant %s", code, stderr, stdout, want)
	}
	stdout, _, code = cli(t, in, "normalize", "--coverage")
	for _, line := range []string{"SOURCE ", "(no mapping) ", "sensor-heartbeat  2       Extra (1)"} {
		if code != 0 || !strings.Contains(stdout, line) {
			t.Errorf("exit code %d, no %q in\n%s", code, line, stdout)
		}
	}
	// Of many lines the buffers are used again: names must not change under the account.
	stdout, _, code = cli(t, strings.Repeat(`{"event_simpleName":"SensorHeartbeat","aid":"a","timestamp":"1721362140000","Extra":"1","Nested":{"a":{"b":[1]}}}`+"\n", 2000)+
		strings.Repeat(`{"zeta":"`+strings.Repeat("x", 300)+`"}`+"\n", 2000), "normalize", "--coverage", "--output", "json")
	if want := `"events":2000,"no_home":{"Extra":2000,"Nested":2000}}`; code != 0 || !strings.Contains(stdout, want) {
		t.Errorf("exit code %d, no %s in\n%s", code, want, stdout)
	}
	if _, stderr, code := cli(t, in, "normalize", "--coverage", "--output", "xml"); code != 2 || !strings.Contains(stderr, "expected text or json") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
