package evaluate

import (
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/sources/simulator"
)

// Score is how one run was judged.
type Score struct {
	Scenario  string
	Seed      uint64
	Agents    int
	Days      float64 // of simulated time
	Load      Load
	Incidents []IncidentScore // those that must be found
	False     []Alert         // above info, explained by no incident; one an episode
	Info      int             // episodes of severity info
	Tolerated int             // episodes that an incident explains and that do not find it
}

// IncidentScore is how one incident was judged.
type IncidentScore struct {
	simulator.Incident
	Found     bool
	After     time.Duration // from the incident's start to the first alert of an expected kind
	First     Alert
	Named     bool // where the incident has a content or a version: an alert named it
	NamedIn   time.Duration
	Precision float64 // of the hosts that alerts of an expected kind named: share that was hit
	Recall    float64 // of the hosts that were hit: share named or counted
	Verdict   string  // the strongest verdict that was given
	Dark      float64 // share of the fleet that was online and had been hit at the first alert that names the version (or the first)
}

// Judge compares the alerts of a run with the truth.
func Judge(truth simulator.Truth, alerts []Alert) Score {
	s := Score{Scenario: truth.Scenario, Agents: truth.Agents, Days: truth.End.Sub(truth.Start).Hours() / 24}
	firing := slices.DeleteFunc(slices.Clone(alerts), func(a Alert) bool { return a.Status == "resolved" })
	for _, h := range truth.Incidents {
		if len(h.Expect) > 0 {
			s.Incidents = append(s.Incidents, judgeIncident(h, firing))
		}
	}
	episodes := map[string]bool{}
	for _, a := range firing {
		if episodes[a.ID] {
			continue
		}
		episodes[a.ID] = true
		explained, expected := false, false
		for _, h := range truth.Incidents {
			if h.Explains(a.Alert) {
				explained = true
				expected = expected || slices.Contains(h.Expect, a.Kind)
			}
		}
		switch {
		case a.Severity == "info":
			s.Info++
		case !explained:
			s.False = append(s.False, a)
		case !expected:
			s.Tolerated++
		}
	}
	return s
}

func judgeIncident(h simulator.Incident, firing []Alert) IncidentScore {
	s := IncidentScore{Incident: h}
	hit := map[string]int{} // place in h.Hosts by name and by agent id
	for i, host := range h.Hosts {
		hit[strings.ToLower(host.Name)] = i
		if host.AgentID != "" {
			hit[host.AgentID] = i
		}
	}
	named := map[string]bool{}
	right, counted := map[int]bool{}, 0
	for _, a := range firing {
		if !slices.Contains(h.Expect, a.Kind) || !h.Explains(a.Alert) {
			continue
		}
		if !s.Found {
			s.Found, s.First, s.After = true, a, a.Time.Sub(h.Start)
			s.Dark = darkAt(h, a.Time)
		}
		if h.Content != "" && !s.Named && strings.Contains(a.Version, h.Version()) {
			s.Named, s.NamedIn = true, a.Time.Sub(h.Start)
			s.Dark = darkAt(h, a.Time)
		}
		if a.Verdict == "rollback" || s.Verdict == "" {
			s.Verdict = a.Verdict
		}
		for _, name := range a.Hosts {
			short, _, _ := strings.Cut(strings.ToLower(name), ".")
			if named[short] {
				continue
			}
			named[short] = true
			if i, ok := hit[short]; ok {
				right[i] = true
			}
		}
		if a.Scope != "" && a.Scope != "host" {
			counted = max(counted, a.Count)
		}
	}
	if len(named) > 0 {
		s.Precision = float64(len(right)) / float64(len(named))
	}
	if len(h.Hosts) > 0 {
		s.Recall = min(1, float64(max(len(right), counted))/float64(len(h.Hosts)))
	}
	return s
}

func darkAt(h simulator.Incident, at time.Time) float64 {
	if h.Online == 0 {
		return 0
	}
	n := 0
	for _, host := range h.Hosts {
		if !host.At.After(at) {
			n++
		}
	}
	return float64(n) / float64(h.Online)
}
