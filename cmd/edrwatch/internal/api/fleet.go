package api

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// fleetLimit is how many agents a page has that does not say, maxFleetLimit at
// most, and maxFleetOffset how far people turn pages.
const (
	fleetLimit     = 50
	maxFleetLimit  = 1000
	maxFleetOffset = 100_000
)

// fleetQuery reads the filters of the console's tables. The numbers are those of
// the inventory: one function counts for all.
func fleetQuery(p *params) fleet.Query {
	q := fleet.Query{
		Text: p.text("q"), Product: p.text("type"), Version: p.text("version"), State: p.text("state"), Mode: p.text("mode"), Presence: p.text("presence"),
		Content: p.text("content"), Ring: p.text("ring"), Site: p.text("site"), Host: p.text("host"),
	}
	if err := fleet.ParsePresence(q.Presence); err != nil {
		p.fail("presence", "%v", err)
	}
	return q
}

// agent is an agent in an answer.
type agent struct {
	Entity         string     `json:"entity"`
	ID             string     `json:"id"`
	Type           string     `json:"type"`
	Version        string     `json:"version"`
	Host           string     `json:"host"`
	OS             string     `json:"os"`
	Presence       string     `json:"presence"`
	Since          *time.Time `json:"since"`
	State          string     `json:"state"` // that of now only where the agent is alive
	StateLastKnown bool       `json:"state_last_known"`
	Mode           string     `json:"mode"`
	Content        string     `json:"content"` // received last, channel:version
	Ring           string     `json:"ring"`
	Site           string     `json:"site"`
	FirstSeen      time.Time  `json:"first_seen"`
	LastSeen       time.Time  `json:"last_seen"`
}

func agentsOf(records []fleet.Record) []agent {
	list := make([]agent, len(records))
	for i := range records {
		r := &records[i]
		list[i] = agent{
			r.Entity, r.ID, r.Product, r.Version, r.Host, r.OS, r.Presence, r.Since, r.State, r.StateLastKnown, r.Mode, r.LastContent.String(), r.Ring, r.Site,
			r.FirstSeen, r.LastSeen,
		}
	}
	return list
}

func (d *Data) fleet(r *http.Request) (any, error) {
	p := readParams(r.URL.RawQuery)
	q := fleetQuery(p)
	sort, desc := p.text("sort"), p.boolean("desc")
	q.Limit = cmp.Or(p.number("limit", 1, maxFleetLimit), fleetLimit)
	offset := p.number("offset", 0, maxFleetOffset)
	if !slices.Contains(fleet.Orders(), sort) {
		p.fail("sort", "expected one of %v, found %q", fleet.Orders()[1:], sort)
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	records, total, err := d.agents.List(r.Context(), q, sort, desc, offset)
	if err != nil {
		return nil, err
	}
	return struct {
		Agents []agent `json:"agents"`
		Total  int     `json:"total"`
	}{agentsOf(records), total}, nil
}

type group struct {
	Value string `json:"value"` // "" where it is not known
	Count int    `json:"count"`
}

// maxGroups bounds the groups of a summary.
const maxGroups = 50

// fleetSummaryAnswer counts agents by what they are and do, the largest group
// first.
type fleetSummaryAnswer struct {
	Agents     int        `json:"agents"`
	Newest     *time.Time `json:"newest"`
	Presence   []group    `json:"presence"` // every presence, in the order of the vocabulary
	Protecting int        `json:"protecting"`
	// State is that of agents that are alive, LastKnownState of all others.
	State          []group `json:"state"`
	LastKnownState []group `json:"last_known_state"`
	Type           []group `json:"type"`
	Version        []group `json:"version"`
	Mode           []group `json:"mode"`
	Content        []group `json:"content"` // channel:version; an agent counts for every channel
	Ring           []group `json:"ring"`
}

func (d *Data) fleetSummary(r *http.Request) (any, error) {
	p := readParams(r.URL.RawQuery)
	q := fleetQuery(p)
	if err := p.done(); err != nil {
		return nil, err
	}
	sum, err := d.agents.Summarize(r.Context(), q)
	if err != nil {
		return nil, err
	}
	a := fleetSummaryAnswer{Agents: sum.Agents, Protecting: sum.Protecting, Presence: []group{}}
	if !sum.Newest.IsZero() {
		a.Newest = &sum.Newest
	}
	for _, presence := range fleet.Presences() {
		if n := sum.Presence[presence]; n > 0 {
			a.Presence = append(a.Presence, group{presence, n})
		}
	}
	alive := func(yes bool) func(fleet.Count) bool {
		return func(c fleet.Count) bool { return (c.Values[1] == fleet.Alive) == yes }
	}
	a.State = groupsOf(&sum, "product presence state", alive(true), func(v []string) string { return v[2] })
	a.LastKnownState = groupsOf(&sum, "product presence state", alive(false), func(v []string) string { return v[2] })
	a.Type = groupsOf(&sum, "product presence", nil, func(v []string) string { return v[0] })
	a.Version = groupsOf(&sum, "product ring version", nil, func(v []string) string { return trimmed(v[0], " ", v[2]) })
	a.Ring = groupsOf(&sum, "product ring version", nil, func(v []string) string { return v[1] })
	a.Mode = groupsOf(&sum, "product mode", nil, func(v []string) string { return v[1] })
	a.Content = groupsOf(&sum, "product ring channel content", nil, func(v []string) string { return trimmed(v[2], ":", v[3]) })
	return a, nil
}

// trimmed joins two texts of which one may be missing.
func trimmed(a, between, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + between + b
}

// groupsOf adds up the counts of a table of the summary by a name.
func groupsOf(sum *fleet.Summary, by string, takes func(fleet.Count) bool, name func(values []string) string) []group {
	counts := map[string]int{}
	for _, c := range sum.Table(by).Counts {
		if takes == nil || takes(c) {
			counts[name(c.Values)] += c.Agents
		}
	}
	groups := make([]group, 0, len(counts))
	for value, n := range counts {
		groups = append(groups, group{value, n})
	}
	slices.SortFunc(groups, func(x, y group) int { return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Value, y.Value)) })
	return groups[:min(len(groups), maxGroups)]
}
