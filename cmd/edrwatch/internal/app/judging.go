package app

import (
	"time"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// Judging judges the partitions of a file as a gateway judges those that it
// owns. It implements offline.Judge.
type Judging struct {
	detection *Detection
	lateness  time.Duration
	fleet     *fleet.Fleet
	verdicts  *rules.Verdicts
	identity  *identity.Identifier // nil: none
}

// NewJudging returns one that has judged nothing. Lateness is that of the rules'
// windows.
func (d *Detection) NewJudging(lateness time.Duration) *Judging {
	return &Judging{detection: d, lateness: lateness, fleet: fleet.New(fleet.DefaultConfig(), nil), verdicts: d.Rules.NewVerdicts()}
}

// Fleet is what is known of all agents.
func (j *Judging) Fleet() *fleet.Fleet { return j.fleet }

// Identify lets the names that partitions have learned be known to all of them at
// the closing of steps, and in the inventory.
func (j *Judging) Identify(p *Processors) {
	j.identity = p.Identifier
	j.fleet.Know(p.Registry)
}

// NewMapper implements offline.Judge.
func (j *Judging) NewMapper() pipeline.Mapper { return j.detection.NewMapper() }

// NewDetector implements offline.Judge.
func (j *Judging) NewDetector(partition string) pipeline.Detector {
	return j.detection.Rules.NewSession(rules.SessionOptions{Lateness: j.lateness, Fleet: j.fleet, Partition: partition})
}

// Step implements offline.Judge.
func (*Judging) Step() time.Duration { return time.Duration(fleet.StepLength) }

// Pace implements offline.Judge.
func (j *Judging) Pace() {
	j.fleet.Pace()
	if j.identity != nil {
		j.identity.Pace()
	}
}

// Close implements offline.Judge.
func (j *Judging) Close(end int64, emit func(alert *event.Event)) {
	if j.identity != nil {
		j.identity.CloseStep()
	}
	j.verdicts.Raise(j.fleet.Close(end, false), emit)
}

// Flush implements offline.Judge.
func (j *Judging) Flush(at int64, emit func(alert *event.Event)) {
	j.verdicts.Raise(j.fleet.Flush(at), emit)
}
