package simulator

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// PlannedIncident is one thing that happens to the fleet. In a scenario file it is a
// mapping with type, id, at and the keys of its type.
type PlannedIncident struct{ play play }

// Base is what all incidents have.
type Base struct {
	Type  string        `yaml:"type,required"`
	ID    string        `yaml:"id,required"`
	At    time.Duration `yaml:"at"`    // after the start of the scenario
	Hosts int           `yaml:"hosts"` // how many hosts it hits, where the type chooses hosts beforehand
}

func (b *Base) base() *Base { return b }

// play is a type of incident. Its values are settings; what changes while the
// incident runs is kept in the fleet.
type play interface {
	base() *Base
	// check names what is wrong with the settings.
	check(Composition) error
	// suits reports whether the incident can choose the agent's host; never,
	// where the incident takes whom it finds.
	suits(f *Fleet, a *agent) bool
	// outcome says which alerts must be and which may be raised.
	outcome() (expect, tolerate []string)
	// step does one step of the n-th incident: stepBegin for the fleet, at
	// Base.At, then what the incident schedules by itself.
	step(f *Fleet, n int, it item)
}

// Steps of incidents. stepBegin comes once and without an agent.
const (
	stepBegin uint8 = iota
	stepHost        // something happens to one host
	stepDeliver
	stepCrash
	stepBlink
	stepRecover
	stepRevert
	stepEnd
)

// incidentTypes makes the settings of each type with their defaults.
func incidentTypes() map[string]func() play {
	return map[string]func() play{
		"cpu_spike":           func() play { return &cpuSpike{Base: Base{Hosts: 1}, CPU: 0.92, For: 20 * time.Minute} },
		"memory_leak":         func() play { return &memoryLeak{Base: Base{Hosts: 1}, PerMinute: 160, Limit: 3072} },
		"restart_storm":       func() play { return &restartStorm{Base: Base{Hosts: 1}, Count: 10, Every: 90 * time.Second} },
		"crash_loop":          func() play { return &crashLoop{Base: Base{Hosts: 1}, Count: 8, Every: 75 * time.Second} },
		"tamper":              func() play { return &tamper{Base: Base{Hosts: 1}} },
		"protection_disabled": func() play { return &protectionDisabled{Base: Base{Hosts: 1}} },
		"silent_host":         func() play { return &silentHost{Base: Base{Hosts: 1}} },
		"boot_loop":           func() play { return &bootLoop{Base: Base{Hosts: 1}, Count: 6, Every: 3 * time.Minute} },
		"alive_but_blind":     func() play { return &aliveButBlind{Base: Base{Hosts: 1}} },
		"reduced_mode":        func() play { return &reducedMode{Base: Base{Hosts: 1}} },
		"privilege_drift":     func() play { return &privilegeDrift{Base: Base{Hosts: 1}} },
		"version_noncompliance": func() play {
			return &oldVersion{Base: Base{Hosts: 1}, Major: 6, Minor: 45, Build: 15806}
		},
		"unsigned_module": func() play { return &unsignedModule{Base: Base{Hosts: 1}} },
		"cloned_agent":    func() play { return &clonedAgent{Base: Base{Hosts: 1}} },
		"content_push":    func() play { return newContentPush() },
		"sensor_rollout": func() play {
			return &sensorRollout{
				Major: 7, Minor: 17, Build: 18721, Ring: 30 * time.Minute, Crashes: 1, CrashMin: 30 * time.Second, CrashMax: 8 * time.Minute, LeakMax: 3072,
			}
		},
		"definitions_push": func() play { return &definitionsPush{Version: "1.415.87.0", For: 40 * time.Minute} },
		"site_outage":      func() play { return &siteOutage{For: 20 * time.Minute} },
		"vpn_outage":       func() play { return &vpnOutage{For: 40 * time.Minute} },
		"feed_outage":      func() play { return &feedOutage{For: 30 * time.Minute} },
		"patch_night":      func() play { return &patchNight{wave: wave{For: time.Hour, Share: 0.3}} },
		"reimage_wave":     func() play { return &reimageWave{wave: wave{For: 4 * time.Hour, Share: 0.05}} },
		"decommission":     func() play { return &decommission{wave: wave{For: 4 * time.Hour, Share: 0.02}} },
	}
}

// DecodeYAML reads the incident's type first and then the keys of that type.
func (i *PlannedIncident) DecodeYAML(node strict.Node) error {
	kind, _ := node.Get("type").Scalar()
	types := incidentTypes()
	settings, ok := types[kind]
	if !ok {
		names := slices.Sorted(maps.Keys(types))
		problem := node.Problem("expected an incident type, one of %v, found %q", names, kind)
		if near, ok := strict.Nearest(kind, names); ok {
			problem.Hint = fmt.Sprintf("did you mean %q?", near)
		}
		return strict.NewError(problem)
	}
	i.play = settings()
	return node.Decode(i.play)
}

func (i PlannedIncident) base() *Base { return i.play.base() }

func (i PlannedIncident) validate(c Composition) error {
	b := i.base()
	if b.At < 0 {
		return fmt.Errorf("at: expected at least 0, found %s", b.At)
	}
	switch chooses := incidentTypes()[b.Type]().base().Hosts > 0; {
	case chooses && b.Hosts < 1:
		return fmt.Errorf("hosts: expected at least 1, found %d", b.Hosts)
	case !chooses && b.Hosts != 0:
		return fmt.Errorf("hosts: a %s does not choose its hosts, found %d", b.Type, b.Hosts)
	}
	return i.play.check(c)
}

// plan chooses the hosts of the incidents and schedules their beginnings.
func (f *Fleet) plan() error {
	order := f.random.Perm(len(f.agents))
	for n, planned := range f.config.Scenario.Incidents {
		b := planned.base()
		expect, tolerate := planned.play.outcome()
		at := f.config.Start.Add(b.At)
		incident := Incident{ID: b.ID, Type: b.Type, Start: at, End: f.truth.End, Expect: expect, Tolerate: tolerate, Within: within(b.Type)}
		for _, i := range order {
			a := &f.agents[i]
			if len(incident.Hosts) == b.Hosts {
				break
			}
			if !a.reserved && planned.play.suits(f, a) {
				a.reserved = true
				incident.Hosts = append(incident.Hosts, f.host(a, at.UnixMilli()))
				f.queue.push(item{at: at.UnixMilli(), event: at.UnixMilli(), task: taskIncident, step: stepHost, agent: a.index, arg: int32(n)})
			}
		}
		if len(incident.Hosts) < b.Hosts {
			return fmt.Errorf("incident %s needs %d hosts of its kind, the fleet of %d agents has %d free: use more agents",
				b.ID, b.Hosts, len(f.agents), len(incident.Hosts))
		}
		f.truth.Incidents = append(f.truth.Incidents, incident)
		if p, ok := planned.play.(*contentPush); ok && p.Failure > 0 {
			f.truth.Incidents[n].Verdict = "rollback"
		}
		if p, ok := planned.play.(*contentPush); ok {
			f.pushes = append(f.pushes, &push{spec: p, incident: n, bit: 1 << len(f.pushes), until: at.Add(p.RevertAfter).UnixMilli()})
		}
		if b.Hosts == 0 {
			f.queue.push(item{at: at.UnixMilli(), event: at.UnixMilli(), task: taskIncident, step: stepBegin, agent: -1, arg: int32(n)})
		}
	}
	return nil
}

// incidentStep schedules a step of the n-th incident for an agent at a time in ms.
func (f *Fleet) incidentStep(n int, a *agent, step uint8, at int64) {
	f.queue.push(item{at: at, event: at, task: taskIncident, step: step, agent: a.index, arg: int32(n), gen: a.gen})
}

// hit notes that the n-th incident hit the agent's host.
func (f *Fleet) hit(n int, a *agent) {
	f.truth.Incidents[n].Hosts = append(f.truth.Incidents[n].Hosts, f.host(a, f.now))
}
