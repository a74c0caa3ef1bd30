package simulator

import (
	"fmt"
	"time"
)

// maxPushes is how many content pushes one scenario can have: agents keep a
// bit for each.
const maxPushes = 8

// contentPush: the vendor sends a content file to all sensors that are online,
// and hosts on which it is harmful crash and do not come back. With failure 0
// it is a healthy update.
//
// The defaults are what is known of Channel File 291 (19 July 2024): Windows
// sensors from 7.11 on that were online between 04:09 and 05:27 UTC. The rate
// of the push was never published.
type contentPush struct {
	Base        `yaml:",inline"`
	Channel     int           `yaml:"channel"`
	Version     int           `yaml:"version"`
	RevertTo    int           `yaml:"revert_to"`      // version that replaces a harmful one
	RevertAfter time.Duration `yaml:"revert_after"`   // the push ends then; 0 with failure 0: no revert
	Rate        float64       `yaml:"rate"`           // share of the fleet a minute
	Failure     float64       `yaml:"failure"`        // share of the receivers that crash
	Model       string        `yaml:"model"`          // only hosts of this hardware model crash; "": all
	RebootAfter time.Duration `yaml:"reboot_after"`   // mean time after which a crashed host boots again and is well; 0: it boots in a loop
	CrashMin    time.Duration `yaml:"crash_min"`      // soonest crash after the receipt
	CrashMax    time.Duration `yaml:"crash_max"`      // latest
	MinMajor    int           `yaml:"sensor_major"`   // oldest sensor concerned
	MinMinor    int           `yaml:"sensor_minor"`   //
	Blink       float64       `yaml:"blink"`          // share of the crashed hosts that boot far enough to be heard
	Recover     float64       `yaml:"recover"`        // share of the crashed hosts that come back after the revert
	RecoverBy   time.Duration `yaml:"recover_within"` // of the revert
}

func newContentPush() *contentPush {
	return &contentPush{
		Channel: 291, Version: 32, RevertTo: 33, RevertAfter: 78 * time.Minute, Rate: 0.02, Failure: 1,
		CrashMin: 5 * time.Second, CrashMax: time.Minute, MinMajor: 7, MinMinor: 11,
		Blink: 0.1, Recover: 0.4, RecoverBy: 20 * time.Minute,
	}
}

// push is a content push under way.
type push struct {
	spec     *contentPush
	incident int
	bit      uint8
	until    int64 // when it is reverted, ms
}

func (p *contentPush) check(Composition) error {
	switch {
	case !(p.Rate >= 1e-6 && p.Rate <= 1):
		return fmt.Errorf("rate: expected a share between 0.000001 and 1, found %g", p.Rate)
	case !(p.Failure >= 0 && p.Failure <= 1 && p.Blink >= 0 && p.Blink <= 1 && p.Recover >= 0 && p.Recover <= 1):
		return fmt.Errorf("failure, blink, recover: expected shares between 0 and 1, found %g, %g, %g", p.Failure, p.Blink, p.Recover)
	case p.RevertAfter < 0 || p.RecoverBy < 0:
		return fmt.Errorf("revert_after and recover_within: expected at least 0, found %s and %s", p.RevertAfter, p.RecoverBy)
	case p.RebootAfter < 0:
		return fmt.Errorf("reboot_after: expected at least 0, found %s", p.RebootAfter)
	}
	return checkCrash(p.CrashMin, p.CrashMax, p.Model)
}

func (p *contentPush) suits(*Fleet, *agent) bool { return false }

func (p *contentPush) outcome() (expect, tolerate []string) {
	if p.Failure == 0 {
		return nil, nil
	}
	expect = []string{"mass_silence", "bad_rollout"}
	if p.RebootAfter > 0 {
		expect = expect[1:] // Too few are silent at a time.
	}
	return expect, []string{"mass_silence", "silent_host", "boot_loop", "crash_loop", "restart_storm", "silent_alive", "telemetry_loss"}
}

func (p *contentPush) concerns(f *Fleet, a *agent) bool {
	return a.vendor == crowdstrike && a.platform == windows && !a.reserved && f.version(a).atLeast(p.MinMajor, p.MinMinor)
}

func (p *contentPush) step(f *Fleet, n int, it item) {
	var running *push
	number := 0
	for i, candidate := range f.pushes {
		if candidate.incident == n {
			running, number = candidate, i
		}
	}
	if it.agent < 0 {
		p.spread(f, n, it, running, number)
		return
	}
	a := &f.agents[it.agent]
	switch it.step {
	case stepDeliver:
		p.deliver(f, n, a, running, number)
	case stepCrash:
		if it.gen == a.gen && a.up {
			p.crash(f, n, a, running)
		}
	case stepBlink:
		if it.gen == a.gen && !a.up {
			f.record(a, fdrAgentOnline, f.now, 0)
			f.incidentStep(n, a, stepBlink, f.now+90_000+f.upTo(120_000))
		}
	case stepRecover:
		switch {
		case it.gen != a.gen || a.up:
		case p.RebootAfter > 0:
			f.bootUnclean(a)
		default:
			p.comeBack(f, a, running, number)
		}
	}
}

// spread starts the push: each sensor gets its turn so that the share of the
// fleet that has the file grows evenly. At the revert those that are up get
// the good file.
func (p *contentPush) spread(f *Fleet, n int, it item, running *push, number int) {
	if it.step == stepRevert {
		for i := range f.agents {
			if a := &f.agents[i]; a.up && a.received&running.bit != 0 {
				p.revert(f, a, running, number, f.now+f.upTo(60_000))
			}
		}
		return
	}
	f.truth.Incidents[n].Content = string(f.appendChannelFile(nil, item{arg: int32(2 * number)}))
	whole := int64(60_000 / p.Rate)
	for i := range f.agents {
		if a := &f.agents[i]; p.concerns(f, a) {
			f.incidentStep(n, a, stepDeliver, f.now+f.upTo(whole))
		}
	}
	if p.RevertAfter > 0 && p.Failure > 0 {
		f.queue.push(item{at: running.until, event: running.until, task: taskIncident, step: stepRevert, agent: -1, arg: int32(n)})
	}
}

// deliver gives the agent the file, or keeps it for when it connects again.
func (p *contentPush) deliver(f *Fleet, n int, a *agent, running *push, number int) {
	switch {
	case p.Failure > 0 && f.now >= running.until, a.received&running.bit != 0:
		return
	case !a.up || f.now < f.dark[a.egress()].until && f.now >= f.dark[a.egress()].from:
		a.waiting |= running.bit
		return
	}
	f.record(a, fdrCloudFile, f.now, 2*number)
	f.record(a, fdrChannelFile, f.now+400, 2*number)
	a.received |= running.bit
	f.record(a, fdrConfigState, f.now+900, 0)
	if p.Failure > 0 && (p.Model == "" || a.hardware().model == p.Model) && f.random.Float64() < p.Failure {
		f.incidentStep(n, a, stepCrash, f.now+p.CrashMin.Milliseconds()+f.upTo((p.CrashMax-p.CrashMin).Milliseconds()))
	}
}

// crash takes the host down without a goodbye and decides how it comes back.
func (p *contentPush) crash(f *Fleet, n int, a *agent, running *push) {
	f.hit(n, a)
	f.down(a)
	if p.RebootAfter > 0 {
		f.incidentStep(n, a, stepRecover, f.now+p.RebootAfter.Milliseconds()/2+f.upTo(p.RebootAfter.Milliseconds()))
		return
	}
	if f.random.Float64() < p.Blink {
		f.incidentStep(n, a, stepBlink, f.now+60_000+f.upTo(90_000))
	}
	if f.random.Float64() < p.Recover {
		f.incidentStep(n, a, stepRecover, max(f.now, running.until)+120_000+f.upTo(p.RecoverBy.Milliseconds()))
	}
}

// pageFault is the bug check of that day: PAGE_FAULT_IN_NONPAGED_AREA.
const pageFault = 0x50

// comeBack boots a crashed host. Its log tells of all the boots that failed,
// with the times at which they did.
func (p *contentPush) comeBack(f *Fleet, a *agent, running *push, number int) {
	const cycle = 75_000 // ms between two boots of a boot loop
	crashed := a.downAt
	a.failures = int32(min((f.now-crashed)/20_000, 404))
	if a.events {
		// The shipper reads the log from where it stopped, oldest first.
		shipped := f.now + 20_000
		tell := func(shape shape, event int64) {
			shipped += 40
			f.queue.push(item{at: shipped, event: event, agent: a.index, task: taskRecord, shape: shape, arg: pageFault})
		}
		for boot := range min(6, int((f.now-crashed)/cycle)) {
			at := crashed + int64(boot+1)*cycle
			tell(winUncleanBoot, at)
			tell(winUnexpected, at+9000)
			tell(winBugCheck, at+14_000)
		}
	}
	f.boot(a)
	p.revert(f, a, running, number, a.agentAt+4000)
	f.planLife(a)
}

// revert gives the agent the good file at a time in ms.
func (p *contentPush) revert(f *Fleet, a *agent, running *push, number int, at int64) {
	a.reverted |= running.bit
	f.record(a, fdrCloudFile, at, 2*number+1)
	f.record(a, fdrChannelFile, at+400, 2*number+1)
	f.record(a, fdrConfigState, at+900, 0)
}
