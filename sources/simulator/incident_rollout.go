package simulator

import (
	"fmt"
	"slices"
	"time"
)

// sensorRollout: a new sensor version, ring by ring. Each sensor restarts
// once. It is healthy unless the file says what is wrong with it.
type sensorRollout struct {
	Base       `yaml:",inline"`
	Major      int           `yaml:"major"`
	Minor      int           `yaml:"minor"`
	Build      int           `yaml:"build"`
	Ring       time.Duration `yaml:"ring"`           // time that each of the three rings takes
	PauseAfter time.Duration `yaml:"pause_after"`    // nobody gets it later than this; 0: it is not paused
	Failure    float64       `yaml:"failure"`        // share of the receivers whose host crashes, and boots again
	Crashes    int           `yaml:"crashes"`        // how often each of them crashes
	CrashMin   time.Duration `yaml:"crash_min"`      // soonest crash after the start of the version
	CrashMax   time.Duration `yaml:"crash_max"`      // latest
	Model      string        `yaml:"model"`          // only hosts of this hardware model fail; "": all
	Leak       int           `yaml:"mib_per_minute"` // the memory of each grows
	LeakMax    int           `yaml:"mib"`            // up to this
	CPU        float64       `yaml:"cpu"`            // share of the host that each takes; 0: as usual
}

func (p *sensorRollout) check(Composition) error {
	switch {
	case p.Build < 10_000 || p.Build > 99_999 || p.Ring <= 0:
		return fmt.Errorf("build and ring: expected a build of five digits and a time above 0, found %d and %s", p.Build, p.Ring)
	case !(p.Failure >= 0 && p.Failure <= 1 && p.CPU >= 0 && p.CPU <= 1):
		return fmt.Errorf("failure and cpu: expected shares between 0 and 1, found %g and %g", p.Failure, p.CPU)
	case p.Leak < 0 || p.Leak > 10_000 || p.LeakMax < 0 || p.LeakMax > 60_000:
		return fmt.Errorf("mib_per_minute and mib: expected 0 to 10000 and 0 to 60000, found %d and %d", p.Leak, p.LeakMax)
	case p.PauseAfter < 0 || p.Crashes < 0 || p.Crashes > 100:
		return fmt.Errorf("pause_after and crashes: expected at least 0 and 0 to 100, found %s and %d", p.PauseAfter, p.Crashes)
	}
	return checkCrash(p.CrashMin, p.CrashMax, p.Model)
}

func checkCrash(least, most time.Duration, model string) error {
	if least < 0 || most < least {
		return fmt.Errorf("crash_min and crash_max: expected 0 <= crash_min <= crash_max, found %s and %s", least, most)
	}
	if model != "" && !isModel(model) {
		return fmt.Errorf("model: expected a hardware model of the simulated fleet, found %q", model)
	}
	return nil
}

func (p *sensorRollout) suits(*Fleet, *agent) bool { return false }
func (p *sensorRollout) outcome() (expect, tolerate []string) {
	switch {
	case p.Failure > 0:
		return []string{"bad_rollout"}, []string{"boot_loop", "crash_loop", "restart_storm", "silent_host", "mass_silence", "anomaly"}
	case p.Leak > 0:
		return []string{"bad_rollout", "memory_leak"}, []string{"anomaly"}
	case p.CPU > 0:
		return []string{"bad_rollout", "cpu_spike"}, []string{"anomaly"}
	}
	return nil, nil
}

func (p *sensorRollout) version() string { return fmt.Sprintf("%d.%d.%d.0", p.Major, p.Minor, p.Build) }

func (p *sensorRollout) step(f *Fleet, n int, it item) {
	if it.agent >= 0 {
		p.stepHost(f, n, &f.agents[it.agent], it)
		return
	}
	f.newSensors = append(f.newSensors, software{p.Major, p.Minor, p.Build, 0})
	f.truth.Incidents[n].Content = p.version()
	for i := range f.agents {
		if a := &f.agents[i]; a.vendor == crowdstrike && a.platform == windows && !a.reserved {
			at := (p.Ring * time.Duration(a.ring)).Milliseconds() + f.upTo(p.Ring.Milliseconds())
			if p.PauseAfter == 0 || at < p.PauseAfter.Milliseconds() {
				f.incidentStep(n, a, stepHost, f.now+at)
			}
		}
	}
}

func (p *sensorRollout) stepHost(f *Fleet, n int, a *agent, it item) {
	switch {
	case it.gen != a.gen:
	case it.step == stepHost && a.up:
		p.upgrade(f, n, a)
	case it.step == stepCrash && a.up:
		f.crashAndReboot(n, a)
	case it.step == stepRecover && !a.up:
		f.bootUnclean(a)
		if a.crashes < uint8(p.Crashes) {
			f.incidentStep(n, a, stepCrash, f.now+p.CrashMin.Milliseconds()+f.upTo((p.CrashMax-p.CrashMin).Milliseconds()))
		}
	}
}

// upgrade downloads and starts the newest sensor.
func (p *sensorRollout) upgrade(f *Fleet, n int, a *agent) {
	f.record(a, fdrInstallDone, f.now-30_000, 0)
	a.sensor = uint8(len(falconVersions) + slices.Index(f.newSensors, software{p.Major, p.Minor, p.Build, 0}))
	a.agentAt, a.pid = f.now, a.pid+640
	if a.events {
		f.record(a, winServiceState, f.now-4000, serviceStopped)
		f.record(a, winServiceState, f.now-200, serviceRunning)
	}
	f.record(a, fdrAgentOnline, f.now, 0)
	f.record(a, fdrOSVersion, f.now+1500, 0)
	f.connect(a, f.now+1200)

	a.leak, a.leakMax, a.busy = uint16(p.Leak), uint16(p.LeakMax), float32(p.CPU)
	if (p.Leak > 0 || p.CPU > 0) && a.metrics {
		f.hit(n, a) // Others have it, too, but nobody can know.
	}
	if p.Failure > 0 && p.Crashes > 0 && (p.Model == "" || a.hardware().model == p.Model) && f.random.Float64() < p.Failure {
		f.incidentStep(n, a, stepCrash, f.now+p.CrashMin.Milliseconds()+f.upTo((p.CrashMax-p.CrashMin).Milliseconds()))
	}
}

// crashAndReboot takes the host down without a word; stepRecover of the n-th
// incident follows after the time that a boot takes.
func (f *Fleet) crashAndReboot(n int, a *agent) {
	if a.crashes == 0 {
		f.hit(n, a)
	}
	a.crashes++
	f.down(a)
	f.incidentStep(n, a, stepRecover, f.now+90_000+f.upTo(150_000))
}

// bootUnclean boots a host that has crashed; its log says so.
func (f *Fleet) bootUnclean(a *agent) {
	f.boot(a)
	if a.events {
		f.record(a, winUncleanBoot, f.now+1000, pageFault)
		f.record(a, winUnexpected, f.now+10_000, 0)
		f.record(a, winBugCheck, f.now+15_000, pageFault)
	}
	f.planLife(a)
}
