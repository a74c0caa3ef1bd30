package mappings

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// named lists the events that each vendor's documentation, its published
// queries or its published records name as being about the agent: kinds of
// event by event.dataset. An event that is about something else on the host
// is not here.
func named() map[string]string {
	return map[string]string{
		"crowdstrike.fdr": `SensorHeartbeat AgentOnline AgentConnect OsVersionInfo ConfigStateUpdate SensorSettingsUpdate CurrentSystemTags
			FalconGroupingTags ChannelVersionRequired ChannelActive ChannelDataDownloadComplete LFODownloadConfirmation
			InstallBundleDownloadComplete InstallServiceDownloadComplete ManifestDownloadComplete UpdateManifestDownloadComplete
			ErrorEvent EtwErrorEvent UmppaErrorEvent ScriptControlErrorEvent CrashNotification ResourceUtilization SystemCapacity
			DiskCapacity BillingInfo ServicesStatusInfo FalconServiceStatus EtwComponentResponse XumdStatus PtActivationStatus
			FirmwareAnalysisStatus AmsiRegistrationStatus HttpVisibilityStatus LightningLatencyInfo LightningUnresponsiveStatus
			FalconProcessHandleOpDetectInfo FalconHostRegTamperingInfo WfpFilterTamperingFilterAdded WfpFilterTamperingFilterDeleted
			AcUninstallConfirmation AcUnloadConfirmation KernelModeLoadImage DriverLoad KextLoad KextUnload ClassifiedModuleLoad
			QuarantineActionResult QuarantinedFileState`,
		"crowdstrike.event_stream": `UserActivityAuditEvent AuthActivityAuditEvent RemoteResponseSessionStartEvent RemoteResponseSessionEndEvent`,
		"microsoft_defender_endpoint.device_events": `AntivirusDefinitionsUpdated AntivirusDefinitionsUpdateFailed AntivirusEmergencyUpdatesInstalled
			AntivirusScanCompleted AntivirusScanCancelled AntivirusScanFailed AntivirusError TamperingAttempt DriverLoad ServiceInstalled`,
		"windows.defender": `1000 1001 1002 1009 1011 1013 1150 1151 2000 2001 2010 3002 3007 5001 5004 5007 5008 5010 5012 5013 5101`,
		"windows.eventlog": `Service-Control-Manager/7036 Service-Control-Manager/7034 Service-Control-Manager/7031 Service-Control-Manager/7023
			Service-Control-Manager/7024 Service-Control-Manager/7000 Service-Control-Manager/7009 Service-Control-Manager/7001
			Service-Control-Manager/7026 Service-Control-Manager/7030 Service-Control-Manager/7040 Service-Control-Manager/7045
			Microsoft-Windows-FilterManager/6 Microsoft-Windows-FilterManager/1 SecurityCenter/15 SecurityCenter/1
			Application-Error/1000 Windows-Error-Reporting/1001 Microsoft-Windows-WER-SystemErrorReporting/1001
			Microsoft-Windows-Kernel-Power/41 EventLog/6008 EventLog/6005 EventLog/6006 EventLog/6013
			Microsoft-Windows-Kernel-General/12 Microsoft-Windows-Kernel-General/13 Microsoft-Windows-Kernel-Power/109 User32/1074
			Microsoft-Windows-Eventlog/104 Microsoft-Windows-Eventlog/1102 Microsoft-Windows-Eventlog/1100 Microsoft-Windows-Eventlog/1101
			Microsoft-Windows-Eventlog/1108 Microsoft-Windows-CodeIntegrity/3033 Microsoft-Windows-CodeIntegrity/3034
			Microsoft-Windows-CodeIntegrity/3065 Microsoft-Windows-CodeIntegrity/3066 Microsoft-Windows-CodeIntegrity/3076
			Microsoft-Windows-CodeIntegrity/3077 Microsoft-Windows-CodeIntegrity/3001 Microsoft-Windows-CodeIntegrity/3023
			Microsoft-Windows-CodeIntegrity/3104 Microsoft-Windows-CodeIntegrity/3089 Microsoft-Windows-Sysmon/4
			Microsoft-Windows-Sysmon/16 Microsoft-Windows-Sysmon/255 Microsoft-Windows-Sysmon/6 Microsoft-Windows-Sysmon/7
			Microsoft-Windows-Security-Auditing/4672 Microsoft-Windows-Security-Auditing/4697 Microsoft-Windows-Security-Auditing/5024
			Microsoft-Windows-Security-Auditing/5025 Microsoft-Windows-Security-Auditing/4719 Microsoft-Windows-AppLocker/8002
			Microsoft-Windows-AppLocker/8003 Microsoft-Windows-AppLocker/8004 Microsoft-Windows-AppLocker/8005
			Microsoft-Windows-AppLocker/8006 Microsoft-Windows-AppLocker/8007`,
		"wazuh.agent": `501 502 503 504 505 202 203 204 205 210 211 212 213 214 215 216 217 218 220 506`,
		"falco.internal": `Falco-internal:-metrics-snapshot Falco-internal:-syscall-event-drop Falco-internal:-timeouts-notification
			Falco-internal:-hot-restart-failure`,
		"sophos.central":  `Event::Endpoint::UpdateSuccess Event::Endpoint::UpdateFailure Event::Endpoint::UpdateRebootRequired Event::Endpoint::Registered`,
		"trendmicro.apex": `800101 800102`,
	}
}

// TestNamedEventsHaveGoldens holds the goldens to the list above: each event
// is in one, and differs by its action.
func TestNamedEventsHaveGoldens(t *testing.T) {
	type golden struct {
		Event struct{ Dataset, Code, Provider, Action string }
	}
	actions := map[string]map[string]bool{}
	files, err := filepath.Glob("*/testdata/*.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var documents []golden
		if err := json.Unmarshal(raw, &documents); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, d := range documents {
			for _, kind := range []string{d.Event.Code, d.Event.Provider + "/" + d.Event.Code} {
				key := d.Event.Dataset + " " + strings.ReplaceAll(kind, " ", "-")
				if actions[key] == nil {
					actions[key] = map[string]bool{}
				}
				actions[key][d.Event.Action] = true
			}
		}
	}
	for dataset, kinds := range named() {
		for _, kind := range strings.Fields(kinds) {
			seen := actions[dataset+" "+kind]
			switch {
			case len(seen) == 0:
				t.Errorf("%s: %s has no golden pair", dataset, kind)
			case len(seen) == 1 && seen["other"]:
				t.Errorf("%s: %s is other", dataset, kind)
			}
		}
	}
}
