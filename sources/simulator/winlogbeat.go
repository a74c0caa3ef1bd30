package simulator

import (
	"fmt"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// windowsEvent is what all events of one id share.
type windowsEvent struct {
	id       int
	provider string
	guid     string
	channel  string
	level    string
	message  string
}

const (
	scmGUID         = "{555908d1-a6d7-4695-8e1e-26931d2012f4}"
	kernelPowerGUID = "{331c3b3a-2005-44c2-ac5e-77220c37d6b4}"
	kernelGUID      = "{a68ca8b7-004f-d7b6-a698-07e2de0f1f5d}"
	wer             = "Microsoft-Windows-WER-SystemErrorReporting"
	kernelPower     = "Microsoft-Windows-Kernel-Power"
	kernelGeneral   = "Microsoft-Windows-Kernel-General"
	scm             = "Service Control Manager"
)

var windowsEvents = [...]windowsEvent{
	winServiceState:  {7036, scm, scmGUID, "System", "information", "A service entered another state."},
	winServiceCrash:  {7034, scm, scmGUID, "System", "error", "A service terminated unexpectedly."},
	winStartType:     {7040, scm, scmGUID, "System", "information", "The start type of a service was changed."},
	winAppCrash:      {1000, "Application Error", "{a0e9b465-b939-57d7-b27d-95d8e925ff57}", "Application", "error", "Faulting application."},
	winUncleanBoot:   {41, kernelPower, kernelPowerGUID, "System", "critical", "The system has rebooted without cleanly shutting down first."},
	winBugCheck:      {1001, wer, "{abce23e7-de45-4366-8631-84fa6c525952}", "System", "error", "The computer has rebooted from a bugcheck."},
	winUnexpected:    {6008, "EventLog", "", "System", "error", "The previous system shutdown was unexpected."},
	winLogStarted:    {6005, "EventLog", "", "System", "information", "The Event log service was started."},
	winLogStopped:    {6006, "EventLog", "", "System", "information", "The Event log service was stopped."},
	winKernelStart:   {12, kernelGeneral, kernelGUID, "System", "information", "The operating system started."},
	winKernelStop:    {13, kernelGeneral, kernelGUID, "System", "information", "The operating system is shutting down."},
	winShutdownAsked: {1074, "User32", "{b0aa8734-56f7-41cc-b2f4-de228e98b946}", "System", "information", "A process has initiated the restart of the computer."},
	winSleep:         {42, kernelPower, kernelPowerGUID, "System", "information", "The system is entering sleep."},
	winResume:        {107, kernelPower, kernelPowerGUID, "System", "information", "The system has resumed from sleep."},
	winServiceNew:    {7045, scm, scmGUID, "System", "information", "A service was installed in the system."},
	winModule: {7, "Microsoft-Windows-Sysmon", "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}",
		"Microsoft-Windows-Sysmon/Operational", "information", "Image loaded."},
	winRealTimeOff: {5001, "Microsoft-Windows-Windows Defender", "{11cd958a-c507-4ef3-b3f2-5fd9dfbd2c78}",
		"Microsoft-Windows-Windows Defender/Operational", "information", "Real-time protection is disabled."},
}

// appendWindowsEvent appends an event as winlogbeat ships it.
func (f *Fleet) appendWindowsEvent(dst []byte, a *agent, it item) []byte {
	e := windowsEvents[it.shape]
	a.recordID++
	dst = append(dst, `{"@timestamp":"`...)
	dst = stamp(dst, it.event, 3)
	dst = append(dst, `","ecs":{"version":"8.0.0"},"event":{"kind":"event","code":"`...)
	dst = strconv.AppendInt(dst, int64(e.id), 10)
	dst = append(dst, `","provider":`...)
	dst = event.AppendString(dst, e.provider)
	dst = append(dst, `,"created":"`...)
	dst = stamp(dst, f.now, 3)
	dst = append(dst, `"},"log":{"level":"`...)
	dst = append(dst, e.level...)
	dst = append(dst, `"},"message":`...)
	dst = event.AppendString(dst, e.message)
	dst = append(dst, `,"agent":{"type":"winlogbeat","version":"8.19.5"`...)
	dst = f.appendShipper(dst, a)
	dst = f.appendBeatHost(dst, a)
	dst = append(dst, `,"winlog":{"api":"wineventlog","event_id":"`...)
	dst = strconv.AppendInt(dst, int64(e.id), 10)
	dst = append(dst, '"')
	dst = text(dst, "provider_name", e.provider)
	if e.guid != "" {
		dst = text(dst, "provider_guid", e.guid)
	}
	dst = text(dst, "channel", e.channel)
	dst = append(dst, `,"computer_name":"`...)
	dst = a.appendName(dst)
	dst = append(dst, "."+domain...)
	dst = append(dst, '"')
	dst = number(dst, "record_id", int64(a.recordID))
	dst = append(dst, `,"process":{"pid":732,"thread":{"id":2972}}`...)
	if data := f.eventData(a, it); len(data) > 0 {
		dst = append(dst, `,"event_data":{`...)
		for i := 0; i < len(data); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = event.AppendString(dst, data[i])
			dst = append(dst, ':')
			dst = event.AppendString(dst, data[i+1])
		}
		dst = append(dst, '}')
	}
	return append(dst, `}}`...)
}

// service is the Windows service of the agent: key and display name.
func service(a *agent) (key, display string) {
	switch a.vendor {
	case defender:
		return "WinDefend", "Microsoft Defender Antivirus Service"
	case sentinelone:
		return "SentinelAgent", "Sentinel Agent"
	}
	return "CSFalconService", "CrowdStrike Falcon Sensor Service"
}

// eventData returns the names and values of winlog.event_data in turn.
func (f *Fleet) eventData(a *agent, it item) []string {
	key, display := service(a)
	switch it.shape {
	case winServiceState:
		return []string{"param1", display, "param2", [...]string{"stopped", "running"}[it.arg]}
	case winServiceCrash:
		return []string{"param1", display, "param2", strconv.Itoa(int(it.arg))}
	case winStartType:
		return []string{"param1", display, "param2", "auto start", "param3", "disabled", "param4", key}
	case winAppCrash:
		p := agentProgram(a)
		return []string{
			"param1", p.name, "param2", "23.4.2.216", "param3", "6602b5a4", "param4", "ntdll.dll", "param5", "10.0.20348.2527",
			"param6", "a2ba1d60", "param7", "c0000005", "param8", "00000000000214ab", "param9", fmt.Sprintf("0x%x", a.pid),
			"param10", "0x1dad98e5c2b6f4d", "param11", p.path, "param12", `C:\Windows\SYSTEM32\ntdll.dll`, "param13", "5a1b71a5-9a2c-4ad5-8c1d-8d5bb5e0b7d1",
		}
	case winUncleanBoot:
		return []string{
			"BugcheckCode", strconv.Itoa(int(it.arg)), "BugcheckParameter1", "0xffff840500000074", "BugcheckParameter2", "0x0",
			"BugcheckParameter3", "0xfffff8046f6535fb", "BugcheckParameter4", "0x2", "SleepInProgress", "0", "PowerButtonTimestamp", "0", "BootAppStatus", "0",
		}
	case winBugCheck:
		return []string{
			"param1", fmt.Sprintf("0x%08x (0xffff840500000074, 0x0000000000000000, 0xfffff8046f6535fb, 0x0000000000000002)", it.arg),
			"param2", `C:\Windows\MEMORY.DMP`, "param3", "8f4b9a55-8b6f-4d0e-9e0c-5a5a1d3c7f10",
		}
	case winUnexpected:
		at := time.UnixMilli(it.event - 60_000).UTC()
		return []string{"param1", at.Format("3:04:05 PM"), "param2", at.Format("1/2/2006")}
	case winKernelStart:
		return []string{
			"MajorVersion", "10", "MinorVersion", "0", "BuildVersion", "20348", "QfeVersion", "2527", "ServiceVersion", "0", "BootMode", "0",
			"StartTime", time.UnixMilli(a.bootAt).UTC().Format("2006-01-02T15:04:05.0000000Z"),
		}
	case winKernelStop:
		return []string{"StopTime", time.UnixMilli(it.event).UTC().Format("2006-01-02T15:04:05.0000000Z")}
	case winShutdownAsked:
		return []string{
			"param1", `C:\Windows\system32\svchost.exe`, "param2", string(a.appendName(nil)), "param3", "Operating System: Service pack (Planned)",
			"param4", "0x80020010", "param5", "restart", "param6", "", "param7", `NT AUTHORITY\SYSTEM`,
		}
	case winSleep:
		return []string{"TargetState", "4", "EffectiveState", "4", "Reason", "0", "Flags", "0", "TransitionsToOn", strconv.Itoa(int(a.recordID % 90))}
	case winResume:
		return []string{"ProgrammedWakeTimeAc", "1601-01-01T00:00:00.0000000Z", "WakeFromState", "4"}
	case winServiceNew:
		return []string{"ServiceName", key, "ImagePath", agentProgram(a).path, "ServiceType", "user mode service", "StartType", "auto start", "AccountName", driftAccount}
	case winModule:
		return []string{
			"UtcTime", time.UnixMilli(it.event).UTC().Format("2006-01-02 15:04:05.000"), "ProcessId", strconv.Itoa(int(a.pid)), "Image", agentProgram(a).path,
			"ImageLoaded", `C:\ProgramData\Temp\version.dll`, "Hashes", "SHA256=9c1185a5c5e9fc54612808977ee8f548b2258d31d8d1a9b1b1d6f0c4a5e3b7d2",
			"Signed", "false", "Signature", "-", "SignatureStatus", "Unavailable", "User", `NT AUTHORITY\SYSTEM`,
		}
	case winRealTimeOff:
		return []string{"Product_Name", "Microsoft Defender Antivirus", "Product_Version", "4.18.24060.7"}
	}
	return nil
}
