package simulator

import (
	"fmt"
	"strconv"
)

// fdrEvents names the events: event_simpleName and the schema version that
// ends the name (SensorHeartbeat, Win, V4).
var fdrEvents = [...]struct{ name, version string }{
	fdrHeartbeat:      {"SensorHeartbeat", "V4"},
	fdrAgentOnline:    {"AgentOnline", "V16"},
	fdrAgentConnect:   {"AgentConnect", "V5"},
	fdrOSVersion:      {"OsVersionInfo", "V4"},
	fdrConfigState:    {"ConfigStateUpdate", "V1"},
	fdrTags:           {"CurrentSystemTags", "V1"},
	fdrCloudFile:      {"LFODownloadConfirmation", "V1"},
	fdrChannelFile:    {"ChannelDataDownloadComplete", "V1"},
	fdrInstallDone:    {"InstallServiceDownloadComplete", "V1"},
	fdrResource:       {"ResourceUtilization", "V2"},
	fdrHandleTamper:   {"FalconProcessHandleOpDetectInfo", "V1"},
	fdrRegistryTamper: {"FalconHostRegTamperingInfo", "V3"},
	fdrProcess:        {"ProcessRollup2", "V19"},
	fdrCrash:          {"CrashNotification", "V4"},
	fdrUninstall:      {"AcUninstallConfirmation", "V3"},
	fdrInventory:      {},
}

var platforms = [...]struct {
	name, digit string // event_platform and the second number of ConfigBuild
	system      string
}{
	windows: {"Win", "3", "Windows"},
	mac:     {"Mac", "4", "macOS"},
	linux:   {"Lin", "8", "Linux"},
}

// appendFDR appends a line of the Falcon Data Replicator: a flat object whose
// numbers are strings.
func (f *Fleet) appendFDR(dst []byte, a *agent, it item) []byte {
	p := platforms[a.platform]
	dst = append(dst, `{"aid":"`...)
	dst = f.appendAgentID(dst, a)
	dst = append(dst, `","cid":"`...)
	dst = append(dst, "5ddb0407bef249c19c7a975f17979a1f"...)
	dst = append(dst, `","aip":"`...)
	dst = a.appendPublicIP(dst)
	dst = append(dst, '"')
	dst = text(dst, "event_platform", p.name)
	dst = f.appendConfigBuild(dst, a)
	if it.shape == fdrInventory {
		return append(f.appendInventory(dst, a), '}')
	}
	e := fdrEvents[it.shape]
	dst = text(dst, "event_simpleName", e.name)
	dst = append(dst, `,"name":"`...)
	dst = append(dst, e.name...)
	dst = append(dst, p.name...)
	dst = append(dst, e.version...)
	dst = append(dst, `","id":"`...)
	dst = appendUUID(dst, f.id(a, uint64(a.sent)))
	dst = append(dst, '"')
	dst = digits(dst, "timestamp", it.event)
	dst = digits(dst, "ConfigStateHash", int64(f.configHash(a)))
	dst = append(dst, `,"Entitlements":"15","EffectiveTransmissionClass":"0","EventOrigin":"1"`...)
	dst = f.appendFDRBody(dst, a, it)
	return append(dst, '}')
}

// appendConfigBuild appends ConfigBuild, such as 1007.3.0018613.1.
func (f *Fleet) appendConfigBuild(dst []byte, a *agent) []byte {
	dst = append(dst, `,"ConfigBuild":"1007.`...)
	dst = append(dst, platforms[a.platform].digit...)
	dst = append(dst, ".00"...)
	dst = strconv.AppendInt(dst, int64(f.version(a).build), 10)
	return append(dst, `.1"`...)
}

func (f *Fleet) appendSensorVersion(dst []byte, a *agent) []byte {
	v := f.version(a)
	dst = append(dst, `,"AgentVersion":"`...)
	for _, n := range [...]int{v.major, v.minor, v.build} {
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, '.')
	}
	return append(dst, `0"`...)
}

func (f *Fleet) appendFDRBody(dst []byte, a *agent, it item) []byte {
	switch it.shape {
	case fdrHeartbeat:
		dst = append(dst, `,"SensorStateBitMap":"`...)
		if a.reduced {
			dst = append(dst, '2')
		} else {
			dst = append(dst, '0')
		}
		dst = append(dst, `","NetworkContainmentState":"0","ConfigurationVersion":"10","ConfigIDBase":"65994753","ProvisionState":"1"`...)
		dst = text(dst, "ConfigIDPlatform", platforms[a.platform].digit)
		dst = digits(dst, "ConfigIDBuild", int64(f.version(a).build))
	case fdrAgentOnline:
		dst = f.appendAgentOnline(dst, a, it)
	case fdrAgentConnect:
		dst = digits(dst, "ConnectTime", it.event/1000)
		dst = digits(dst, "PreviousConnectTime", a.lastConn/1000)
		dst = digits(dst, "FailedConnectCount", int64(a.failures))
		dst = append(dst, `,"ConnectType":"1","VerifiedCertificate":"1","NetworkContainmentState":"0"`...)
		a.lastConn, a.failures = it.event, 0
	case fdrOSVersion:
		dst = f.appendSensorVersion(dst, a)
		dst = append(dst, `,"RFMState":"0"`...)
		dst = text(dst, "OSVersionString", osVersion(a))
		if a.platform == linux {
			dst = digits(dst, "LinuxSensorBackend", int64(a.index/3%2))
		}
		dst = text(dst, "ProductName", productName(a))
	case fdrConfigState:
		dst = f.appendConfigState(dst, a)
	case fdrTags:
		dst = append(dst, `,"SystemTableIndex":"121","Tags":"25, 26, 4053, 874"`...)
	case fdrCloudFile:
		dst = append(dst, `,"DownloadServer":"lfodown01-b.cloudsink.net","DownloadPort":"443","DownloadPath":"/channel/`...)
		dst = f.appendChannelFile(dst, it)
		dst = append(dst, `","TargetFileName":"`...)
		dst = f.appendChannelFile(dst, it)
		dst = append(dst, `","CompletionEventId":"Event_ChannelDataDownloadCompleteV1"`...)
	case fdrChannelFile:
		dst = append(dst, `,"TargetFileName":"`...)
		dst = f.appendChannelFile(dst, it)
		dst = append(dst, `","Status":"0","CloudErrorCode":"0","ErrorText":""`...)
	case fdrInstallDone:
		dst = append(dst, `,"Status":"0","CloudErrorCode":"0","TargetFileName":"WindowsSensor.exe"`...)
	case fdrResource:
		use := 10 + f.random.IntN(30)
		dst = digits(dst, "AverageCpuUsage", int64(use))
		dst = digits(dst, "MaxCpuUsage", int64(use+f.random.IntN(50)))
		dst = append(dst, `,"AverageUsedRam":"5713","MaxUsedRam":"6406","UsedDiskSpace":"118","AvailableDiskSpace":"357"`...)
	case fdrHandleTamper:
		dst = seconds(dst, "ContextTimeStamp", it.event)
		dst = text(dst, "TargetProcessImageFileName", `\Device\HarddiskVolume3\Program Files\CrowdStrike\CSFalconService.exe`)
		dst = append(dst, `,"DesiredAccess":"2097151","HandleOperationType":"1","PatternId":"10265","TemplateInstanceId":"171"`...)
	case fdrProcess:
		dst = seconds(dst, "ContextTimeStamp", it.event)
		dst = digits(dst, "RawProcessId", f.upTo(20_000)*4+400)
		dst = digits(dst, "TargetProcessId", f.upTo(1<<40))
		dst = text(dst, "ImageFileName", [...]string{`\Device\HarddiskVolume3\Windows\System32\svchost.exe`, `\Device\HarddiskVolume3\Windows\System32\conhost.exe`,
			`\Device\HarddiskVolume3\Program Files\Example\worker.exe`, "/usr/bin/python3"}[f.random.IntN(4)])
	case fdrRegistryTamper:
		dst = seconds(dst, "ContextTimeStamp", it.event)
		dst = text(dst, "RegObjectName", `\REGISTRY\MACHINE\SYSTEM\ControlSet001\Services\CSAgent`)
		dst = append(dst, `,"RegValueName":"Start","RegOperationType":"1"`...)
	}
	return dst
}

func (f *Fleet) appendAgentOnline(dst []byte, a *agent, it item) []byte {
	dst = f.appendSensorVersion(dst, a)
	dst = append(dst, `,"AgentLoadFlags":"1"`...)
	dst = seconds(dst, "AgentLocalTime", it.event)
	if a.platform == windows {
		dst = digits(dst, "BaseTime", (a.bootAt+11_644_473_600_000)*10_000) // FILETIME of the boot
	}
	dst = f.appendComputer(dst, a)
	dst = appendHardware(dst, a)
	return append(dst, `,"ProvisionState":"1"`...)
}

// appendComputer appends what names the host and groups it.
func (f *Fleet) appendComputer(dst []byte, a *agent) []byte {
	dst = append(dst, `,"ComputerName":"`...)
	dst = a.appendName(dst)
	dst = append(dst, `","SystemSerialNumber":"PF`...)
	dst = strconv.AppendInt(dst, int64(mix(uint64(a.index))%90_000_000+10_000_000), 10)
	dst = append(dst, `","SensorGroupingTags":"ring-`...)
	return append(dst, '0'+a.ring, '"')
}

// appendInventory appends the rest of an aidmaster line, which is no event:
// it has neither a name nor an id.
func (f *Fleet) appendInventory(dst []byte, a *agent) []byte {
	dst = f.appendComputer(dst, a)
	dst = f.appendSensorVersion(dst, a)
	dst = digits(dst, "Time", a.agentAt/1000)
	dst = seconds(dst, "FirstSeen", a.bootAt-90*86_400_000)
	dst = seconds(dst, "AgentLocalTime", a.agentAt)
	dst = append(dst, `,"AgentLoadFlags":"1","AgentTimeOffset":"125.319","HostHiddenStatus":"Visible","FalconGroupingTags":"none"`...)
	dst = text(dst, "Version", osVersion(a))
	dst = text(dst, "ProductType", [...]string{"3", "1", "1"}[a.class])
	dst = appendHardware(dst, a)
	return append(dst, `,"SiteName":"none","OU":"none","MachineDomain":"corp.example"`...)
}

func osVersion(a *agent) string {
	switch {
	case a.platform == mac:
		return "Sonoma (14)"
	case a.platform == linux:
		return "Ubuntu 22.04.4 LTS"
	case a.class == server:
		return "Windows Server 2022"
	}
	return "Windows 11"
}

func productName(a *agent) string {
	switch {
	case a.platform != windows:
		return platforms[a.platform].system
	case a.class == server:
		return "Windows Server 2022 Datacenter"
	}
	return "Windows 11 Enterprise"
}

// appendChannelFile appends a name such as C-00000291-00000000-00000032.sys.
func (f *Fleet) appendChannelFile(dst []byte, it item) []byte {
	p := f.pushes[it.arg/2]
	version := p.spec.Version
	if it.arg%2 == 1 {
		version = p.spec.RevertTo
	}
	return fmt.Appendf(dst, "C-%08d-00000000-%08d.sys", p.spec.Channel, version)
}

// appendConfigState appends the applied channels: 1,<channel>,<version> in
// hexadecimal, joined by pipes.
func (f *Fleet) appendConfigState(dst []byte, a *agent) []byte {
	dst = append(dst, `,"ConfigStateData":"1,1f6,2|1,1f7,1`...)
	for n, p := range f.pushes {
		dst = fmt.Appendf(dst, "|1,%x,%x", p.spec.Channel, f.contentVersion(a, n))
	}
	return append(dst, '"')
}

// contentVersion is the version of the n-th push's channel on the agent.
func (f *Fleet) contentVersion(a *agent, n int) int {
	spec := f.pushes[n].spec
	switch {
	case a.reverted&(1<<n) != 0:
		return spec.RevertTo
	case a.received&(1<<n) != 0:
		return spec.Version
	}
	return spec.Version - 1
}

// configHash changes with the configuration: platform, sensor and content.
func (f *Fleet) configHash(a *agent) uint32 {
	state := uint64(a.platform)<<32 | uint64(a.sensor)<<24 | uint64(a.received)<<8 | uint64(a.reverted)
	return uint32(mix(f.config.Seed ^ state))
}
