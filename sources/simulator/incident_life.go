package simulator

import (
	"fmt"
	"time"
)

// wave is what incidents have in common that reach a share of the fleet, one
// host after another.
type wave struct {
	For   time.Duration `yaml:"for"`
	Share float64       `yaml:"share"`
}

func (w wave) check() error {
	if !(w.Share >= 0 && w.Share <= 1 && w.For > 0) {
		return fmt.Errorf("share and for: expected a share between 0 and 1 and a time above 0, found %g and %s", w.Share, w.For)
	}
	return nil
}

// spread schedules a step of the n-th incident for its share of those that suit.
func (w wave) spread(f *Fleet, n int, suits func(*agent) bool) {
	for i := range f.agents {
		if a := &f.agents[i]; a.up && !a.reserved && suits(a) && f.random.Float64() < w.Share {
			f.incidentStep(n, a, stepHost, f.now+f.upTo(w.For.Milliseconds()))
		}
	}
}

// patchNight: a share of the Windows hosts reboots cleanly within a window,
// and some of them once more.
type patchNight struct {
	Base  `yaml:",inline"`
	wave  `yaml:",inline"`
	Twice float64 `yaml:"twice"` // share of those that reboot which do so twice
}

func (p *patchNight) check(Composition) error {
	if !(p.Twice >= 0 && p.Twice <= 1) {
		return fmt.Errorf("twice: expected a share between 0 and 1, found %g", p.Twice)
	}
	return p.wave.check()
}
func (p *patchNight) suits(*Fleet, *agent) bool            { return false }
func (p *patchNight) outcome() (expect, tolerate []string) { return nil, nil }
func (p *patchNight) step(f *Fleet, n int, it item) {
	if it.step == stepBegin {
		p.spread(f, n, func(a *agent) bool { return a.platform == windows && a.class != laptop })
		return
	}
	switch a := &f.agents[it.agent]; {
	case it.gen != a.gen:
	case it.step == stepRecover:
		f.boot(a)
		if a.crashes++; a.crashes < 3 && f.random.Float64() < p.Twice { // Nobody reboots for ever.
			f.incidentStep(n, a, stepHost, f.now+120_000+f.upTo(240_000))
		}
		f.planLife(a)
	case a.up:
		f.shutdown(a)
		f.incidentStep(n, a, stepRecover, f.now+60_000+f.upTo(180_000))
	}
}

// reimageWave: desktops and laptops are re-imaged. They keep their names; their agents are
// new ones.
type reimageWave struct {
	Base `yaml:",inline"`
	wave `yaml:",inline"`
}

func (p *reimageWave) check(Composition) error              { return p.wave.check() }
func (p *reimageWave) suits(*Fleet, *agent) bool            { return false }
func (p *reimageWave) outcome() (expect, tolerate []string) { return nil, nil }
func (p *reimageWave) step(f *Fleet, n int, it item) {
	if it.step == stepBegin {
		p.spread(f, n, func(a *agent) bool { return a.vendor != sentinelone && a.platform == windows && a.class != server })
		return
	}
	switch a := &f.agents[it.agent]; {
	case it.gen != a.gen:
	case it.step == stepRecover:
		a.image++
		a.received, a.reverted, a.waiting, a.recordID, a.sensor = 0, 0, 0, 100, 0
		f.boot(a)
		if a.vendor == crowdstrike {
			f.record(a, fdrInventory, f.now+f.upTo(hour), 0)
		}
		f.planLife(a)
	case a.up:
		f.shutdown(a)
		f.incidentStep(n, a, stepRecover, f.now+20*60_000+f.upTo(40*60_000))
	}
}

// decommission: hosts are taken out of service. CrowdStrike's sensors are
// uninstalled first; of others the host's log tells the shutdown.
type decommission struct {
	Base `yaml:",inline"`
	wave `yaml:",inline"`
}

func (p *decommission) check(Composition) error   { return p.wave.check() }
func (p *decommission) suits(*Fleet, *agent) bool { return false }
func (p *decommission) outcome() (expect, tolerate []string) {
	return nil, []string{"protection_disabled"} // That sensors are removed is worth a word.
}
func (p *decommission) step(f *Fleet, n int, it item) {
	if it.step == stepBegin {
		p.spread(f, n, func(a *agent) bool { return a.vendor == crowdstrike || a.events })
		return
	}
	a := &f.agents[it.agent]
	if it.gen != a.gen || !a.up {
		return
	}
	f.hit(n, a)
	if a.vendor == crowdstrike {
		f.record(a, fdrUninstall, f.now-60_000, 0)
	}
	f.shutdown(a)
	a.gone = true
}
