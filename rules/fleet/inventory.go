package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// Roster is who knows agents: the session of a partition.
type Roster interface {
	// Agents calls yield for every agent until it returns false. Any goroutine
	// may call it; the agent must not be kept.
	Agents(yield func(*Agent) bool)
}

// Enlist adds the agents of a roster to the inventory; Dismiss takes them out.
func (f *Fleet) Enlist(r Roster) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rosters[r] = struct{}{}
}

// Dismiss takes the agents of a roster out of the inventory.
func (f *Fleet) Dismiss(r Roster) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.rosters, r)
}

// Record is what is known of one agent, for people and documents. What no
// event told is empty.
type Record struct {
	// Entity is edr.entity.id; "" of an agent that has no name at all.
	Entity  string `json:"entity,omitempty"`
	ID      string `json:"id"`
	Host    string `json:"host,omitempty"`
	HostID  string `json:"host_id,omitempty"`
	Product string `json:"product"` // agent.type
	Version string `json:"version,omitempty"`
	// Presence is alive, silent (overdue without a goodbye), gone (said
	// goodbye, or replaced), or unknown before its cadence is learned.
	Presence  string            `json:"presence"`
	State     string            `json:"state,omitempty"` // edr.state as told last
	Mode      string            `json:"mode,omitempty"`
	Ring      string            `json:"ring,omitempty"`
	Site      string            `json:"site,omitempty"`
	OS        string            `json:"os,omitempty"`
	HostType  string            `json:"host_type,omitempty"`
	Model     string            `json:"model,omitempty"`
	Content   map[string]string `json:"content,omitempty"` // channel → version; "" where there are none
	Account   string            `json:"account,omitempty"`
	StartType string            `json:"start_type,omitempty"`
	Protected *bool             `json:"protected,omitempty"`
	// Behind says that its sensor, or its content of a channel, is older than
	// what most agents of its product and ring have.
	Behind bool `json:"behind"`
	// Contradictions says that records disagree about who it is: its id is on
	// several hosts at once, or its host has several ids of the product.
	Contradictions bool `json:"contradictions,omitempty"`
	// Cadence is the learned time between two signs of life, in seconds; 0 is
	// not learned.
	Cadence   float64   `json:"cadence_seconds,omitempty"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
}

// Query selects agents. Every empty field selects all; the others must be
// equal without regard to case, and "none" selects agents without a value.
type Query struct {
	Product, Version, Ring, Mode, State, Site, Presence, Host string
	Behind                                                    bool // only those that are behind
	// After is Page.Next of the page before.
	After string
	// Limit is how many records a page holds at most; 0 is all.
	Limit int
}

// Page is a part of the inventory in the order of host names and ids.
type Page struct {
	Agents []Record `json:"agents"`
	Total  int      `json:"total"`          // agents that the query selects
	Next   string   `json:"next,omitempty"` // "" after the last page
	Coverage
}

// Count is how many agents have a combination of values.
type Count struct {
	Values []string `json:"values"` // in the order of Table.By; "" is not known
	Agents int      `json:"agents"`
}

// Table counts agents by some of their properties, the largest first.
type Table struct {
	By     []string `json:"by"`
	Counts []Count  `json:"counts"`
	// Others is how many agents have combinations that found no place.
	Others int `json:"others,omitempty"`
}

// Summary counts the agents that a query selects.
type Summary struct {
	Agents int       `json:"agents"`
	Behind int       `json:"behind"`
	Newest time.Time `json:"newest"` // the latest sign of any of them
	Tables []Table   `json:"tables"`
	Coverage
}

// lists returns who knows agents, so that each agent is known once.
func (f *Fleet) lists() []Roster {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Roster, 0, len(f.rosters))
	for r := range f.rosters {
		list = append(list, r)
	}
	return []Roster{united{list, f.names}}
}

// agents calls yield for every agent of the lists until ctx ends. What is no
// agent, such as a host that only its operating system's log names, is left out.
func agents(ctx context.Context, lists []Roster, yield func(*Agent)) error {
	n := 0
	for _, r := range lists {
		r.Agents(func(a *Agent) bool {
			if n++; n%lookEvery == 0 && ctx.Err() != nil {
				return false
			}
			if a.Type != "" && !a.evicted {
				yield(a)
			}
			return true
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// lookEvery is after how many agents it is looked whether anybody waits still:
// meanwhile their partition stands still.
const lookEvery = 1024

// Inventory returns a page of the agents that this gateway knows. Each
// partition is seen as it is between two events; partitions are not stopped
// together. It does not hold the judge up. The error is that of ctx.
func (f *Fleet) Inventory(ctx context.Context, q Query) (Page, error) {
	lists := f.lists()
	usual, err := f.usual(ctx, lists)
	if err != nil {
		return Page{}, err
	}
	page := Page{Agents: []Record{}}
	more := false
	trim := func() {
		slices.SortFunc(page.Agents, func(a, b Record) int { return cmp.Compare(a.cursor(), b.cursor()) })
		if q.Limit > 0 && len(page.Agents) > q.Limit {
			page.Agents, more = slices.Delete(page.Agents, q.Limit, len(page.Agents)), true
		}
	}
	last := ""
	err = agents(ctx, lists, func(a *Agent) {
		if !q.selects(a, usual) {
			return
		}
		page.Total++
		if q.After != "" || last != "" {
			at := cursorOf(a.HostName, a.Type, a.ID)
			if at <= q.After && q.After != "" {
				return
			}
			if last != "" && at > last {
				more = true
				return
			}
		}
		page.Agents = append(page.Agents, a.record(usual.behind(a)))
		if q.Limit > 0 && len(page.Agents) >= 2*q.Limit {
			trim()
			last = page.Agents[q.Limit-1].cursor()
		}
	})
	if err != nil {
		return Page{}, err
	}
	trim()
	if more {
		page.Next = page.Agents[len(page.Agents)-1].cursor()
	}
	return page, nil
}

// cursorOf orders agents: by host, so that people find them, then by what
// tells two agents of a host apart. The names are free of control characters.
func cursorOf(host, product, id string) string { return host + "\t" + product + "\t" + id }

func (r *Record) cursor() string { return cursorOf(r.Host, r.Product, r.ID) }

func (q *Query) selects(a *Agent, usual versions) bool {
	for _, c := range [...]struct{ want, have string }{
		{q.Product, a.Type}, {q.Version, a.Version}, {q.Ring, a.Ring}, {q.Mode, a.Mode}, {q.State, a.State},
		{q.Site, a.Site}, {q.Presence, a.presence()}, {q.Host, a.HostName},
	} {
		switch {
		case c.want == "":
		case c.want == "none":
			if c.have != "" {
				return false
			}
		case !strings.EqualFold(c.want, c.have):
			return false
		}
	}
	return !q.Behind || usual.behind(a)
}

// Presences are the values of Record.Presence.
func Presences() []string { return []string{"alive", "silent", "gone", "unknown"} }

func (a *Agent) presence() string {
	switch a.life {
	case alive:
		return "alive"
	case silent:
		return "silent"
	case gone:
		return "gone"
	}
	return "unknown"
}

// record copies what is known of the agent.
func (a *Agent) record(behind bool) Record {
	r := Record{
		Entity: identity.Entity(a.entity).String(), ID: a.ID, Host: a.HostName, HostID: a.HostID, Product: a.Type, Version: a.Version, Presence: a.presence(), State: a.State, Mode: a.Mode,
		Ring: a.Ring, Site: a.Site, OS: a.OSType, HostType: a.HostType, Model: a.Model, Account: a.Account, StartType: a.StartType, Behind: behind, Contradictions: a.disputed,
		Cadence:   float64(a.cadence/int64(time.Millisecond)) / 1000,
		FirstSeen: time.Unix(0, a.FirstSeen).UTC(), LastSeen: time.Unix(0, a.LastSeen).UTC(),
	}
	if a.Protected != Untold {
		yes := a.Protected == Yes
		r.Protected = &yes
	}
	if len(a.channels) > 0 {
		r.Content = make(map[string]string, len(a.channels))
		for _, c := range a.channels {
			r.Content[c.name] = c.version
		}
	} else if a.Content != "" {
		r.Content = map[string]string{"": a.Content}
	}
	return r
}

// Summarize counts the agents that a query selects: mode by product, versions
// by product and ring, state, presence, and what they run as. The error is that
// of ctx.
func (f *Fleet) Summarize(ctx context.Context, q Query) (Summary, error) {
	lists := f.lists()
	usual, err := f.usual(ctx, lists)
	if err != nil {
		return Summary{}, err
	}
	tables := []*counted{
		{by: []string{"product", "mode"}}, {by: []string{"product", "ring", "version"}}, {by: []string{"product", "state"}},
		{by: []string{"product", "presence"}}, {by: []string{"product", "account", "start_type", "protected"}},
		{by: []string{"product", "ring", "channel", "content"}},
	}
	var sum Summary
	newest := int64(0)
	err = agents(ctx, lists, func(a *Agent) {
		if !q.selects(a, usual) {
			return
		}
		sum.Agents++
		if usual.behind(a) {
			sum.Behind++
		}
		newest = max(newest, a.LastSeen)
		tables[0].add(a.Type, a.Mode)
		tables[1].add(a.Type, a.Ring, a.Version)
		tables[2].add(a.Type, a.State)
		tables[3].add(a.Type, a.presence())
		tables[4].add(a.Type, a.Account, a.StartType, [...]string{"", "false", "true"}[a.Protected])
		for _, c := range a.channels {
			tables[5].add(a.Type, a.Ring, c.name, c.version)
		}
	})
	if err != nil {
		return Summary{}, err
	}
	if newest > 0 {
		sum.Newest = time.Unix(0, newest).UTC()
	}
	for _, t := range tables {
		sum.Tables = append(sum.Tables, t.table())
	}
	return sum, nil
}

// counted is a Table in the making.
type counted struct {
	by     []string
	counts map[[4]string]int
	others int
}

// maxCombinations bounds the lines of a table: a hostile feed could make up
// any number of versions.
const maxCombinations = 1000

func (t *counted) add(values ...string) {
	var key [4]string
	copy(key[:], values)
	if t.counts == nil {
		t.counts = map[[4]string]int{}
	}
	if _, known := t.counts[key]; !known && len(t.counts) >= maxCombinations {
		t.others++
		return
	}
	t.counts[key]++
}

func (t *counted) table() Table {
	table := Table{By: t.by, Counts: []Count{}, Others: t.others}
	for key, n := range t.counts {
		table.Counts = append(table.Counts, Count{Values: slices.Clone(key[:len(t.by)]), Agents: n})
	}
	slices.SortFunc(table.Counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Agents, a.Agents), slices.Compare(a.Values, b.Values))
	})
	return table
}

// ParsePresence checks a value of Query.Presence.
func ParsePresence(s string) error {
	if s != "" && !slices.Contains(Presences(), strings.ToLower(s)) {
		return fmt.Errorf("expected %s, found %q", strings.Join(Presences(), ", "), s)
	}
	return nil
}
