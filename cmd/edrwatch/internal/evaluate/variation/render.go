package variation

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// render makes the bytes of a record.
func (b *builder) render(h *host, r *record) []byte {
	at := b.start.Add(r.event + h.wrong).UTC()
	switch r.kind {
	case sample:
		return b.process(h, r, at)
	case windowsEvent:
		return renderWindows(h, &windowsEvents[r.arg], at, r)
	}
	switch h.vendor {
	case falcon:
		return b.fdr(h, r, at)
	case elastic:
		return b.endpoint(h, r, at)
	case sentinelone:
		return b.agentRow(h, r, at)
	case defender:
		return b.deviceInfo(h, r, at)
	}
	return b.guard(h, r, at)
}

func (h *host) platform() (falcon, family string) {
	if h.linux {
		return "Lin", "linux"
	}
	return "Win", "windows"
}

func (h *host) osName() string {
	switch {
	case h.linux:
		return "Ubuntu 22.04"
	case h.class == server:
		return "Windows Server 2019"
	}
	return "Windows 11"
}

func (h *host) address() string {
	if h.remote {
		return fmt.Sprintf("203.0.113.%d", 1+h.n%4)
	}
	return fmt.Sprintf("198.51.%d.%d", 100+h.site, 1+h.n%250)
}

func (b *builder) fdr(h *host, r *record, at time.Time) []byte {
	p, _ := h.platform()
	version := versionAt(h, r.event)
	build := strings.Split(version, ".")[2]
	head := func(name string) string {
		return fmt.Sprintf(`{"event_simpleName":%q,"name":"%s%sV3","aid":%q,"cid":"0f0f0f0f0f0f4000800000000000000a","aip":%q,"event_platform":%q,`+
			`"timestamp":"%d","id":"%s-%d-%d","ConfigBuild":"1007.%s.00%s.11","ConfigStateHash":"%d","EffectiveTransmissionClass":"2","Entitlements":"15"`,
			name, name, p, h.agentID, h.address(), p, at.UnixMilli(), h.agentID[:8], r.event/time.Millisecond, r.kind,
			map[string]string{"Win": "3", "Lin": "8"}[p], build, len(h.contents)*7919)
	}
	switch r.kind {
	case online:
		s := head("AgentOnline") + fmt.Sprintf(`,"AgentVersion":%q,"ComputerName":%q,"AgentLoadFlags":"1","AgentLocalTime":"%d.113"`, version, h.name, at.Unix())
		if h.typed {
			s += `,"ChassisType":"` + [...]string{"Rack Mount Chassis", "Desktop", "Notebook"}[h.class] + `"`
		}
		return []byte(s + `}`)
	case connected:
		return []byte(head("AgentConnect") + fmt.Sprintf(`,"ConnectTime":"%d.0","FailedConnectCount":"%d","ConnectType":"1"}`, at.Unix(), r.arg))
	case contentFile:
		channel := 291
		n, _ := strconv.Atoi(b.content(h, r.event))
		if r.arg == routine {
			channel, n = 290, 40+int(r.event/(3*time.Hour))
		}
		return []byte(head("LFODownloadConfirmation") + fmt.Sprintf(`,"TargetFileName":"C-%08d-00000000-%08d.sys","DownloadServer":"lfodown.example","CompletionEventId":"Event_ChannelDataDownloadCompleteV1"}`, channel, n))
	case sensorError:
		return []byte(head("ErrorEvent") + fmt.Sprintf(`,"Facility":"3","ErrorStatus":"322122%04d","File":"7","Line":"%d"}`, 5400+r.arg, 100+r.arg))
	case downloadFailed:
		return []byte(head("ChannelDataDownloadComplete") + `,"TargetFileName":"C-00000290-00000000-00000041.sys","Status":"3221225473","CloudErrorCode":"1001"}`)
	case telemetry:
		return []byte(head("ProcessRollup2") + fmt.Sprintf(`,"ImageFileName":"\\Device\\HarddiskVolume3\\Windows\\System32\\svchost.exe","RawProcessId":"%d","TargetProcessId":"%d"}`, 4*(r.event%9000), r.event))
	case uninstalled:
		return []byte(head("AcUninstallConfirmation") + `}`)
	}
	return []byte(head("SensorHeartbeat") + `,"SensorStateBitMap":"0","NetworkContainmentState":"0","ProvisionState":"1"}`)
}

// versionAt is the version of the host's agent at a time.
func versionAt(h *host, t time.Duration) string { return at(h.versions, h.version, t) }

func (b *builder) content(h *host, t time.Duration) string { return at(h.contents, "1", t) }

// endpoint renders Elastic Defend's documents.
func (b *builder) endpoint(h *host, r *record, at time.Time) []byte {
	_, family := h.platform()
	head := func(action, dataset string) string {
		return fmt.Sprintf(`{"@timestamp":%q,"agent":{"id":%q,"type":"endpoint","version":%q},"data_stream":{"dataset":%q,"namespace":"default","type":"metrics"},`+
			`"event":{"action":%q,"category":["host"],"dataset":%q,"id":"%s%d","kind":"metric","module":"endpoint"},"host":{"hostname":%q,"id":%q,"name":%q,"os":{"name":%q,"type":%q}},`,
			stamp(at), h.agentID, versionAt(h, r.event), dataset, action, dataset, h.agentID[:8], r.event/time.Millisecond, h.name, h.id, h.name, h.osName(), family)
	}
	if r.kind == contentFile || r.kind == online || r.kind == connected {
		return []byte(head("endpoint_policy_response", "endpoint.policy") + fmt.Sprintf(`"Endpoint":{"policy":{"applied":{"id":"p-1","name":"all","version":"4","status":"success",`+
			`"actions":[{"name":"connect_kernel","status":"success"}],"artifacts":{"global":{"version":%q,"channel":"stable"}}}}}}`, b.content(h, r.event)))
	}
	cpu, memory := h.cpu, h.memory
	if h.use != nil {
		c, m := h.use(r.event)
		cpu, memory = min(cpu+c, 100), memory+m
	}
	return []byte(head("endpoint_metrics", "endpoint.metrics") + fmt.Sprintf(`"Endpoint":{"metrics":{"cpu":{"endpoint":{"latest":%.2f,"mean":%.2f}},`+
		`"memory":{"endpoint":{"private":{"latest":%d,"mean":%d}}},"uptime":{"endpoint":%d,"system":%d}}}}`,
		cpu, cpu, int(memory)<<20, int(memory)<<20, int(r.event/time.Second)+40_000, int(r.event/time.Second)+50_000))
}

// agentRow renders a row of SentinelOne's agents or activities.
func (b *builder) agentRow(h *host, r *record, at time.Time) []byte {
	_, family := h.platform()
	if r.kind == activity {
		return []byte(fmt.Sprintf(`{"accountId":"100","activityType":%d,"agentId":%q,"createdAt":%q,"updatedAt":%q,"data":{"computerName":%q,"osFamily":%q,"byUser":"operator"},`+
			`"id":"%d","osFamily":%q,"primaryDescription":"The user disabled the agent.","siteName":"site-%d"}`, r.arg, h.agentID, stamp(at), stamp(at), h.name, family, r.event, family, h.site))
	}
	active := r.arg == 1 || r.kind != beat
	last := at
	if !active {
		_, d := h.up(r.event)
		last = b.start.Add(d.from)
	}
	machine := "unknown"
	if h.typed {
		machine = [...]string{"server", "desktop", "laptop"}[h.class]
	}
	return []byte(fmt.Sprintf(`{"accountId":"100","agentVersion":%q,"computerName":%q,"externalIp":%q,"groupName":"default","id":%q,"isActive":%t,"isDecommissioned":false,`+
		`"isPendingUninstall":false,"isUninstalled":false,"isUpToDate":true,"lastActiveDate":%q,"machineType":%q,"mitigationMode":"protect","networkStatus":"connected","operationalState":"na",`+
		`"osName":%q,"osType":%q,"registeredAt":"2024-01-02T09:00:00.000000Z","scanStatus":"finished","siteName":"site-%d","updatedAt":%q,"userActionsNeeded":[],"uuid":%q}`,
		versionAt(h, r.event), h.name, h.address(), h.agentID, active, stamp(last), machine, h.osName(), family, h.site, stamp(at), h.id))
}

func (b *builder) deviceInfo(h *host, r *record, at time.Time) []byte {
	kind := "Workstation"
	if h.class == server {
		kind = "Server"
	}
	if !h.typed {
		kind = ""
	}
	return []byte(fmt.Sprintf(`{"time":%q,"tenantId":"00000000-0000-4000-8000-00000000aaaa","category":"AdvancedHunting-DeviceInfo","operationName":"Publish","properties":{`+
		`"Timestamp":%q,"DeviceId":%q,"DeviceName":"%s.example.com","ClientVersion":%q,"PublicIP":%q,"OSPlatform":"Windows","OnboardingStatus":"Onboarded","SensorHealthState":"Active",`+
		`"DeviceType":%q,"ReportId":%d,"ExposureLevel":"Low"}}`, stamp(at), stamp(at), h.agentID, strings.ToLower(h.name), versionAt(h, r.event), h.address(), kind, r.event/time.Millisecond))
}

// guard renders a home-made agent in the gateway's own schema.
func (b *builder) guard(h *host, r *record, at time.Time) []byte {
	action := map[kind]string{beat: "sensor-heartbeat", online: "sensor-started", connected: "sensor-connected", contentFile: "content-updated"}[r.kind]
	kind := ""
	if h.typed {
		kind = `,"type":"` + [...]string{"server", "workstation", "workstation"}[h.class] + `"`
	}
	return []byte(fmt.Sprintf(`{"edrwatch":1,"action":%q,"time":%q,"id":"%s-%d-%d","agent":{"id":%q,"type":"example-guard","version":%q,"vendor":"Example","product":"Guard"},`+
		`"host":{"name":%q,"os":"linux"%s},"content":{"channel":"rules","version":%q,"status":"applied"}}`,
		action, stamp(at), h.agentID[:8], r.event/time.Millisecond, r.kind, h.agentID, versionAt(h, r.event), h.name, kind, b.content(h, r.event)))
}

// process renders a sample of the agent's process as metricbeat sends it.
func (b *builder) process(h *host, r *record, at time.Time) []byte {
	name := [vendors]string{"CSFalconService.exe", "elastic-endpoint.exe", "SentinelAgent.exe", "MsSense.exe", "guard"}[h.vendor]
	user := `NT AUTHORITY\\SYSTEM`
	if h.linux {
		name, user = [vendors]string{"falcon-sensor", "elastic-endpoint", "sentinelone-agent", "wdavdaemon", "guard"}[h.vendor], "root"
	}
	if h.account != "" && r.event >= h.accountAt {
		user = strings.ReplaceAll(h.account, `\`, `\\`)
	}
	cpu, memory := float64(r.arg>>16)/1000, uint64(r.arg&0xffff)<<20
	_, family := h.platform()
	return []byte(fmt.Sprintf(`{"@timestamp":%q,"agent":{"type":"metricbeat","version":"8.14.3","id":%q,"name":%q},"event":{"dataset":"system.process","module":"system"},"metricset":{"name":"process"},`+
		`"host":{"name":%q,"id":%q,"os":{"type":%q,"family":%q,"name":%q}},"process":{"name":%q,"pid":%d,"cpu":{"pct":%.4f}},"user":{"name":"%s"},`+
		`"system":{"process":{"cpu":{"total":{"norm":{"pct":%.4f},"pct":%.4f}},"memory":{"rss":{"bytes":%d,"pct":0.01},"size":%d},"num_threads":44,"state":"running"}}}`,
		stamp(at), h.id, h.name, h.name, h.id, family, family, h.osName(), name, 1000+h.n, cpu, user, cpu, cpu*4, memory, memory*2))
}

func stamp(at time.Time) string { return at.Format("2006-01-02T15:04:05.000Z") }
