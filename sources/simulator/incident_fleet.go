package simulator

import (
	"fmt"
	"slices"
	"time"
)

// siteOutage: a site has no network. Agents there are well; what they tell
// their cloud is lost, what shippers read from disk comes later.
type siteOutage struct {
	Base `yaml:",inline"`
	Site string        `yaml:"site,required"`
	For  time.Duration `yaml:"for"`
}

func (p *siteOutage) check(c Composition) error {
	sites := siteCodes[:min(max(c.Sites, 0), len(siteCodes))]
	if !slices.Contains(sites, p.Site) {
		return fmt.Errorf("site: expected one of %v, found %q", sites, p.Site)
	}
	if p.For <= 0 {
		return fmt.Errorf("for: expected a time above 0, found %s", p.For)
	}
	return nil
}
func (p *siteOutage) suits(*Fleet, *agent) bool { return false }
func (p *siteOutage) outcome() (expect, tolerate []string) {
	return []string{"site_outage", "mass_silence"}, []string{"silent_host", "telemetry_loss"}
}
func (p *siteOutage) step(f *Fleet, n int, it item) {
	site := slices.Index(siteCodes[:], p.Site)
	if it.step == stepBegin {
		f.dark[site] = outage{f.now, f.now + p.For.Milliseconds()}
		until := f.dark[site].until
		f.queue.push(item{at: until, event: until, task: taskIncident, step: stepEnd, agent: -1, arg: it.arg})
		for i := range f.agents {
			if a := &f.agents[i]; int(a.site) == site && a.up {
				f.hit(n, a)
			}
		}
		return
	}
	f.truth.Incidents[n].End = time.UnixMilli(f.now).UTC()
	for i := range f.agents {
		if a := &f.agents[i]; int(a.site) == site && a.up {
			a.failures = int32(p.For / (20 * time.Second))
			f.connect(a, f.now+f.upTo(20_000))
		}
	}
}

// patchNight: a share of the Windows hosts reboots cleanly within a window.
type patchNight struct {
	Base  `yaml:",inline"`
	For   time.Duration `yaml:"for"`
	Share float64       `yaml:"share"` // of the Windows servers and desktops
}

func (p *patchNight) check(Composition) error {
	if !(p.Share >= 0 && p.Share <= 1 && p.For > 0) {
		return fmt.Errorf("share and for: expected a share between 0 and 1 and a time above 0, found %g and %s", p.Share, p.For)
	}
	return nil
}
func (p *patchNight) suits(*Fleet, *agent) bool            { return false }
func (p *patchNight) outcome() (expect, tolerate []string) { return nil, nil }
func (p *patchNight) step(f *Fleet, n int, it item) {
	if it.step == stepHost {
		if a := &f.agents[it.agent]; a.up && it.gen == a.gen {
			f.shutdown(a)
			f.later(a, taskBoot, 60_000+f.upTo(180_000))
		}
		return
	}
	for i := range f.agents {
		a := &f.agents[i]
		if a.up && a.platform == windows && a.class != laptop && !a.reserved && f.random.Float64() < p.Share {
			f.incidentStep(n, a, stepHost, f.now+f.upTo(p.For.Milliseconds()))
		}
	}
}

// sensorRollout: a healthy new sensor version, ring by ring. Each sensor
// restarts once.
type sensorRollout struct {
	Base  `yaml:",inline"`
	Major int           `yaml:"major"`
	Minor int           `yaml:"minor"`
	Build int           `yaml:"build"`
	Ring  time.Duration `yaml:"ring"` // time that each of the three rings takes
}

func (p *sensorRollout) check(Composition) error {
	if p.Build < 10_000 || p.Build > 99_999 || p.Ring <= 0 {
		return fmt.Errorf("build and ring: expected a build of five digits and a time above 0, found %d and %s", p.Build, p.Ring)
	}
	return nil
}
func (p *sensorRollout) suits(*Fleet, *agent) bool            { return false }
func (p *sensorRollout) outcome() (expect, tolerate []string) { return nil, nil }
func (p *sensorRollout) step(f *Fleet, n int, it item) {
	if it.step == stepHost {
		if a := &f.agents[it.agent]; a.up && it.gen == a.gen {
			p.upgrade(f, a)
		}
		return
	}
	f.newSensors = append(f.newSensors, software{p.Major, p.Minor, p.Build, 0})
	f.truth.Incidents[n].Content = fmt.Sprintf("%d.%d.%d.0", p.Major, p.Minor, p.Build)
	for i := range f.agents {
		if a := &f.agents[i]; a.vendor == crowdstrike && a.platform == windows && !a.reserved {
			f.incidentStep(n, a, stepHost, f.now+(p.Ring*time.Duration(a.ring)).Milliseconds()+f.upTo(p.Ring.Milliseconds()))
		}
	}
}

// upgrade downloads and starts the newest sensor.
func (p *sensorRollout) upgrade(f *Fleet, a *agent) {
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
}
