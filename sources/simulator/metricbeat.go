package simulator

import (
	"strconv"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// driftAccount is an account under which no agent should run.
const driftAccount = `CORP\svc-backup`

// program is the agent's own process on a host.
type program struct{ name, path, user string }

func agentProgram(a *agent) program {
	switch {
	case a.vendor == defender:
		return program{"MsSense.exe", `C:\Program Files\Windows Defender Advanced Threat Protection\MsSense.exe`, `NT AUTHORITY\SYSTEM`}
	case a.vendor == sentinelone:
		return program{"SentinelAgent.exe", `C:\Program Files\SentinelOne\Sentinel Agent 23.4.2.216\SentinelAgent.exe`, `NT AUTHORITY\SYSTEM`}
	case a.platform == mac:
		return program{"com.crowdstrike.falcon.Agent", "/Library/SystemExtensions/com.crowdstrike.falcon.Agent.systemextension/Contents/MacOS/com.crowdstrike.falcon.Agent", "root"}
	case a.platform == linux:
		return program{"falcon-sensor", "/opt/CrowdStrike/falcon-sensor", "root"}
	}
	return program{"CSFalconService.exe", `C:\Program Files\CrowdStrike\CSFalconService.exe`, `NT AUTHORITY\SYSTEM`}
}

// appendProcessSample appends a sample of the agent's process from the
// system.process metric set of metricbeat.
func (f *Fleet) appendProcessSample(dst []byte, a *agent, it item) []byte {
	busy := float64(a.cpu) * (0.6 + 0.8*f.random.Float64())
	if f.random.IntN(200) == 0 {
		busy += 0.25 * f.random.Float64() // a short scan
	}
	if a.busy > 0 {
		busy = float64(a.busy) * (0.94 + 0.06*f.random.Float64())
	}
	memory := int64(a.memory)<<20 + f.upTo(8<<20) + int64(a.grown)<<20
	memory += min(int64(a.leak)*max(0, it.event-a.agentAt)/60_000, int64(a.leakMax)) << 20
	total := int64(a.cores) * 4 << 30
	p := agentProgram(a)
	if a.drifted {
		p.user = driftAccount
	}

	dst = append(dst, `{"@timestamp":"`...)
	dst = stamp(dst, it.event, 3)
	dst = append(dst, `","ecs":{"version":"8.0.0"},"event":{"dataset":"system.process","module":"system","duration":`...)
	dst = strconv.AppendInt(dst, 11_000_000+f.upTo(9_000_000), 10)
	dst = append(dst, `},"metricset":{"name":"process","period":60000},"service":{"type":"system"},"agent":{"type":"metricbeat","version":"8.19.5"`...)
	dst = f.appendShipper(dst, a)
	dst = f.appendBeatHost(dst, a)
	dst = append(dst, `,"process":{"pid":`...)
	dst = strconv.AppendUint(dst, uint64(a.pid), 10)
	dst = append(dst, `,"ppid":732`...)
	dst = text(dst, "name", p.name)
	dst = text(dst, "executable", p.path)
	dst = append(dst, `,"cpu":{`...)
	dst = share(dst, "pct", busy)
	dst = append(dst, `,"start_time":"`...)
	dst = stamp(dst, a.agentAt, 3)
	dst = append(dst, `"},"memory":{`...)
	dst = share(dst, "pct", float64(memory)/float64(total))
	dst = append(dst, `}},"user":{"name":`...)
	dst = event.AppendString(dst, p.user)
	dst = append(dst, `},"system":{"process":{"state":"running","num_threads":`...)
	dst = strconv.AppendInt(dst, 40+f.upTo(20), 10)
	dst = append(dst, `,"cpu":{"start_time":"`...)
	dst = stamp(dst, a.agentAt, 3)
	dst = append(dst, `","total":{"value":`...)
	dst = strconv.AppendInt(dst, int64(float64(max(0, it.event-a.agentAt))*float64(a.cpu)*float64(a.cores)), 10)
	dst = append(dst, ',')
	dst = share(dst, "pct", busy*float64(a.cores))
	dst = append(dst, `,"norm":{`...)
	dst = share(dst, "pct", busy)
	dst = append(dst, `}}},"memory":{"size":`...)
	dst = strconv.AppendInt(dst, memory*3/2, 10)
	dst = append(dst, `,"share":0,"rss":{"bytes":`...)
	dst = strconv.AppendInt(dst, memory, 10)
	dst = append(dst, ',')
	dst = share(dst, "pct", float64(memory)/float64(total))
	return append(dst, `}}}}}`...)
}

// appendShipper appends the rest of the agent object: the beat on the host.
func (f *Fleet) appendShipper(dst []byte, a *agent) []byte {
	dst = append(dst, `,"id":"`...)
	dst = appendUUID(dst, f.id(a, saltBeat))
	dst = append(dst, `","name":"`...)
	dst = a.appendName(dst)
	return append(dst, `"}`...)
}

// appendBeatHost appends the host object that beats add.
func (f *Fleet) appendBeatHost(dst []byte, a *agent) []byte {
	dst = append(dst, `,"host":{"name":"`...)
	dst = a.appendName(dst)
	dst = append(dst, `","hostname":"`...)
	dst = a.appendName(dst)
	dst = append(dst, `","id":"`...)
	dst = appendUUID(dst, f.id(a, saltMachine))
	switch a.platform {
	case mac:
		dst = append(dst, `","os":{"platform":"darwin","type":"macos","family":"darwin","name":"macOS"}`...)
	case linux:
		dst = append(dst, `","os":{"platform":"ubuntu","type":"linux","family":"debian","name":"Ubuntu"}`...)
	default:
		dst = append(dst, `","os":{"platform":"windows","type":"windows","family":"windows"`...)
		dst = text(dst, "name", productName(a))
		dst = append(dst, '}')
	}
	return append(dst, '}')
}
