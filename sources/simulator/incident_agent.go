package simulator

import (
	"fmt"
	"time"
)

// bootLoop: one host crashes and boots again and again, whatever its content.
type bootLoop struct {
	Base  `yaml:",inline"`
	Count int           `yaml:"count"`
	Every time.Duration `yaml:"every"`
}

func (p *bootLoop) check(Composition) error { return checkRepeats(p.Count, p.Every) }
func (p *bootLoop) suits(_ *Fleet, a *agent) bool {
	return a.class != laptop && a.vendor == crowdstrike && a.events
}
func (p *bootLoop) outcome() (expect, tolerate []string) {
	return []string{"boot_loop"}, []string{"restart_storm", "crash_loop", "silent_host"}
}
func (p *bootLoop) step(f *Fleet, n int, it item) {
	a := &f.agents[it.agent]
	switch {
	case it.step == stepHost && a.up:
		a.crashes++
		f.down(a)
		f.incidentStep(n, a, stepRecover, f.now+40_000)
	case it.step == stepRecover && it.gen == a.gen:
		f.bootUnclean(a)
		if int(a.crashes) < p.Count {
			f.incidentStep(n, a, stepHost, f.now+p.Every.Milliseconds())
		}
	}
}

// aliveButBlind: the agent's heartbeats go on, and what it sees on its host
// stops. It needs noise.telemetry.
type aliveButBlind struct {
	Base `yaml:",inline"`
}

func (p *aliveButBlind) check(Composition) error { return nil }
func (p *aliveButBlind) suits(f *Fleet, a *agent) bool {
	return a.vendor == crowdstrike && a.class == server && f.config.Scenario.Noise.Telemetry > 0
}
func (p *aliveButBlind) outcome() (expect, tolerate []string) {
	return []string{"silent_alive"}, []string{"telemetry_loss", "anomaly"}
}
func (p *aliveButBlind) step(f *Fleet, _ int, it item) { f.agents[it.agent].blind = true }

// reducedMode: the sensor says that it runs with reduced functionality.
type reducedMode struct {
	Base `yaml:",inline"`
}

func (p *reducedMode) check(Composition) error { return nil }
func (p *reducedMode) suits(_ *Fleet, a *agent) bool {
	return a.vendor == crowdstrike && a.class == server
}
func (p *reducedMode) outcome() (expect, tolerate []string) {
	return []string{"mode_change", "silent_alive"}, []string{"protection_disabled"}
}
func (p *reducedMode) step(f *Fleet, _ int, it item) { f.agents[it.agent].reduced = true }

// privilegeDrift: the agent is installed to run under another account.
type privilegeDrift struct {
	Base `yaml:",inline"`
}

func (p *privilegeDrift) check(Composition) error       { return nil }
func (p *privilegeDrift) suits(_ *Fleet, a *agent) bool { return a.events && a.class != laptop }
func (p *privilegeDrift) outcome() (expect, tolerate []string) {
	return []string{"privilege_drift"}, []string{"tamper"}
}
func (p *privilegeDrift) step(f *Fleet, _ int, it item) {
	a := &f.agents[it.agent]
	a.drifted = true
	f.record(a, winServiceNew, f.now, 0)
}

// oldVersion: a sensor goes back to a version that is out of support.
type oldVersion struct {
	Base  `yaml:",inline"`
	Major int `yaml:"major"`
	Minor int `yaml:"minor"`
	Build int `yaml:"build"`
}

func (p *oldVersion) check(Composition) error {
	if p.Build < 10_000 || p.Build > 99_999 {
		return fmt.Errorf("build: expected five digits, found %d", p.Build)
	}
	return nil
}
func (p *oldVersion) suits(_ *Fleet, a *agent) bool {
	return a.vendor == crowdstrike && a.platform == windows && a.class != laptop
}
func (p *oldVersion) outcome() (expect, tolerate []string) {
	return []string{"version_noncompliance"}, nil
}
func (p *oldVersion) step(f *Fleet, n int, it item) {
	a := &f.agents[it.agent]
	f.newSensors = append(f.newSensors, software{p.Major, p.Minor, p.Build, 0})
	f.truth.Incidents[n].Content = fmt.Sprintf("%d.%d.%d.0", p.Major, p.Minor, p.Build)
	a.sensor = uint8(len(falconVersions) + len(f.newSensors) - 1)
	a.agentAt = f.now
	f.record(a, fdrAgentOnline, f.now, 0)
	f.record(a, fdrOSVersion, f.now+1500, 0)
	f.connect(a, f.now+1200)
}

// unsignedModule: the agent's process loads a module that nobody has signed.
type unsignedModule struct {
	Base `yaml:",inline"`
}

func (p *unsignedModule) check(Composition) error       { return nil }
func (p *unsignedModule) suits(_ *Fleet, a *agent) bool { return a.events && a.class != laptop }
func (p *unsignedModule) outcome() (expect, tolerate []string) {
	return []string{"module_untrusted"}, []string{"tamper", "anomaly"}
}
func (p *unsignedModule) step(f *Fleet, _ int, it item) {
	f.record(&f.agents[it.agent], winModule, f.now, 0)
}

// clonedAgent: a host is a copy of another one, and both agents have one id.
type clonedAgent struct {
	Base `yaml:",inline"`
}

func (p *clonedAgent) check(Composition) error { return nil }
func (p *clonedAgent) suits(_ *Fleet, a *agent) bool {
	return a.vendor == crowdstrike && a.platform == windows && a.class == server
}
func (p *clonedAgent) outcome() (expect, tolerate []string) {
	return []string{"anomaly", "other"}, []string{"tamper", "version_noncompliance", "restart_storm"}
}
func (p *clonedAgent) step(f *Fleet, n int, it item) {
	a := &f.agents[it.agent]
	for i := range f.agents {
		if b := &f.agents[i]; b.index != a.index && p.suits(f, b) && !b.reserved && b.up {
			a.twin = b.index
			f.hit(n, b)
			break
		}
	}
	f.record(a, fdrAgentOnline, f.now, 0)
	f.connect(a, f.now+1200)
}

// within says how soon each type of incident has to be found to be on time: a
// few periods of what its records repeat with.
func within(kind string) time.Duration {
	switch kind {
	case "tamper", "protection_disabled", "privilege_drift", "version_noncompliance", "unsigned_module":
		return 5 * time.Minute
	case "content_push", "site_outage", "feed_outage":
		return 10 * time.Minute
	case "cpu_spike", "crash_loop", "restart_storm", "boot_loop":
		return 20 * time.Minute
	case "silent_host", "reduced_mode":
		return 40 * time.Minute
	}
	return 90 * time.Minute
}
