package fleetsync

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

func TestRecords(t *testing.T) {
	step := &fleet.Step{At: 10e9, Sites: map[string]*fleet.SiteStep{"x": {Alive: 3}}}
	values, err := encode(10e9, []fleet.Contribution{{Partition: "t[0]", Step: step, Rebuilt: true}, {Partition: "t[1]"}})
	if err != nil || len(values) != 1 {
		t.Fatalf("%d values, %v", len(values), err)
	}
	value := string(values[0])
	for _, tc := range []struct {
		name, key, value string
		want             message
		fails            string
	}{
		{name: "a gateway leaves", key: "gw-1", value: string(leaving), want: message{gateway: "gw-1"}},
		{name: "a gateway owns", key: "gw-1", value: string(names(owns, []string{"a", "b"})), want: message{gateway: "gw-1", kind: owns, partitions: []string{"a", "b"}}},
		{name: "partitions are skipped", key: "gw-1", value: string(names(skips, []string{"a"})), want: message{gateway: "gw-1", kind: skips, partitions: []string{"a"}}},
		{name: "nobody's step", value: value, fails: "name of a gateway"},
		{name: "a name too long", key: strings.Repeat("x", 129), value: value, fails: "name of a gateway"},
		{name: "cut off", key: "gw-1", value: value[:len(value)-1], fails: `message of gateway "gw-1"`},
		{name: "more than there is", key: "gw-1", value: value + "x", fails: `message of gateway "gw-1"`},
		{name: "nothing", key: "gw-1", fails: `message of gateway "gw-1"`},
		{name: "unknown", key: "gw-1", value: "\x09", fails: `message of gateway "gw-1"`},
	} {
		m, err := parse([]byte(tc.key), []byte(tc.value))
		switch {
		case tc.fails == "" && (err != nil || !reflect.DeepEqual(m, tc.want)):
			t.Errorf("%s: %+v, %v", tc.name, m, err)
		case tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails) || fault.Of(err).Class != fault.Permanent):
			t.Errorf("%s: error %v, want a permanent one that says %q", tc.name, err, tc.fails)
		}
	}
	m, err := parse([]byte("gw"), []byte(value))
	if err != nil || m.end != 10e9 || len(m.told) != 2 || m.told[0].Step.Sites["x"].Alive != 3 || !m.told[0].Rebuilt || m.told[1].Step != nil || m.told[1].Partition != "t[1]" {
		t.Errorf("%+v, %v", m, err)
	}
}

// A partition with more sites than fit loses the smallest, not the step; what
// many tell takes several records.
func TestLargeSteps(t *testing.T) {
	large := func() *fleet.Step {
		step := &fleet.Step{At: 10e9, Sites: map[string]*fleet.SiteStep{}}
		for i := range 120_000 {
			step.Sites[fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)] = &fleet.SiteStep{Alive: i}
		}
		return step
	}
	told := []fleet.Contribution{{Partition: "a", Step: large()}, {Partition: "b", Step: large()}, {Partition: "c", Step: large()}, {Partition: "d", Step: large()}, {Partition: "e", Step: large()}}
	values, err := encode(10e9, told)
	if err != nil || len(values) < 2 {
		t.Fatalf("%d values, %v", len(values), err)
	}
	n := 0
	for _, value := range values {
		if len(value) > maxValue+32 {
			t.Errorf("a record of %d bytes", len(value))
		}
		m, err := parse([]byte("gw"), value)
		if err != nil {
			t.Fatal(err)
		}
		n += len(m.told)
		if sites := m.told[0].Step.Sites; len(sites) != 20_000 || sites["10.468.191.0/24"] == nil {
			t.Errorf("%d sites are left, want the 20,000 largest", len(sites))
		}
	}
	if n != len(told) {
		t.Errorf("%d partitions are told of, want %d", n, len(told))
	}
}
