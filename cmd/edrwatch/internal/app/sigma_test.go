package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/sigma"
)

// onMapped converts Sigma rules and returns a function that maps raw records a
// minute apart with the shipped mappings and tells after which of them, from 1,
// an alert of which rule began.
func onMapped(t *testing.T, src string) func(records ...string) []string {
	t.Helper()
	dict, plan := libraryPlan(t)
	out, err := sigma.Convert("sigma.yml", []byte(src), sigma.Options{Dictionary: dict})
	if err != nil {
		t.Fatal(err)
	}
	converted, err := rules.ParseFile("converted.yml", out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	set, err := converted.Compile(dict)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(records ...string) []string {
		s, m := set.NewSession(rules.SessionOptions{}), plan.NewMapper()
		var got []string
		begin := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC).UnixNano()
		note := func(a *event.Event) {
			if a.Str(ecs.EDRAlertStatus) == "firing" {
				got = append(got, fmt.Sprintf("%d %s", (a.Timestamp()-begin)/int64(time.Minute)+1, a.Str(ecs.RuleName)))
			}
		}
		for i, raw := range records {
			at := begin + int64(i)*int64(time.Minute)
			err := m.Map(&event.Partition{}, &event.Record{Value: []byte(raw)}, func(e *event.Event) {
				e.Set(ecs.Timestamp, event.Time(at))
				s.Detect(at, e, note)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		// What counts many users or hosts is judged at the closing of a step.
		s.Detect(begin+int64(len(records)-1)*int64(time.Minute)+int64(10*time.Second), nil, note)
		return got
	}
}

// sigmaRule writes a rule of Sigma.
func sigmaRule(title, source, detection string) string {
	return fmt.Sprintf("title: %s\nname: %s\nlevel: high\nstatus: test\nlogsource: %s\ndetection: %s\n---\n", title, title, source, detection)
}

// winlog writes a record as Winlogbeat does.
func winlog(provider, channel, id string, data ...string) string {
	var fields []string
	for i := 0; i+1 < len(data); i += 2 {
		fields = append(fields, fmt.Sprintf("%q: %q", data[i], data[i+1]))
	}
	return fmt.Sprintf(`{"@timestamp":"2026-01-05T09:00:00Z","winlog":{"computer_name":"pc-1.example.com","provider_name":%q,"channel":%q,"event_id":%q,"event_data":{%s}}}`,
		provider, channel, id, strings.Join(fields, ","))
}

func sysmon(id string, data ...string) string {
	return winlog("Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational", id, data...)
}

func security(id string, data ...string) string {
	return winlog("Microsoft-Windows-Security-Auditing", "Security", id, data...)
}

func windefend(id string, data ...string) string {
	return winlog("Microsoft-Windows-Windows Defender", "Microsoft-Windows-Windows Defender/Operational", id, data...)
}

// TestSigmaOnMappedEvents has rules about agents in the shapes that Sigma's
// have, and for each records of several sources that match and that nearly do:
// what a rule means on records it means on the events that are made of them.
func TestSigmaOnMappedEvents(t *testing.T) {
	stops := "{tool: [{Image|endswith: '\\sc.exe'}, {OriginalFileName: sc.exe}], how: {CommandLine|contains|all: [' stop ', Guard]}, condition: all of them}"
	names := "{s: {ImageLoaded|endswith: ['\\bring.sys', '\\own.sys']}, condition: s}"
	for _, tc := range []struct {
		name, source, detection string
		match, near             []string
	}{
		{"service stopped by a tool", "{product: windows, category: process_creation}", stops,
			[]string{
				sysmon("1", "Image", `C:\Windows\System32\sc.exe`, "CommandLine", "sc stop GuardSvc"),
				sysmon("1", "Image", `C:\Temp\x.exe`, "OriginalFileName", "sc.exe", "CommandLine", "x STOP guardsvc"),
				security("4688", "NewProcessName", `C:\Windows\System32\sc.exe`, "CommandLine", "sc stop GuardSvc"),
				`{"Timestamp":"2026-01-05T09:00:00Z","DeviceId":"d1","DeviceName":"pc-1","ActionType":"ProcessCreated","FileName":"sc.exe","FolderPath":"C:\\Windows\\System32\\sc.exe","ProcessCommandLine":"sc.exe stop GuardSvc","InitiatingProcessFileName":"cmd.exe","InitiatingProcessFolderPath":"C:\\Windows\\System32\\cmd.exe"}`,
				`{"event.category":"process","event.type":"Process Creation","meta.event.name":"PROCESSCREATION","agent.uuid":"a1","endpoint.name":"pc-1","endpoint.os":"windows","event.time":1767603600000,"src.process.name":"cmd.exe","tgt.process.name":"sc.exe","tgt.process.image.path":"C:\\Windows\\System32\\sc.exe","tgt.process.cmdline":"sc stop GuardSvc"}`,
			},
			[]string{
				sysmon("1", "Image", `C:\Windows\System32\sc.exe`, "CommandLine", "sc query GuardSvc"),
				sysmon("5", "CommandLine", "sc stop GuardSvc"),
				`{"Timestamp":"2026-01-05T09:00:00Z","DeviceId":"d1","DeviceName":"pc-1","ActionType":"ProcessCreated","FileName":"conhost.exe","FolderPath":"C:\\Windows\\System32\\conhost.exe","ProcessCommandLine":"conhost.exe","InitiatingProcessFileName":"sc.exe","InitiatingProcessFolderPath":"C:\\Windows\\System32\\sc.exe","InitiatingProcessCommandLine":"sc stop GuardSvc"}`,
			}},
		{"driver by name", "{product: windows, category: driver_load}", names,
			[]string{
				sysmon("6", "ImageLoaded", `C:\Temp\BRING.sys`, "Signed", "true"),
				`{"Timestamp":"2026-01-05T09:00:00Z","DeviceId":"d1","DeviceName":"pc-1","ActionType":"DriverLoad","FileName":"own.sys","FolderPath":"C:\\Temp\\own.sys","InitiatingProcessFolderPath":"c:\\windows\\system32\\ntoskrnl.exe"}`,
			},
			[]string{sysmon("6", "ImageLoaded", `C:\Temp\bring.sys.bak`), sysmon("7", "ImageLoaded", `C:\Temp\bring.sys`)}},
		{"library by description", "{product: windows, category: image_load}", "{s: {Description: Example Loader, Signed: 'false'}, condition: s}",
			[]string{sysmon("7", "ImageLoaded", `C:\Temp\a.dll`, "Description", "example loader", "Signed", "false")},
			[]string{sysmon("7", "ImageLoaded", `C:\Temp\a.dll`, "Description", "Example Loader", "Signed", "true"), sysmon("1", "Image", `C:\Temp\a.exe`, "Description", "Example Loader", "Signed", "false")}},
		{"driver by import hash", "{product: windows, category: driver_load}", "{s: {Hashes|contains: 'IMPHASH=0123456789ABCDEF0123456789ABCDEF'}, condition: s}",
			[]string{sysmon("6", "ImageLoaded", `C:\a.sys`, "Hashes", "SHA256="+strings.Repeat("A", 64)+",IMPHASH=0123456789abcdef0123456789abcdef")},
			[]string{sysmon("6", "ImageLoaded", `C:\a.sys`, "Hashes", "SHA256="+strings.Repeat("A", 64)+",IMPHASH=0123456789abcdef0123456789abcdee")}},
		{"protection off in the registry", "{product: windows, category: registry_set}", "{s: {TargetObject|endswith: '\\Guard\\DisableGuard', Details: DWORD (0x00000001)}, condition: s}",
			[]string{sysmon("13", "TargetObject", `HKLM\SOFTWARE\Guard\DisableGuard`, "Details", "DWORD (0x00000001)")},
			[]string{sysmon("13", "TargetObject", `HKLM\SOFTWARE\Guard\DisableGuard`, "Details", "DWORD (0x00000000)"), sysmon("12", "TargetObject", `HKLM\SOFTWARE\Guard\DisableGuard`)}},
		{"key of an agent deleted", "{product: windows, category: registry_delete}", "{s: {TargetObject|endswith: '\\Guard'}, condition: s}",
			[]string{sysmon("12", "EventType", "DeleteKey", "TargetObject", `HKLM\SOFTWARE\Guard`)}, []string{sysmon("13", "EventType", "SetValue", "TargetObject", `HKLM\SOFTWARE\Guard`)}},
		{"any value of an agent set", "{product: windows, category: registry_set}", "{s: {TargetObject|contains: '\\Guard\\'}, condition: s}",
			[]string{sysmon("13", "EventType", "SetValue", "TargetObject", `HKLM\SOFTWARE\Guard\x`)}, []string{sysmon("12", "EventType", "CreateKey", "TargetObject", `HKLM\SOFTWARE\Guard\x`)}},
		{"setting of Defender", "{product: windows, service: windefend}", "{s: {EventID: 5007, NewValue|contains: '\\Real-Time Protection\\DisableScan = 0x1'}, f: {OldValue|contains: '0x1'}, condition: s and not f}",
			[]string{windefend("5007", "New Value", `HKLM\SOFTWARE\Microsoft\Windows Defender\Real-Time Protection\DisableScan = 0x1`), windefend("5007", "New_Value", `HKLM\x\real-time protection\disablescan = 0X1`, "Old_Value", `HKLM\x = 0x0`)},
			[]string{windefend("5007", "New Value", `HKLM\x\Real-Time Protection\DisableScan = 0x0`), windefend("5007", "New Value", `HKLM\x\Real-Time Protection\DisableScan = 0x1`, "Old Value", `HKLM\x = 0x1`)}},
		{"threat where an agent lives", "{product: windows, service: windefend}", "{s: {EventID: [1116, 1121], Path|contains: '\\Guard\\'}, condition: s}",
			[]string{windefend("1121", "Path", `C:\Program Files\Guard\guard.exe`)}, []string{windefend("1121", "Path", `C:\Program Files\Other\guard.exe`)}},
		{"error of Sysmon", "{product: windows, category: sysmon_error}", "{s: {Description|contains: driver}, condition: s}",
			[]string{sysmon("255", "ID", "DriverCommunication", "Description", "Failed to talk to the driver")}, []string{sysmon("255", "ID", "x", "Description", "something else")}},
		{"new configuration of Sysmon", "{product: windows, category: sysmon_status}", "{s: {EventID: 16}, condition: s}",
			[]string{sysmon("16", "Configuration", `C:\x.xml`)}, []string{sysmon("4", "State", "Started")}},
		{"audit removed", "{product: windows, service: security}", "{s: {EventID: 4719, AuditPolicyChanges|contains: ['%%8448', '%%8450']}, f: {SubjectUserName|endswith: $}, condition: s and not f}",
			[]string{security("4719", "AuditPolicyChanges", "%%8448, %%8450", "SubjectUserName", "admin")},
			[]string{security("4719", "AuditPolicyChanges", "%%8449", "SubjectUserName", "admin"), security("4719", "AuditPolicyChanges", "%%8448", "SubjectUserName", "PC-1$")}},
		{"account named as an agent's", "{product: windows, service: security}", "{s: {EventID: 4720, TargetUserName|startswith: guard}, f: {SubjectUserName: deploy}, condition: s and not f}",
			[]string{security("4720", "TargetUserName", "Guard-1", "SubjectUserName", "admin")},
			[]string{security("4720", "TargetUserName", "Guard-1", "SubjectUserName", "deploy"), security("4720", "TargetUserName", "x", "SubjectUserName", "guard")}},
		{"service installed", "{product: windows, service: system}", "{s: {Provider_Name: Service Control Manager, EventID: 7045, ImagePath|contains: '\\Temp\\'}, condition: s}",
			[]string{winlog("Service Control Manager", "System", "7045", "ServiceName", "x", "ImagePath", `C:\Temp\x.sys`)}, []string{winlog("Service Control Manager", "System", "7045", "ServiceName", "x", "ImagePath", `C:\x.sys`)}},
		{"agent crashed", "{product: windows, service: application}", "{s: {Provider_Name: Application Error, EventID: 1000, AppName: guard.exe, ExceptionCode: c0000005}, condition: s}",
			[]string{winlog("Application Error", "Application", "1000", "AppName", "Guard.exe", "ExceptionCode", "c0000005")}, []string{winlog("Application Error", "Application", "1000", "AppName", "guard.exe", "ExceptionCode", "c0000006")}},
		{"driver refused", "{product: windows, service: codeintegrity-operational}", "{s: {EventID: [3023, 3024], FileNameBuffer|endswith: '\\guard.sys'}, condition: s}",
			[]string{winlog("Microsoft-Windows-CodeIntegrity", "Microsoft-Windows-CodeIntegrity/Operational", "3023", "FileNameBuffer", `\Device\X\guard.sys`)}, []string{winlog("Microsoft-Windows-CodeIntegrity", "Microsoft-Windows-CodeIntegrity/Operational", "3023", "FileNameBuffer", `\Device\X\other.sys`)}},
	} {
		judge := onMapped(t, sigmaRule("rule", tc.source, tc.detection))
		for _, raw := range tc.match {
			if got := judge(raw); len(got) != 1 {
				t.Errorf("%s: no alert on %s", tc.name, raw)
			}
		}
		for _, raw := range tc.near {
			if got := judge(raw); len(got) != 0 {
				t.Errorf("%s: an alert on %s", tc.name, raw)
			}
		}
	}
}

// TestSigmaCorrelationsOnMappedEvents has every type of correlation, with keys
// and aliases.
func TestSigmaCorrelationsOnMappedEvents(t *testing.T) {
	source := "{product: windows, service: security}"
	failed := sigmaRule("failed", source, "{s: {EventID: 4625}, condition: s}")
	made := sigmaRule("made", source, "{s: {EventID: 4720}, condition: s}")
	started := sigmaRule("started", "{product: windows, category: process_creation}", "{s: {Image|endswith: .exe}, condition: s}")
	connected := sigmaRule("connected", "{product: windows, category: network_connection}", "{s: {Image|endswith: .exe}, condition: s}")
	logon := func(user, host string) string {
		return security("4625", "TargetUserName", user, "WorkstationName", host)
	}
	create := func(by string) string { return security("4720", "SubjectUserName", by, "TargetUserName", "new") }
	run := func(image, user string) string { return sysmon("1", "Image", image, "User", user) }
	connect := func(port string) string {
		return sysmon("3", "Image", "a.exe", "DestinationPort", port, "DestinationIp", "192.0.2.1")
	}
	for _, tc := range []struct {
		name, rules, correlation string
		records, want            []string
	}{
		{"event_count", failed, "type: event_count, rules: [failed], group-by: [TargetUserName], timespan: 10m, condition: {gte: 3}",
			[]string{logon("a", ""), logon("b", ""), logon("a", ""), logon("b", ""), logon("a", "")}, []string{"5 C"}},
		{"value_count", started, "type: value_count, rules: [started], group-by: [User], timespan: 10m, condition: {gte: 2, field: Image}",
			[]string{run("a.exe", "u"), run("a.exe", "u"), run("b.exe", "v"), run("b.exe", "u")}, []string{"4 C"}},
		{"value_sum", connected, "type: value_sum, rules: [connected], group-by: [Computer], timespan: 10m, condition: {gt: 1000, field: DestinationPort}",
			[]string{connect("443"), connect("443"), connect("443")}, []string{"3 C"}},
		{"value_avg", connected, "type: value_avg, rules: [connected], group-by: [Computer], timespan: 10m, condition: {gte: 500, field: DestinationPort}",
			[]string{connect("443"), connect("443"), connect("1000")}, []string{"3 C"}},
		{"value_percentile", connected, "type: value_percentile, rules: [connected], group-by: [Computer], timespan: 10m, condition: {gte: 500, field: DestinationPort, percentile: 90}",
			[]string{connect("443"), connect("443"), connect("1000")}, []string{"3 C"}},
		{"temporal", failed + made, "type: temporal, rules: [failed, made], group-by: [Computer], timespan: 10m",
			[]string{create("x"), logon("a", "")}, []string{"2 C"}},
		{"temporal_ordered", failed + made, "type: temporal_ordered, rules: [failed, made], group-by: [Computer], timespan: 10m",
			[]string{create("x"), logon("a", ""), create("y")}, []string{"3 C"}},
		{"temporal_ordered with an alias", made + started, "type: temporal_ordered, rules: [made, started], aliases: {who: {made: SubjectUserName, started: User}}, group-by: [who], timespan: 10m",
			[]string{create("x"), run("a.exe", "y"), create("y"), run("a.exe", "y")}, []string{"4 C"}},
	} {
		src := tc.rules + "title: C\nlevel: high\ncorrelation: {" + tc.correlation + "}\n"
		if got := onMapped(t, src)(tc.records...); !slices.Equal(got, tc.want) {
			t.Errorf("%s: alerts at %q, want %q", tc.name, got, tc.want)
		}
	}
}
