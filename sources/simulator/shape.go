package simulator

// shape is a kind of record.
type shape uint8

const (
	fdrHeartbeat shape = iota
	fdrAgentOnline
	fdrAgentConnect
	fdrOSVersion
	fdrConfigState
	fdrTags
	fdrCloudFile   // LFODownloadConfirmation; arg: the push and whether it is the reverted file
	fdrChannelFile // ChannelDataDownloadComplete; arg as above
	fdrInstallDone // InstallServiceDownloadComplete
	fdrResource
	fdrHandleTamper
	fdrRegistryTamper
	fdrProcess   // ProcessRollup2: what the agent sees on its host
	fdrCrash     // CrashNotification
	fdrUninstall // AcUninstallConfirmation
	fdrInventory // the last of CrowdStrike's

	winServiceState  // 7036; arg: serviceStopped or serviceRunning
	winServiceCrash  // 7034; arg: how often so far
	winStartType     // 7040: automatic to disabled
	winAppCrash      // Application Error 1000
	winUncleanBoot   // Kernel-Power 41; arg: bug check code
	winBugCheck      // WER-SystemErrorReporting 1001; arg: bug check code
	winUnexpected    // EventLog 6008
	winLogStarted    // EventLog 6005
	winLogStopped    // EventLog 6006
	winKernelStart   // Kernel-General 12
	winKernelStop    // Kernel-General 13
	winShutdownAsked // User32 1074
	winSleep         // Kernel-Power 42
	winResume        // Kernel-Power 107
	winServiceNew    // 7045: the service is installed to run under another account
	winModule        // Sysmon 7: an unsigned module in the agent's process
	winRealTimeOff   // Windows Defender 5001; the last of Windows

	deviceInfo
	deviceDefinitions // DeviceEvents: AntivirusDefinitionsUpdated; arg: number of the push
	processSample
)

const (
	serviceStopped = 0
	serviceRunning = 1
)

func (s shape) topic() string {
	switch {
	case s <= fdrInventory:
		return TopicFDR
	case s <= winRealTimeOff:
		return TopicWindows
	case s == deviceInfo || s == deviceDefinitions:
		return TopicDefender
	}
	return TopicMetrics
}

// shippedByBeat reports whether a shipper on the host sends the record, which
// catches up after an outage; what agents tell their cloud is lost.
func (s shape) shippedByBeat() bool {
	return s > fdrInventory && s <= winRealTimeOff || s == processSample
}
