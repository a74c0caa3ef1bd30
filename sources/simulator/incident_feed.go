package simulator

import (
	"fmt"
	"slices"
	"time"
)

// feedOutage: records of some topics, or of all, do not arrive for some time
// and then come at once, come later than usual all the time, or never come. The
// agents are well.
type feedOutage struct {
	Base   `yaml:",inline"`
	Topics []string      `yaml:"topics"` // none: all
	For    time.Duration `yaml:"for"`
	Lag    time.Duration `yaml:"lag"`   // records come this much later while it lasts; 0: after its end
	Lost   bool          `yaml:"lost"`  // records are lost
	Quiet  bool          `yaml:"quiet"` // too short or too mild for an alert that must be raised
}

func (p *feedOutage) check(Composition) error {
	all := []string{TopicFDR, TopicWindows, TopicDefender, TopicMetrics}
	for _, topic := range p.Topics {
		if !slices.Contains(all, topic) {
			return fmt.Errorf("topics: expected some of %v, found %q", all, topic)
		}
	}
	switch {
	case p.For <= 0 || p.Lag < 0:
		return fmt.Errorf("for and lag: expected a time above 0 and one of at least 0, found %s and %s", p.For, p.Lag)
	case p.Lost && p.Lag > 0:
		return fmt.Errorf("lag: records that are lost do not come late, found %s", p.Lag)
	}
	return nil
}
func (p *feedOutage) suits(*Fleet, *agent) bool { return false }
func (p *feedOutage) outcome() (expect, tolerate []string) {
	kinds := []string{"pipeline_silence"}
	if p.Quiet {
		return nil, kinds
	}
	return kinds, []string{"telemetry_loss"}
}
func (p *feedOutage) step(f *Fleet, n int, _ item) {
	f.stalls = append(f.stalls, stall{
		topics: p.Topics, from: f.now, until: f.now + p.For.Milliseconds(), lag: p.Lag.Milliseconds(), lost: p.Lost,
	})
	f.truth.Incidents[n].End = time.UnixMilli(f.now + p.For.Milliseconds()).UTC()
}

// definitionsPush: Defender's security intelligence is updated on every device
// that is online, as happens several times a day.
type definitionsPush struct {
	Base    `yaml:",inline"`
	Version string        `yaml:"version"`
	For     time.Duration `yaml:"for"` // time in which all devices get it
}

func (p *definitionsPush) check(Composition) error {
	if p.For <= 0 || p.Version == "" {
		return fmt.Errorf("for and version: expected a time above 0 and a version, found %s and %q", p.For, p.Version)
	}
	return nil
}
func (p *definitionsPush) suits(*Fleet, *agent) bool            { return false }
func (p *definitionsPush) outcome() (expect, tolerate []string) { return nil, nil }
func (p *definitionsPush) step(f *Fleet, n int, it item) {
	if it.step == stepHost {
		if a := &f.agents[it.agent]; a.up && it.gen == a.gen {
			f.record(a, deviceDefinitions, f.now, n)
		}
		return
	}
	f.truth.Incidents[n].Content = p.Version
	for i := range f.agents {
		if a := &f.agents[i]; a.vendor == defender {
			f.incidentStep(n, a, stepHost, f.now+f.upTo(p.For.Milliseconds()))
		}
	}
}
