package simulator

import (
	"fmt"
	"time"
)

// everyStep returns the number of the present step of an incident that repeats
// on one host, and schedules the next while there are fewer than count.
func (f *Fleet) everyStep(n int, a *agent, count int, every time.Duration) int {
	began := f.truth.Incidents[n].Start.UnixMilli()
	k := int((f.now - began) / every.Milliseconds())
	if k+1 < count {
		f.incidentStep(n, a, stepHost, began+int64(k+1)*every.Milliseconds())
	}
	return k
}

// cpuSpike: the agent takes nearly all of the host's CPU for some time.
type cpuSpike struct {
	Base `yaml:",inline"`
	CPU  float64       `yaml:"cpu"` // share of the whole host, 0 to 1
	For  time.Duration `yaml:"for"`
}

func (p *cpuSpike) check(Composition) error {
	if !(p.CPU > 0 && p.CPU <= 1 && p.For > 0) {
		return fmt.Errorf("cpu and for: expected a share above 0 and at most 1 and a time above 0, found %g and %s", p.CPU, p.For)
	}
	return nil
}
func (p *cpuSpike) suits(_ *Fleet, a *agent) bool { return a.class == server && a.metrics }
func (p *cpuSpike) outcome() (expect, tolerate []string) {
	return []string{"cpu_spike"}, []string{"anomaly"}
}
func (p *cpuSpike) step(f *Fleet, n int, it item) {
	a := &f.agents[it.agent]
	if it.step == stepEnd {
		a.busy = 0
		f.truth.Incidents[n].End = time.UnixMilli(f.now).UTC()
		return
	}
	a.busy = float32(p.CPU)
	f.incidentStep(n, a, stepEnd, f.now+p.For.Milliseconds())
}

// memoryLeak: the agent's memory grows to a limit and stays there.
type memoryLeak struct {
	Base      `yaml:",inline"`
	PerMinute int `yaml:"mib_per_minute"`
	Limit     int `yaml:"mib"`
}

func (p *memoryLeak) check(Composition) error {
	const most = 1 << 20
	if p.PerMinute < 1 || p.PerMinute > most || p.Limit < 1 || p.Limit > most {
		return fmt.Errorf("mib_per_minute and mib: expected 1 to %d, found %d and %d", most, p.PerMinute, p.Limit)
	}
	return nil
}
func (p *memoryLeak) suits(_ *Fleet, a *agent) bool { return a.class == server && a.metrics }
func (p *memoryLeak) outcome() (expect, tolerate []string) {
	return []string{"memory_leak"}, []string{"anomaly"}
}
func (p *memoryLeak) step(f *Fleet, n int, it item) {
	a := &f.agents[it.agent]
	if a.grown += uint32(p.PerMinute); int(a.grown) < p.Limit {
		f.incidentStep(n, a, stepHost, f.now+60_000)
	}
}

// restartStorm: the sensor starts again and again on a host that stays up.
type restartStorm struct {
	Base  `yaml:",inline"`
	Count int           `yaml:"count"`
	Every time.Duration `yaml:"every"`
}

func (p *restartStorm) check(Composition) error { return checkRepeats(p.Count, p.Every) }
func (p *restartStorm) suits(_ *Fleet, a *agent) bool {
	return a.class == server && a.vendor == crowdstrike && a.platform == windows
}
func (p *restartStorm) outcome() (expect, tolerate []string) {
	return []string{"restart_storm"}, []string{"crash_loop"}
}
func (p *restartStorm) step(f *Fleet, n int, it item) {
	a := &f.agents[it.agent]
	f.everyStep(n, a, p.Count, p.Every)
	a.agentAt = f.now
	if a.events {
		f.record(a, winServiceState, f.now-2000, serviceStopped)
		f.record(a, winServiceState, f.now-200, serviceRunning)
	}
	f.record(a, fdrAgentOnline, f.now, 0)
	f.connect(a, f.now+1200)
}

func checkRepeats(count int, every time.Duration) error {
	if count < 1 || every < time.Second {
		return fmt.Errorf("count and every: expected at least 1 and 1s, found %d and %s", count, every)
	}
	return nil
}

// crashLoop: the agent's service terminates unexpectedly, is started by its
// watchdog and terminates again.
type crashLoop struct {
	Base  `yaml:",inline"`
	Count int           `yaml:"count"`
	Every time.Duration `yaml:"every"`
}

func (p *crashLoop) check(Composition) error { return checkRepeats(p.Count, p.Every) }
func (p *crashLoop) suits(_ *Fleet, a *agent) bool {
	return a.class == server && a.vendor == sentinelone
}
func (p *crashLoop) outcome() (expect, tolerate []string) {
	return []string{"crash_loop"}, []string{"restart_storm"}
}
func (p *crashLoop) step(f *Fleet, n int, it item) {
	a := &f.agents[it.agent]
	k := f.everyStep(n, a, p.Count, p.Every)
	f.record(a, winAppCrash, f.now-300, 0)
	f.record(a, winServiceCrash, f.now, k+1)
	f.record(a, winServiceState, f.now+3000, serviceRunning)
	a.agentAt, a.pid = f.now+3000, a.pid+412
}

// tamper: someone opens the sensor's process with all rights and changes its
// service in the registry.
type tamper struct {
	Base `yaml:",inline"`
}

func (p *tamper) check(Composition) error { return nil }
func (p *tamper) suits(_ *Fleet, a *agent) bool {
	return a.vendor == crowdstrike && a.platform == windows && a.class != laptop
}
func (p *tamper) outcome() (expect, tolerate []string) {
	return []string{"tamper"}, []string{"protection_disabled"}
}
func (p *tamper) step(f *Fleet, _ int, it item) {
	a := &f.agents[it.agent]
	f.record(a, fdrHandleTamper, f.now, 0)
	f.record(a, fdrRegistryTamper, f.now+7000, 0)
	f.record(a, fdrRegistryTamper, f.now+9000, 0)
}

// protectionDisabled: real-time protection is switched off and the service is
// kept from starting again.
type protectionDisabled struct {
	Base `yaml:",inline"`
}

func (p *protectionDisabled) check(Composition) error { return nil }
func (p *protectionDisabled) suits(_ *Fleet, a *agent) bool {
	return a.vendor == defender && a.events && a.class != laptop
}
func (p *protectionDisabled) outcome() (expect, tolerate []string) {
	return []string{"protection_disabled"}, []string{"tamper", "mode_change"}
}
func (p *protectionDisabled) step(f *Fleet, _ int, it item) {
	a := &f.agents[it.agent]
	f.record(a, winRealTimeOff, f.now, 0)
	f.record(a, winStartType, f.now+20_000, 0)
	f.record(a, winServiceState, f.now+21_000, serviceStopped)
}

// silentHost: the sensor stops without a word; the host goes on.
type silentHost struct {
	Base `yaml:",inline"`
}

func (p *silentHost) check(Composition) error { return nil }
func (p *silentHost) suits(_ *Fleet, a *agent) bool {
	return a.vendor == crowdstrike && a.class == server && !a.events && !a.metrics
}
func (p *silentHost) outcome() (expect, tolerate []string) { return []string{"silent_host"}, nil }
func (p *silentHost) step(f *Fleet, _ int, it item)        { f.down(&f.agents[it.agent]) }
