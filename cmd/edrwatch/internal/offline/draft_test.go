package offline

import (
	"strings"
	"testing"
)

func TestDraft(t *testing.T) {
	for _, tc := range []struct {
		name    string
		samples []string
		want    []string
	}{
		{
			"nested names", []string{
				`{"evt":"agent.stop","when":"19.07.2024 04:09:00","sensor":{"uid":"a","ver":"1"},"machine":{"name":"h","addr":"192.0.2.1"},"seq":1}`,
				`{"evt":"agent.beat","when":"20.07.2024 04:09:00","sensor":{"uid":"a","ver":"1"},"machine":{"name":"h"},"seq":2,"level":"low"}`,
			},
			[]string{
				`match: # what only records of this vendor have` + "\n" + `  - {"evt": "*", "sensor.uid": "*", "sensor.ver": "*", "machine.name": "*"}`,
				`record_id: ["sensor.uid", "seq"]`, `{from: "when", format: "02.01.2006 15:04:05"}`, `host.ip: "machine.addr"`,
				"\"agent.stop\":\n    action: other # sensor-stopped?", `#   "level" in 1 of 2 records: ["low"]`,
			},
		},
		{
			"flat names", []string{`{"AgentId":"a","ComputerName":"h","EventTime":1721362140,"Type":"x|y"}`},
			[]string{`agent.id: "AgentId"`, `host.name: "ComputerName"`, `{from: "EventTime", format: "auto"}`, "by: [\"Type\"]\nevents:\n  \"*\":"},
		},
		{
			"a time of another name, American order", []string{`{"seen":"07/19/2024 4:09:00 AM","v":true}`},
			[]string{`{from: "seen", format: "01/02/2006 3:04:05 PM"}`, "action: other\n"},
		},
		{"no time", []string{`{"a":1,"b":2}`}, []string{"# timestamp: no path was found"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var samples [][]byte
			for _, s := range tc.samples {
				samples = append(samples, []byte(s))
			}
			got, err := Draft("Acme", samples)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
		})
	}
	if _, err := Draft("Acme", [][]byte{[]byte(`{"a":1}`), []byte(`{"b":1}`)}); err == nil || !strings.Contains(err.Error(), "no key with a value in common") {
		t.Errorf("got %v", err)
	}
}
