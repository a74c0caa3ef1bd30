package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

func TestExplain(t *testing.T) {
	dict := dictionary(t)
	set := compileRules(t, dict, ruleYAML(1, "match", `condition: event.action == "resource-usage" and (edr.resource.cpu_pct >= 80 or edr.state == "disabled")`)+
		ruleYAML(2, "silence", silent))
	e := event.New(dict)
	e.SetString(ecs.EventAction, "resource-usage")
	e.Set(ecs.EDRResourceCPUPct, event.Float(12.5))
	var got []string
	for _, v := range set.Explain(e) {
		got = append(got, fmt.Sprintf("%s %s candidate=%t %s", v.Rule.Name, v.Role, v.Candidate, v.Result))
		for _, term := range v.Terms {
			var fields []string
			for _, f := range term.Fields {
				fields = append(fields, fmt.Sprintf("%s=%s(%t)", f.Name, f.Value, f.Found))
			}
			got = append(got, strings.TrimRight(fmt.Sprintf("%s%s: %s %s", strings.Repeat("  ", term.Depth+1), term.Text, term.Result, strings.Join(fields, " ")), " "))
		}
	}
	want := []string{
		`rule 1 condition candidate=true unknown`,
		`  event.action == "resource-usage" and (edr.resource.cpu_pct >= 80 or edr.state == "disabled"): unknown`,
		`    event.action == "resource-usage": true event.action=resource-usage(true)`,
		`    edr.resource.cpu_pct >= 80 or edr.state == "disabled": unknown`,
		`      edr.resource.cpu_pct >= 80: false edr.resource.cpu_pct=12.5(true)`,
		`      edr.state == "disabled": unknown edr.state=(false)`,
		`rule 2 condition candidate=false false`,
		`  event.action == "sensor-heartbeat": false event.action=resource-usage(true)`,
		`rule 2 ends_on candidate=false false`,
		`  event.action == "host-shutdown": false event.action=resource-usage(true)`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if e.Has(ecs.EDRRules) {
		t.Error("explaining has changed the event")
	}
}
