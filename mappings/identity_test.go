package mappings

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// TestRowsMakeNoIdentity maps rows of queries whose columns are called like
// what osquery says of itself: whatever a query finds on the host, its row is
// neither the agent's version nor its id, and no state or heartbeat of it. Only
// osquery_info and system_info say that.
func TestRowsMakeNoIdentity(t *testing.T) {
	plan := libraryPlan(t)
	columns := map[string]string{
		"version": "5.6.1", "uuid": "d0000000-0000-4000-8000-0000000000d1", "pid": "7", "config_hash": "c", "instance_id": "i", "hostname": "other",
		"computer_name": "other", "hardware_serial": "s", "active": "0", "denylisted": "1", "name": "n", "start_time": "1",
	}
	for own, value := range columns {
		for _, shape := range []string{
			`{"name":"pack_a_b","hostIdentifier":"web-01","unixTime":1721362140,"decorations":{"host_uuid":"h-1"},"columns":{%q:%q,"path":"/x"},"action":"added"}`,
			`{"name":"pack_a_b","hostIdentifier":"web-01","unixTime":1721362140,"decorations":{"host_uuid":"h-1"},"snapshot":[{%q:%q,"path":"/x"}],"action":"snapshot"}`,
		} {
			record := fmt.Sprintf(shape, own, value)
			e := mapped(t, plan, "", record)
			if e.Str(ecs.AgentID) != "h-1" || e.Str(ecs.HostID) != "h-1" || e.Has(ecs.AgentVersion) || e.Str(ecs.HostName) != "web-01" {
				t.Errorf("%s: the column %s makes an identity: %s", record, own, e.AppendJSON(nil))
			}
			if e.Has(ecs.EDRState) || e.Str(ecs.EventAction) != "other" {
				t.Errorf("%s: the column %s makes %s, state %q", record, own, e.Str(ecs.EventAction), e.Str(ecs.EDRState))
			}
		}
	}
	info := mapped(t, plan, "", `{"name":"osquery_info","hostIdentifier":"web-01","unixTime":1721362140,"columns":{"version":"5.12.2","uuid":"h-1","instance_id":"i","config_valid":"1"},"action":"added"}`)
	if info.Str(ecs.AgentVersion) != "5.12.2" || info.Str(ecs.AgentID) != "h-1" || info.Str(ecs.EDRState) != "protecting" {
		t.Errorf("osquery_info does not tell who osquery is: %s", info.AppendJSON(nil))
	}
}

// TestHealthReportHasAState maps Defender's health report in every shape and
// language that its state is seen in: rendered or by number, with spaces or
// underscores, in EVTX, XML, Winlogbeat, NXLog and Wazuh.
func TestHealthReportHasAState(t *testing.T) {
	plan := libraryPlan(t)
	const (
		system = `"Provider":{"#attributes":{"Name":"Microsoft-Windows-Windows Defender"}},"EventID":1151,"TimeCreated":{"#attributes":{"SystemTime":"2024-07-19T04:12:52Z"}},"Channel":"Microsoft-Windows-Windows Defender/Operational","Computer":"pc-1"`
		xml    = `<Event><System><Provider Name='Microsoft-Windows-Windows Defender'/><EventID>1151</EventID><TimeCreated SystemTime='2024-07-19T04:12:52Z'/><Channel>c</Channel><Computer>pc-1</Computer></System><EventData><Data Name='RTP state'>%s</Data></EventData></Event>`
	)
	shapes := map[string]string{
		"EVTX":       `{"Event":{"System":{` + system + `},"EventData":{"RTP state":%s}}}`,
		"Winlogbeat": `{"winlog":{"provider_name":"Microsoft-Windows-Windows Defender","event_id":"1151","channel":"c","computer_name":"pc-1","event_data":{"RTP_state":%s}}}`,
		"NXLog":      `{"SourceName":"Microsoft-Windows-Windows Defender","EventID":1151,"Channel":"c","Hostname":"pc-1","EventTime":"2024-07-19 04:12:52","RTP state":%s}`,
		"Wazuh":      `{"rule":{"id":"1"},"agent":{"id":"042","name":"pc-1"},"manager":{"name":"m"},"data":{"win":{"system":{"providerName":"Microsoft-Windows-Windows Defender","eventID":"1151","systemTime":"2024-07-19T04:12:52Z","channel":"c","computer":"pc-1"},"eventdata":{"rTP state":%s}}}}`,
	}
	for said, want := range map[string]string{
		"%%901": "protecting", "%%902": "disabled", "Enabled": "protecting", "Disabled": "disabled", "Activé": "protecting", "Désactivé": "disabled",
		"Aktiviert": "protecting", "Deaktiviert": "disabled", "Включен": "protecting", "Отключен": "disabled", "有効": "protecting", "無効": "disabled",
	} {
		quoted, err := json.Marshal(said)
		if err != nil {
			t.Fatal(err)
		}
		for name, shape := range shapes {
			if got := mapped(t, plan, "", fmt.Sprintf(shape, quoted)).Str(ecs.EDRState); got != want {
				t.Errorf("%s: %s is %q, want %q", name, said, got, want)
			}
		}
		record, err := json.Marshal(map[string]string{"message": fmt.Sprintf(xml, said)})
		if err != nil {
			t.Fatal(err)
		}
		if got := mapped(t, plan, "", string(record)).Str(ecs.EDRState); got != want {
			t.Errorf("XML: %s is %q, want %q", said, got, want)
		}
	}
}
