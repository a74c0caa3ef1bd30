package simulator

import (
	"slices"
	"strings"
	"time"
)

// Truth is what happened, for comparison with what a monitor said.
type Truth struct {
	Scenario   string
	Agents     int // enrolled
	Heard      int // of these, those of which a record was made
	Start, End time.Time
	Incidents  []Incident
}

// Incident is what really happened of a planned incident.
type Incident struct {
	ID, Type   string
	Start, End time.Time
	Hosts      []Host        // whom it hit
	Content    string        // the content file or sensor version that caused it
	Verdict    string        // that the monitor has to give about Content: hold or rollback; "": none is asked for
	Within     time.Duration // from Start, in which an alert is on time; 0: any time
	Online     int           // agents that were up when it began
	Expect     []string      // an alert of one of these kinds must be raised; empty: none
	Tolerate   []string      // alerts of these kinds about these hosts are no mistake
}

// Host names a host that an incident hit, in both ways that an alert may name it.
type Host struct {
	Name    string
	AgentID string    // "" where the records carry no agent id
	At      time.Time // when it was hit
}

// Is reports whether name, with or without domain and in any case, or an agent
// id, means h.
func (h Host) Is(name string) bool {
	if h.AgentID != "" && name == h.AgentID {
		return true
	}
	name, _, _ = strings.Cut(name, ".")
	return strings.EqualFold(name, h.Name)
}

// Alert is what Judge needs to know of an alert.
type Alert struct {
	Kind  string
	Scope string // host, site, cohort, fleet, pipeline
	Time  time.Time
	Hosts []string // names or agent ids
}

// Judge compares alerts with the truth. Missed are the incidents without an
// alert of an expected kind that names one of their hosts (any alert of the
// kind where its scope is wider than a host); unexpected are the alerts that
// no incident explains.
func (t Truth) Judge(alerts []Alert) (missed []Incident, unexpected []Alert) {
	for _, h := range t.Incidents {
		found := slices.ContainsFunc(alerts, func(a Alert) bool { return slices.Contains(h.Expect, a.Kind) && h.Explains(a) })
		if len(h.Expect) > 0 && !found {
			missed = append(missed, h)
		}
	}
	for _, a := range alerts {
		if !slices.ContainsFunc(t.Incidents, func(h Incident) bool { return h.Explains(a) }) {
			unexpected = append(unexpected, a)
		}
	}
	return missed, unexpected
}

// Version is the part of Content that an alert about it names: the version of
// a channel file, or the version of a sensor.
func (h Incident) Version() string {
	version, isFile := strings.CutSuffix(h.Content, ".sys")
	if !isFile {
		return h.Content
	}
	return strings.TrimLeft(version[strings.LastIndexByte(version, '-')+1:], "0")
}

// Explains reports whether h is a reason for a.
func (h Incident) Explains(a Alert) bool {
	if !slices.Contains(h.Expect, a.Kind) && !slices.Contains(h.Tolerate, a.Kind) || a.Time.Before(h.Start) {
		return false
	}
	if a.Scope != "" && a.Scope != "host" {
		return true
	}
	return slices.ContainsFunc(h.Hosts, func(host Host) bool {
		return slices.ContainsFunc(a.Hosts, func(name string) bool { return host.Is(name) })
	})
}

// Truth tells what has happened so far. It is complete when Next has returned
// false: whom a spreading incident hits is known when it hits them.
func (f *Fleet) Truth() Truth {
	t := f.truth
	for i := range f.agents {
		if f.agents[i].sent > 0 {
			t.Heard++
		}
	}
	t.Incidents = slices.Clone(t.Incidents)
	for i := range t.Incidents {
		t.Incidents[i].Hosts = slices.Clone(t.Incidents[i].Hosts)
	}
	return t
}
