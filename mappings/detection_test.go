package mappings

import (
	"slices"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// TestDetectionsSayWhatAndWhere holds what the vendors have detected to what
// rules and analysts go by: of every dataset with detections one record at
// least, as complete as its vendor sends them, has a severity, a rule, a host,
// an agent and, where the vendor tells, the technique; and no severity of any is
// off the scale.
func TestDetectionsSayWhatAndWhere(t *testing.T) {
	var scale []int
	for _, word := range ecs.Severities() {
		scale = append(scale, int(ecs.SeverityNumber(word)))
	}
	type want struct{ technique, status bool }
	wants := map[string]want{
		"crowdstrike.alert": {true, true}, "crowdstrike.event_stream": {true, false}, "microsoft_defender_endpoint.log": {true, true},
		"m365_defender.alert": {true, true}, "m365_defender.incident": {true, true}, "sentinel_one.threat": {true, true},
		"trend_micro_vision_one.alert": {true, true}, "trend_micro_vision_one.detection": {false, false}, "panw_cortex.alerts": {true, true},
		"panw_cortex_xdr.incidents": {true, true}, "carbon_black_cloud.alert": {true, true}, "elastic.defend": {true, false},
		"sophos.central": {}, "windows.defender": {}, "falco.internal": {}, "trellix.epo": {}, "trendmicro.deep_security": {}, "trendmicro.apex": {},
	}
	complete := map[string]bool{}
	eachGolden(t, func(file string, d goldenDocument) {
		if d.Event.Kind != "alert" {
			return
		}
		if d.Event.Severity != nil && !slices.Contains(scale, *d.Event.Severity) {
			t.Errorf("%s: the severity %d is not on the scale %v", file, *d.Event.Severity, scale)
		}
		w := wants[d.Event.Dataset]
		name, _ := d.Rule["name"].(string)
		ok := d.Event.Severity != nil && name != "" && d.Host.Name != "" && d.Agent.Type != ""
		ok = ok && (!w.technique || d.Threat["technique"] != nil && d.Threat["framework"] != nil)
		ok = ok && (!w.status || d.EDR.Detection.Status != "" && d.Agent.ID != "")
		complete[d.Event.Dataset] = complete[d.Event.Dataset] || ok
	})
	for dataset := range wants {
		if !complete[dataset] {
			t.Errorf("no detection of %s says all that its vendor does", dataset)
		}
	}
}
