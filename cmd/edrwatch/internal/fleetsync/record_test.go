package fleetsync

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

func TestRecords(t *testing.T) {
	value, err := encode(&fleet.Step{At: 10e9, Sites: map[string]*fleet.SiteStep{"x": {Alive: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, key, value string
		fails            string
	}{
		{"a step", "gw-1", string(value), ""},
		{"a gateway leaves", "gw-1", leaving, ""},
		{"nobody's step", "", string(value), "name of a gateway"},
		{"a name too long", strings.Repeat("x", 129), string(value), "name of a gateway"},
		{"cut off", "gw-1", string(value[:len(value)-1]), `step of gateway "gw-1"`},
	} {
		m, err := parse([]byte(tc.key), []byte(tc.value), 5)
		switch {
		case tc.fails == "" && (err != nil || m.gateway != tc.key || m.at != 5 || (m.step == nil) != (tc.value == leaving)):
			t.Errorf("%s: %+v, %v", tc.name, m, err)
		case tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails) || fault.Of(err).Class != fault.Permanent):
			t.Errorf("%s: error %v, want a permanent one that says %q", tc.name, err, tc.fails)
		}
	}
}

// A fleet with more sites than fit loses the smallest, not the step.
func TestLargeSteps(t *testing.T) {
	step := &fleet.Step{At: 10e9, Sites: map[string]*fleet.SiteStep{}}
	for i := range 120_000 {
		step.Sites[fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)] = &fleet.SiteStep{Alive: i}
	}
	value, err := encode(step)
	if err != nil || len(value) > maxValue {
		t.Fatalf("%d bytes, %v", len(value), err)
	}
	m, err := parse([]byte("gw"), value, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.step.Sites); n != 20_000 || m.step.Sites["10.468.191.0/24"] == nil {
		t.Errorf("%d sites are left, want the 20,000 largest", n)
	}
}
