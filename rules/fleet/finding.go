package fleet

import "github.com/edrwatch/edrwatch/pipeline/event"

// Finding is something that a Judge found out: the beginning, growth or end of
// an incident of many agents.
type Finding struct {
	Kind   string // edr.alert.kind: bad_rollout, mass_silence, site_outage, pipeline_silence
	Scope  string // edr.alert.scope
	Status string // firing or resolved
	Key    string // what the incident is about; equal for all its findings
	At     int64  // nanoseconds since 1970
	Start  int64  // when the incident began, equal for all its findings
	Number int    // of the finding within its incident, from 0

	Count, Denominator int
	Hosts              []string // of Count, as many as are known
	Product, OS        string
	Sensor, Content    string // version that is the cause, of a bad_rollout
	Channel            string
	Site               string
	Verdict            string // of a bad_rollout: hold or rollback
	Partial            bool   // agents of a partition that could not be waited for stand as they were last known
	Reason             string
	Evidence           []Evidence

	Alert *event.Event // of RaisedKind: the alert, which does not change
}

// Evidence is a named value; Text is used where it is not empty.
type Evidence struct {
	Name   string
	Text   string
	Number float64
}

// updateEvery is the least time between two findings of one incident, and
// updateGrowth by how much it has to have grown meanwhile.
const (
	updateEvery  = int64(60e9)
	updateGrowth = 1.25
)

// incident is what a Judge remembers of one that was reported.
type incident struct {
	firing   bool
	start    int64
	told     int64
	reported int
	findings int // so far
	quiet    int // steps without anything new
}

// grown reports whether the incident has to be reported again.
func (i *incident) grown(now int64, count int) bool {
	return now-i.told >= updateEvery && float64(count) >= updateGrowth*float64(max(i.reported, 1))
}

// tell notes that the incident is reported and returns the number of the finding.
func (i *incident) tell(now int64, count int) int {
	if i.told < i.start {
		i.findings = 0
	}
	i.told, i.reported = now, count
	i.findings++
	return i.findings - 1
}
