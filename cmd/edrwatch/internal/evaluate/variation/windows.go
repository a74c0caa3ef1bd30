package variation

import (
	"fmt"
	"strings"
	"time"
)

// winEvent is one event of Windows with its data in order.
type winEvent struct {
	id       int
	provider string
	channel  string
	data     []string // names and values; SERVICE, KEY and NAME stand for the agent's service and the host
}

const (
	evShutdownAsked uint32 = iota
	evServiceStopped
	evLogStopped
	evKernelStop
	evSleep
	evKernelStart
	evLogStarted
	evServiceRunning
	evUnclean
	evUnexpected
	evBugCheck
	evServiceCrash
	evServiceInstalled
	evExclusion
	evRealTimeOff
)

const (
	scm      = "Service Control Manager"
	windefID = "Microsoft-Windows-Windows Defender"
	windef   = "Microsoft-Windows-Windows Defender/Operational"
)

var windowsEvents = [...]winEvent{
	evShutdownAsked:    {1074, "User32", "System", []string{"param1", `C:\\Windows\\System32\\usocoreworker.exe`, "param2", "NAME", "param3", "Planned", "param4", "0x80020010", "param5", "restart", "param6", "", "param7", "NT AUTHORITY\\\\SYSTEM"}},
	evServiceStopped:   {7036, scm, "System", []string{"param1", "SERVICE", "param2", "stopped"}},
	evLogStopped:       {6006, "EventLog", "System", nil},
	evKernelStop:       {13, "Microsoft-Windows-Kernel-General", "System", []string{"StopTime", "2025-03-12T09:00:00.0000000Z"}},
	evSleep:            {42, "Microsoft-Windows-Kernel-Power", "System", []string{"TargetState", "4", "EffectiveState", "4", "Reason", "0"}},
	evKernelStart:      {12, "Microsoft-Windows-Kernel-General", "System", []string{"MajorVersion", "10", "MinorVersion", "0", "BuildVersion", "22631"}},
	evLogStarted:       {6005, "EventLog", "System", nil},
	evServiceRunning:   {7036, scm, "System", []string{"param1", "SERVICE", "param2", "running"}},
	evUnclean:          {41, "Microsoft-Windows-Kernel-Power", "System", []string{"BugcheckCode", "80", "BugcheckParameter1", "0xffff840500000074", "PowerButtonTimestamp", "0"}},
	evUnexpected:       {6008, "EventLog", "System", []string{"param1", "4:12:00 AM", "param2", "3/12/2025"}},
	evBugCheck:         {1001, "Microsoft-Windows-WER-SystemErrorReporting", "System", []string{"param1", "0x00000050 (0xffff840500000074, 0x0, 0x0, 0x2)", "param2", `C:\\Windows\\MEMORY.DMP`, "param3", "r-1"}},
	evServiceCrash:     {7034, scm, "System", []string{"param1", "SERVICE", "param2", "3"}},
	evServiceInstalled: {7045, scm, "System", []string{"ServiceName", "KEY", "ImagePath", `C:\\Program Files\\Agent\\agent.exe`, "ServiceType", "user mode service", "StartType", "auto start", "AccountName", `EXAMPLE\\helpdesk`}},
	evExclusion:        {5007, windefID, windef, []string{"Product Name", "Microsoft Defender Antivirus", "New Value", `HKLM\\SOFTWARE\\Microsoft\\Windows Defender\\Exclusions\\Paths\\C:\\Users = 0x0`, "Old Value", ""}},
	evRealTimeOff:      {5001, windefID, windef, []string{"Product Name", "Microsoft Defender Antivirus", "Product Version", "4.18.24060.7"}},
}

// renderWindows writes the event as the host's shipper does.
func renderWindows(h *host, e *winEvent, at time.Time, r *record) []byte {
	service := [vendors][2]string{
		{"CrowdStrike Falcon Sensor Service", "CSFalconService"}, {"Elastic Endpoint", "ElasticEndpoint"}, {"Sentinel Agent", "SentinelAgent"},
		{"Microsoft Defender Antivirus Service", "WinDefend"}, {"Guard", "guard"},
	}[h.vendor]
	value := func(v string) string {
		return strings.NewReplacer("SERVICE", service[0], "KEY", service[1], "NAME", h.name).Replace(v)
	}
	number := int(r.event/time.Second)*4 + int(r.arg)
	var pairs []string
	for i := 0; i < len(e.data); i += 2 {
		name := e.data[i]
		if h.ships == winlogbeat {
			name = strings.ReplaceAll(name, " ", "_")
		}
		v := value(e.data[i+1])
		if e.data[i] == "ImagePath" || e.data[i] == "AccountName" {
			v = e.data[i+1] // They hold no placeholder, and a path may look like one.
		}
		if h.ships == xml {
			pairs = append(pairs, fmt.Sprintf("<Data Name='%s'>%s</Data>", name, v))
			continue
		}
		pairs = append(pairs, fmt.Sprintf(`"%s":"%s"`, name, v))
	}
	computer := strings.ToLower(h.name) + ".example.com"
	switch h.ships {
	case evtx:
		return []byte(fmt.Sprintf(`{"Event":{"#attributes":{"xmlns":"http://schemas.microsoft.com/win/2004/08/events/event"},"System":{"Provider":{"#attributes":{"Name":%q}},"EventID":%d,"Level":4,`+
			`"TimeCreated":{"#attributes":{"SystemTime":%q}},"EventRecordID":%d,"Channel":%q,"Computer":%q},"EventData":{%s}}}`,
			e.provider, e.id, stamp(at), number, e.channel, computer, strings.Join(pairs, ",")))
	case nxlog:
		extra := ""
		if len(pairs) > 0 {
			extra = "," + strings.Join(pairs, ",")
		}
		return []byte(fmt.Sprintf(`{"EventTime":%q,"Hostname":%q,"EventType":"INFO","SeverityValue":2,"EventID":%d,"SourceName":%q,"RecordNumber":%d,"Channel":%q,"Message":"-","EventReceivedTime":%q,"SourceModuleName":"eventlog"%s}`,
			at.Format("2006-01-02 15:04:05"), computer, e.id, e.provider, number, e.channel, at.Add(time.Second).Format("2006-01-02 15:04:05"), extra))
	case xml:
		doc := fmt.Sprintf(`<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='%s'/><EventID>%d</EventID><Level>4</Level><TimeCreated SystemTime='%s'/>`+
			`<EventRecordID>%d</EventRecordID><Channel>%s</Channel><Computer>%s</Computer></System><EventData>%s</EventData></Event>`, e.provider, e.id, stamp(at), number, e.channel, computer, strings.Join(pairs, ""))
		return []byte(`{"_raw":"` + doc + `"}`)
	}
	return []byte(fmt.Sprintf(`{"@timestamp":%q,"agent":{"type":"winlogbeat","version":"8.14.3","id":%q,"name":%q},"event":{"code":"%d","provider":%q,"kind":"event"},`+
		`"host":{"name":%q,"id":%q,"os":{"type":"windows","family":"windows","name":%q}},"winlog":{"api":"wineventlog","provider_name":%q,"event_id":"%d","channel":%q,"computer_name":%q,"record_id":%d,"event_data":{%s}}}`,
		stamp(at), h.id, h.name, e.id, e.provider, strings.ToLower(h.name), h.id, h.osName(), e.provider, e.id, e.channel, computer, number, strings.Join(pairs, ",")))
}
