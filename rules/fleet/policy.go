package fleet

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Verdict answers whether a rollout may go on.
type Verdict string

// The verdicts.
const (
	Continue Verdict = "continue" // to the next ring
	Hold     Verdict = "hold"     // wait: too little is known, or something is not right
	Rollback Verdict = "rollback" // the version harms its agents
)

// Reason is one thing that stands against continuing.
type Reason struct {
	What string `json:"what"`
	Have string `json:"have,omitempty"`
	Need string `json:"need,omitempty"`
}

// Policy says what has to be seen of a version before it may go on. It is
// immutable once in use.
type Policy struct {
	// Rings are the update rings in the order in which versions reach them, by their names in edr.rollout.ring.
	Rings []RingPolicy `yaml:"rings"`
	// Default holds for agents without a ring, and for rings that are not listed.
	Default RingPolicy `yaml:"default"`
	// HoldEvidence is the share of the evidence for an accusation from which on a version is held.
	HoldEvidence float64 `yaml:"hold_evidence"`
	// RequireControl holds a version in a ring until its agents there could be compared for the time of the soak with others that do not have it. Where nobody is left to compare with, it asks that they fail no more often than the ring did before, and that no mass silence came, for as long.
	RequireControl bool `yaml:"require_control"`
}

// RingPolicy is what a version needs in one ring.
type RingPolicy struct {
	// Name is that in edr.rollout.ring.
	Name string `yaml:"name"`
	// MinAgents is how many agents of the ring have to have got the version.
	MinAgents int `yaml:"min_agents"`
	// Soak is how long after the first of them the verdict is hold at least.
	Soak time.Duration `yaml:"soak"`
	// MinOS, MinHostTypes and MinSites are how many distinct ones those with the version have to cover.
	MinOS        int `yaml:"min_os"`
	MinHostTypes int `yaml:"min_host_types"`
	MinSites     int `yaml:"min_sites"`
	// MinModels is how many models of hardware those that got the version have to cover, where agents report it.
	MinModels int `yaml:"min_models"`
}

// DefaultPolicy returns what holds where nothing is configured: fifty agents
// and an hour. With fifty, one failure in ten against one in five hundred
// among the others is seen more often than not; one in fifty takes 550.
func DefaultPolicy() Policy {
	return Policy{Default: RingPolicy{MinAgents: 50, Soak: time.Hour, MinOS: 1, MinHostTypes: 1, MinSites: 1}, HoldEvidence: 0.5, RequireControl: true}
}

// Validate reports every setting that makes no sense.
func (p *Policy) Validate() error {
	var errs []error
	if !(p.HoldEvidence > 0 && p.HoldEvidence <= 1) {
		errs = append(errs, fmt.Errorf("hold_evidence: expected more than 0 and at most 1, found %g", p.HoldEvidence))
	}
	if p.Default.Name != "" {
		errs = append(errs, fmt.Errorf("default.name: expected none, found %q: list the ring under rings", p.Default.Name))
	}
	errs = append(errs, p.Default.problems("default"))
	seen := map[string]bool{}
	for i := range p.Rings {
		at := fmt.Sprintf("rings[%d]", i)
		switch name := p.Rings[i].Name; {
		case name == "":
			errs = append(errs, fmt.Errorf("%s.name: expected the name of a ring, found none", at))
		case seen[name]:
			errs = append(errs, fmt.Errorf("%s.name: %q is listed twice", at, name))
		default:
			seen[name] = true
		}
		errs = append(errs, p.Rings[i].problems(at))
	}
	return errors.Join(errs...)
}

func (r *RingPolicy) problems(at string) error {
	var errs []error
	for _, n := range []struct {
		key   string
		value int
	}{{"min_agents", r.MinAgents}, {"min_os", r.MinOS}, {"min_host_types", r.MinHostTypes}, {"min_sites", r.MinSites}, {"min_models", r.MinModels}} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s.%s: expected 0 or more, found %d", at, n.key, n.value))
		}
	}
	if r.Soak < 0 || r.Soak > 30*24*time.Hour {
		errs = append(errs, fmt.Errorf("%s.soak: expected 0s to 30d, found %s", at, r.Soak))
	}
	return errors.Join(errs...)
}

// current returns the ring that a version has come to, and its policy: the
// last listed one that it has reached, else that of agents without a ring.
func (p *Policy) current(r *Rollout) (name string, ring RingPolicy) {
	name, ring = "", p.Default
	latest := int64(math.MinInt64)
	for reached, at := range r.ringFirst {
		if at > latest || at == latest && reached > name {
			name, latest = reached, at
		}
	}
	for i := range p.Rings {
		if r.ringExposed[p.Rings[i].Name] > 0 {
			name, ring = p.Rings[i].Name, p.Rings[i]
		}
	}
	return name, ring
}

// soak notes for every ring how long it had the version before the next one
// got it, against what the policy asks for.
func (p *Policy) soak(r *Rollout) {
	for i := range r.Rings {
		ring, until := &r.Rings[i], r.At
		for _, next := range r.Rings[i+1:] {
			if next.FirstExposure.After(ring.FirstExposure) {
				until = next.FirstExposure
				break
			}
		}
		needed := p.Default.Soak
		for k := range p.Rings {
			if p.Rings[k].Name == ring.Name {
				needed = p.Rings[k].Soak
			}
		}
		soaked := max(until.Sub(ring.FirstExposure), 0)
		ring.Soaked, ring.Soak = soaked.Seconds(), needed.Seconds()
		ring.SoakKept = soaked >= needed || until.Equal(r.At)
	}
}

// bounded lists the first of some names.
func bounded(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// judge gives the verdict on a version.
func (p *Policy) judge(r *Rollout) {
	p.soak(r)
	name, ring := p.current(r)
	r.CurrentRing, r.Reasons, r.Caveats = name, []Reason{}, []string{}
	against := func(what, have, need string) { r.Reasons = append(r.Reasons, Reason{what, have, need}) }
	if r.accused {
		r.Verdict = Rollback
		against(fmt.Sprintf("agents that have it fail (%s) more often than those without", r.failure),
			fmt.Sprintf("%d failed, log e %.1f", r.Harmed, r.evidence), fmt.Sprintf("log e below %.1f", r.Alarm))
		return
	}
	atLeast := func(what string, have, need int) {
		if have < need {
			against(what, fmt.Sprint(have), fmt.Sprint(need))
		}
	}
	if r.wasAccused {
		against("it has harmed agents; nothing has failed recently", fmt.Sprintf("%d failed", r.Harmed), "another version")
	}
	if r.shadowed {
		against("another version of the product harms agents: meanwhile this one is not compared", "", "")
	}
	if len(r.blind) > 0 {
		against("feeds stand still: what the agents do is not seen", bounded(r.blind), "all feeds")
	}
	if len(r.dark) > 0 {
		against("sites with agents that got it are dark: what they do is not seen", bounded(r.dark), "all sites")
	}
	if !r.settled {
		against("the fleet has not been watched long enough to know its usual behavior", "", "")
	}
	in := "agents of the ring " + name
	if name == "" {
		in = "agents"
	}
	atLeast(in+" that got it", r.ringExposed[name], ring.MinAgents)
	if soaked := r.At.Sub(clock(r.ringFirst[name])); soaked < ring.Soak {
		against("time since the first of the "+in, soaked.Round(time.Second).String(), ring.Soak.String())
	}
	switch seen := time.Duration(r.ringSeen[name]); {
	case !p.RequireControl || seen >= ring.Soak:
	case !r.ringBefore[name].Alone:
		against("time in which the "+in+" could be compared with others of their kind without it", seen.Round(time.Second).String(), ring.Soak.String())
	default:
		reasons, caveat := r.uncontrolled(in, ring, r.ringBefore[name])
		r.Reasons = append(r.Reasons, reasons...)
		if caveat != "" {
			r.Caveats = append(r.Caveats, caveat)
		}
	}
	atLeast("operating systems among those that have it", len(r.OS), ring.MinOS)
	atLeast("types of hosts among those that have it", len(r.HostTypes), ring.MinHostTypes)
	atLeast("sites among those that got it", r.Sites, ring.MinSites)
	atLeast("models of hardware among those that got it", len(r.Models), ring.MinModels)
	if bar := p.HoldEvidence * r.Alarm; r.evidence >= bar && r.Harmed > 1 {
		against(fmt.Sprintf("there is some evidence that agents with it fail (%s) more often", r.failure),
			fmt.Sprintf("log e %.1f", r.evidence), fmt.Sprintf("below %.1f", bar))
	}
	r.Verdict = Continue
	if len(r.Reasons) > 0 {
		r.Verdict = Hold
	}
}
