package variation

import (
	"maps"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/sources/simulator"
)

// scenario is one story: how long it takes and what it does to the hosts.
type scenario struct {
	start  time.Time
	length time.Duration
	happen func(*builder)
	tail   bool // the capture goes on with late records when the feeds have ended
}

// Names lists the scenarios in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(scenarios())) }

func scenarios() map[string]scenario {
	noon := time.Date(2025, 3, 12, 9, 0, 0, 0, time.UTC)    // a Wednesday
	night := time.Date(2025, 3, 11, 22, 0, 0, 0, time.UTC)  // the second Tuesday of the month
	friday := time.Date(2025, 3, 14, 10, 0, 0, 0, time.UTC) //
	return map[string]scenario{
		"v-bad-content":         {start: noon, length: 3 * time.Hour, happen: badContent},
		"v-bad-sensor":          {start: noon, length: 5 * time.Hour, happen: badSensor},
		"v-boot-loop":           {start: noon, length: 3 * time.Hour, happen: bootLoop},
		"v-cpu-spike":           {start: noon, length: 3 * time.Hour, happen: cpuSpike},
		"v-crash-loop":          {start: noon, length: 2 * time.Hour, happen: crashLoop},
		"v-memory-leak":         {start: noon, length: 6 * time.Hour, happen: memoryLeak},
		"v-privilege-drift":     {start: noon, length: 2 * time.Hour, happen: privilegeDrift},
		"v-restart-storm":       {start: noon, length: 2 * time.Hour, happen: restartStorm},
		"v-silent-hosts":        {start: noon, length: 4 * time.Hour, happen: silentHosts},
		"v-tamper":              {start: noon, length: 2 * time.Hour, happen: tamper},
		"v-site-outage":         {start: noon, length: 3 * time.Hour, happen: siteOutage},
		"v-pipeline-outage":     {start: noon, length: 4 * time.Hour, happen: pipelineOutage},
		"v-quiet-patch-night":   {start: night, length: 8 * time.Hour, happen: patchNight},
		"v-quiet-weekend":       {start: friday, length: 72 * time.Hour, happen: func(*builder) {}},
		"v-quiet-rollout":       {start: friday, length: 8 * time.Hour, happen: healthyRollout},
		"v-quiet-late":          {start: noon, length: 12 * time.Hour, happen: lateBatches, tail: true},
		"v-quiet-vpn-reimages":  {start: noon, length: 8 * time.Hour, happen: vpnAndReimages},
		"v-quiet-one-feed-late": {start: noon, length: 6 * time.Hour, happen: oneFeedLate},
	}
}

// incident adds one to the truth; the hosts follow.
func (b *builder) incident(id string, from, within time.Duration, expect, tolerate []string) *simulator.Incident {
	b.truth.Incidents = append(b.truth.Incidents, simulator.Incident{
		ID: id, Type: id, Start: b.start.Add(from), End: b.truth.End, Expect: expect, Tolerate: tolerate, Within: within, Online: b.online(from),
	})
	return &b.truth.Incidents[len(b.truth.Incidents)-1]
}

func (b *builder) online(t time.Duration) int {
	n := 0
	for _, h := range b.hosts {
		if up, _ := h.up(t); up {
			n++
		}
	}
	return n
}

func (b *builder) hit(i *simulator.Incident, h *host, t time.Duration) {
	i.Hosts = append(i.Hosts, simulator.Host{Name: h.name, AgentID: h.agentID, At: b.start.Add(t)})
}

// pick chooses hosts of a kind that have no downtime of their own.
func (b *builder) pick(n int, suits func(*host) bool) []*host {
	var found []*host
	for _, i := range b.random.Perm(len(b.hosts)) {
		if h := b.hosts[i]; len(found) < n && suits(h) && h.class != laptop {
			h.downs = nil
			found = append(found, h)
		}
	}
	return found
}

// badContent: a harmful channel file takes Windows hosts of one vendor down.
func badContent(b *builder) {
	const from = 70 * time.Minute
	i := b.incident("bad-content", from, 5*time.Minute, []string{"mass_silence", "bad_rollout"}, []string{"silent_host", "boot_loop", "crash_loop", "silent_alive", "telemetry_loss"})
	i.Content, i.Verdict = "C-00000291-00000000-00000032.sys", "rollback"
	for _, h := range b.hosts {
		t := from + b.upTo(40*time.Minute)
		if up, _ := h.up(t); !up || h.vendor != falcon || h.linux {
			continue
		}
		h.contents = append(h.contents, change{t, "32"})
		dead := t + 3*time.Second + b.upTo(40*time.Second)
		b.hit(i, h, dead)
		h.stop(dead, b.length, crash)
	}
}

// badSensor: a new version crashes one host in eight of the first ring, and is
// paused there.
func badSensor(b *builder) {
	const from = time.Hour
	i := b.incident("bad-sensor", from, 3*time.Hour, []string{"bad_rollout"}, []string{"boot_loop", "crash_loop", "restart_storm", "silent_host", "mass_silence"})
	i.Content, i.Verdict = "7.18.19003.0", "rollback"
	for _, h := range b.hosts {
		if h.vendor != falcon || h.linux || h.class == laptop || h.n%3 != 0 {
			continue
		}
		t := from + b.upTo(2*time.Hour)
		h.versions = append(h.versions, change{t, i.Content})
		if b.random.IntN(8) == 0 {
			t += time.Minute + b.upTo(8*time.Minute)
			b.hit(i, h, t)
			h.stop(t, 2*time.Minute+b.upTo(3*time.Minute), crash)
		}
	}
}

func bootLoop(b *builder) {
	i := b.incident("boot-loop", time.Hour, 25*time.Minute, []string{"boot_loop"}, []string{"restart_storm", "crash_loop", "silent_host"})
	for _, h := range b.pick(1, func(h *host) bool { return h.ships != noEvents && h.vendor == falcon }) {
		b.hit(i, h, time.Hour)
		for k := range 7 {
			h.stop(time.Hour+time.Duration(k)*5*time.Minute, 90*time.Second, crash)
		}
	}
}

func cpuSpike(b *builder) {
	i := b.incident("cpu-spike", time.Hour, 20*time.Minute, []string{"cpu_spike"}, []string{"anomaly"})
	hosts := b.pick(2, func(h *host) bool { return h.metrics })
	hosts = append(hosts, b.pick(1, func(h *host) bool { return !h.metrics && h.vendor == elastic })...)
	for _, h := range hosts {
		b.hit(i, h, time.Hour)
		h.use = func(t time.Duration) (float64, float64) {
			if t > time.Hour && t < 90*time.Minute {
				return 93, 0
			}
			return 0, 0
		}
	}
}

func crashLoop(b *builder) {
	i := b.incident("crash-loop", time.Hour, 20*time.Minute, []string{"crash_loop"}, []string{"restart_storm"})
	for _, h := range b.pick(1, func(h *host) bool { return h.ships != noEvents && h.vendor != native }) {
		b.hit(i, h, time.Hour)
		for k := range 9 {
			t := time.Hour + time.Duration(k)*100*time.Second
			b.add(h, windowsEvent, t, evServiceCrash)
			b.add(h, windowsEvent, t+5*time.Second, evServiceRunning)
		}
	}
}

func memoryLeak(b *builder) {
	i := b.incident("memory-leak", time.Hour, 3*time.Hour, []string{"memory_leak"}, []string{"anomaly"})
	for _, h := range b.pick(1, func(h *host) bool { return h.metrics }) {
		b.hit(i, h, time.Hour)
		h.use = func(t time.Duration) (float64, float64) {
			return 0, 15 * max(0, (t-time.Hour).Minutes())
		}
	}
}

func privilegeDrift(b *builder) {
	i := b.incident("privilege-drift", time.Hour, 10*time.Minute, []string{"privilege_drift"}, []string{"tamper"})
	for _, h := range b.pick(1, func(h *host) bool { return h.ships != noEvents && h.vendor != native }) {
		b.hit(i, h, time.Hour)
		b.add(h, windowsEvent, time.Hour, evServiceInstalled)
	}
	for _, h := range b.pick(1, func(h *host) bool { return h.metrics && h.ships == noEvents && !h.linux }) {
		b.hit(i, h, time.Hour)
		h.account, h.accountAt = `EXAMPLE\helpdesk`, time.Hour
	}
}

func restartStorm(b *builder) {
	i := b.incident("restart-storm", time.Hour, 25*time.Minute, []string{"restart_storm"}, []string{"crash_loop"})
	for _, h := range b.pick(1, func(h *host) bool { return h.vendor == falcon }) {
		b.hit(i, h, time.Hour)
		for k := range 9 {
			b.add(h, online, time.Hour+time.Duration(k)*2*time.Minute, 0)
		}
	}
}

func silentHosts(b *builder) {
	i := b.incident("silent-hosts", 90*time.Minute, 80*time.Minute, []string{"silent_host"}, nil)
	for _, h := range b.pick(3, func(h *host) bool { return h.class == server && h.vendor != defender && h.vendor != sentinelone }) {
		b.hit(i, h, 90*time.Minute)
		h.stop(90*time.Minute, b.length, crash)
	}
}

func tamper(b *builder) {
	i := b.incident("tamper", time.Hour, 10*time.Minute, []string{"tamper", "protection_disabled"}, nil)
	for _, h := range b.pick(2, func(h *host) bool { return h.ships != noEvents && h.vendor == defender }) {
		b.hit(i, h, time.Hour)
		b.add(h, windowsEvent, time.Hour, evExclusion)
		b.add(h, windowsEvent, time.Hour+time.Minute, evRealTimeOff)
	}
	for _, h := range b.pick(1, func(h *host) bool { return h.vendor == sentinelone }) {
		b.hit(i, h, time.Hour)
		b.add(h, activity, time.Hour, 117)
	}
}

func siteOutage(b *builder) {
	const from, length = time.Hour, 35 * time.Minute
	i := b.incident("site-outage", from, 15*time.Minute, []string{"site_outage"}, []string{"telemetry_loss"})
	i.End = b.start.Add(from + length + 10*time.Minute)
	for _, h := range b.hosts {
		if h.site != 2 || h.remote {
			continue
		}
		if up, _ := h.up(from); up {
			b.hit(i, h, from)
		}
		h.stop(from, length, cut)
	}
}

func pipelineOutage(b *builder) {
	const from, length = 90 * time.Minute, 50 * time.Minute
	i := b.incident("pipeline-outage", from, 15*time.Minute, []string{"pipeline_silence"}, []string{"telemetry_loss"})
	i.End = b.start.Add(from + length)
	b.arrival = func(r *record, _ string) bool {
		if r.arrives >= from && r.arrives < from+length {
			r.arrives = from + length + (r.arrives-from)/20
		}
		return true
	}
}

func patchNight(b *builder) {
	for _, h := range b.hosts {
		if h.linux || h.class == laptop || b.random.IntN(10) == 0 {
			continue
		}
		for t, k := time.Hour+b.upTo(3*time.Hour), 0; k < 1+b.random.IntN(3); k++ {
			length := time.Minute + b.upTo(6*time.Minute)
			h.stop(t, length, shutdown)
			t += length + 3*time.Minute + b.upTo(12*time.Minute)
		}
	}
}

func healthyRollout(b *builder) {
	for _, h := range b.hosts {
		ring := time.Duration(h.n % 3)
		t := time.Hour + ring*2*time.Hour + b.upTo(2*time.Hour)
		h.versions = append(h.versions, change{t, [vendors]string{"7.17.18721.0", "8.15.0", "24.1.1.100", "10.8740.22631.1", "1.5.0"}[h.vendor]})
		if h.vendor == falcon || h.vendor == native {
			h.contents = append(h.contents, change{30*time.Minute + b.upTo(time.Hour), [vendors]string{falcon: "40", native: "291"}[h.vendor]})
		}
	}
}

// lateBatches: one batch in forty comes up to six hours late.
func lateBatches(b *builder) {
	late := map[[2]int]time.Duration{}
	b.arrival = func(r *record, topic string) bool {
		if topic != "edr.falcon" && topic != "edr.s1" {
			return true
		}
		batch := [2]int{int(r.event / (5 * time.Minute)), int(r.host) % 24}
		by, known := late[batch]
		if !known {
			if b.random.IntN(40) == 0 {
				by = 10*time.Minute + b.upTo(6*time.Hour-10*time.Minute)
			}
			late[batch] = by
		}
		r.arrives += by
		return true
	}
}

// vpnAndReimages: the VPN is down for half an hour, hosts are re-imaged
// under their names, and some are taken out of service.
func vpnAndReimages(b *builder) {
	for _, h := range b.hosts[:len(b.hosts):len(b.hosts)] {
		if h.remote {
			h.stop(2*time.Hour, 30*time.Minute, cut)
		}
		switch {
		case h.vendor == sentinelone || h.vendor == defender:
		case h.n%29 == 0 && h.class != server:
			t := 3*time.Hour + b.upTo(3*time.Hour)
			h.stop(t, b.length, shutdown)
			again := *h
			again.n, again.agentID, again.id = len(b.hosts), b.agentID(h.vendor), b.uuid()
			again.downs = []downtime{{-time.Hour, t + 30*time.Minute, shutdown}}
			again.versions, again.contents = nil, h.contents[:1:1]
			b.hosts = append(b.hosts, &again)
		case h.n%31 == 0 && h.vendor == falcon:
			h.stop(3*time.Hour+b.upTo(3*time.Hour), 2*b.length, gone)
		}
	}
	i := b.incident("decommissions", 3*time.Hour, 0, nil, []string{"protection_disabled"})
	for _, h := range b.hosts {
		if len(h.downs) > 0 && h.downs[len(h.downs)-1].how == gone {
			b.hit(i, h, 3*time.Hour)
		}
	}
	b.incident("vpn", 2*time.Hour, 0, nil, []string{"site_outage"})
}

// oneFeedLate: the API of one vendor lags by twenty minutes for two hours.
func oneFeedLate(b *builder) {
	b.incident("lag", time.Hour, 0, nil, []string{"pipeline_silence"})
	b.arrival = func(r *record, topic string) bool {
		if topic == "edr.falcon" && r.arrives >= time.Hour && r.arrives < 3*time.Hour {
			r.arrives += 20 * time.Minute
		}
		return true
	}
}
