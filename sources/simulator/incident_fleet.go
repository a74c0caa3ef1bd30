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
	return []string{"site_outage"}, []string{"telemetry_loss"}
}
func (p *siteOutage) step(f *Fleet, n int, it item) {
	f.darken(slices.Index(siteCodes[:], p.Site), p.For, n, it)
}

// darken takes an egress off the network at the first step of the n-th
// incident, and lets its agents connect again at the last.
func (f *Fleet) darken(egress int, length time.Duration, n int, it item) {
	begin := it.step == stepBegin
	if begin {
		f.dark[egress] = outage{f.now, f.now + length.Milliseconds()}
		until := f.dark[egress].until
		f.queue.push(item{at: until, event: until, task: taskIncident, step: stepEnd, agent: -1, arg: it.arg})
	} else {
		f.truth.Incidents[n].End = time.UnixMilli(f.now).UTC()
	}
	for i := range f.agents {
		a := &f.agents[i]
		switch {
		case a.egress() != egress || !a.up:
		case begin:
			f.hit(n, a)
		default:
			a.failures = int32(length / (20 * time.Second))
			f.connect(a, f.now+f.upTo(20_000))
		}
	}
}

// vpnOutage: the VPN is down, by which laptops outside of their sites reach
// their cloud.
type vpnOutage struct {
	Base `yaml:",inline"`
	For  time.Duration `yaml:"for"`
}

func (p *vpnOutage) check(Composition) error {
	if p.For <= 0 {
		return fmt.Errorf("for: expected a time above 0, found %s", p.For)
	}
	return nil
}
func (p *vpnOutage) suits(*Fleet, *agent) bool { return false }
func (p *vpnOutage) outcome() (expect, tolerate []string) {
	return nil, []string{"site_outage"} // An egress is a site to who sees addresses only.
}
func (p *vpnOutage) step(f *Fleet, n int, it item) { f.darken(egressVPN, p.For, n, it) }
