package fleet

import (
	"cmp"
	"context"
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
// event reported is empty.
type Record struct {
	// Entity is the one id of the agent in documents.
	Entity  string `json:"entity"`
	ID      string `json:"id"`
	Host    string `json:"host,omitempty"`
	HostID  string `json:"host_id,omitempty"`
	Product string `json:"product"` // agent.type
	Version string `json:"version,omitempty"`
	// Presence is one of Presences, and Since when it began; of an agent that
	// is silent, when it was heard last.
	Presence string     `json:"presence"`
	Since    *time.Time `json:"since,omitempty"`
	State    string     `json:"state,omitempty"` // edr.state that was reported last
	// StateLastKnown says that the state is not that of now: the agent is not
	// alive.
	StateLastKnown bool              `json:"state_last_known,omitempty"`
	Mode           string            `json:"mode,omitempty"`
	Ring           string            `json:"ring,omitempty"`
	Site           string            `json:"site,omitempty"`
	Owner          string            `json:"owner,omitempty"`
	OS             string            `json:"os,omitempty"`
	HostType       string            `json:"host_type,omitempty"`
	Model          string            `json:"model,omitempty"`
	Content        map[string]string `json:"content,omitempty"` // channel → version; "" where there are none
	// LastContent is what it received last; where nothing is known to have been
	// received, the channel of the greatest name.
	LastContent *ContentVersion `json:"last_content,omitempty"`
	Account     string          `json:"account,omitempty"`
	StartType   string          `json:"start_type,omitempty"`
	Protected   *bool           `json:"protected,omitempty"`
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

// ContentVersion is a version of a channel that an agent has.
type ContentVersion struct {
	Channel  string     `json:"channel,omitempty"`
	Version  string     `json:"version"`
	Received *time.Time `json:"received,omitempty"` // nil: it had it when it was first heard of
}

// Query selects agents. Every empty field selects all; the others must be
// equal without regard to case, and "none" selects agents without a value.
type Query struct {
	Product, Version, Ring, Mode, State, Site, Presence, Host string
	Content                                                   string // version of any channel, or channel:version
	Text                                                      string // parts of its names, version, operating system or ring, joined by spaces
	Behind                                                    bool   // only those that are behind
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
	known, err := f.known(ctx, lists)
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
		if !q.selects(a, known) {
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
		page.Agents = append(page.Agents, a.record(known))
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

func (q *Query) selects(a *Agent, known *knowledge) bool {
	for _, c := range [...]struct{ want, have string }{
		{q.Product, a.Type}, {q.Version, a.Version}, {q.Ring, a.Ring}, {q.Mode, a.Mode}, {q.State, a.State},
		{q.Site, a.Site}, {q.Presence, a.presence(known.newest)}, {q.Host, a.HostName},
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
	return (!q.Behind || known.behind(a)) && q.selectsContent(a) && q.selectsText(a)
}

func (q *Query) selectsContent(a *Agent) bool {
	switch q.Content {
	case "":
		return true
	case "none":
		return a.Content == "" && len(a.channels) == 0
	}
	name, version, both := strings.Cut(q.Content, ":")
	return slices.ContainsFunc(a.channels, func(c channel) bool {
		return both && strings.EqualFold(c.name, name) && strings.EqualFold(c.version, version) || strings.EqualFold(c.version, q.Content)
	}) || strings.EqualFold(a.Content, q.Content)
}

func (q *Query) selectsText(a *Agent) bool {
	if q.Text == "" {
		return true
	}
	about := strings.ToLower(strings.Join([]string{a.ID, a.HostName, a.Type, a.Version, a.OSType, a.Ring, a.Site}, " "))
	for word := range strings.FieldsSeq(strings.ToLower(q.Text)) {
		if !strings.Contains(about, word) {
			return false
		}
	}
	return true
}

// record copies what is known of the agent.
func (a *Agent) record(known *knowledge) Record {
	r := Record{
		Entity: a.entity(), ID: a.ID, Host: a.HostName, HostID: a.HostID, Product: a.Type, Version: a.Version, Presence: a.presence(known.newest), State: a.State, Mode: a.Mode,
		Ring: a.Ring, Site: a.Site, Owner: a.Owner, OS: a.OSType, HostType: a.HostType, Model: a.Model, Account: a.Account, StartType: a.StartType, Behind: known.behind(a), Contradictions: a.disputed,
		Cadence:   float64(a.cadence/int64(time.Millisecond)) / 1000,
		FirstSeen: time.Unix(0, a.FirstSeen).UTC(), LastSeen: time.Unix(0, a.LastSeen).UTC(),
	}
	if a.Protected != Untold {
		yes := a.Protected == Yes
		r.Protected = &yes
	}
	r.StateLastKnown = r.State != "" && r.Presence != Alive
	if since := a.sinceWhen(r.Presence); since != 0 {
		r.Since = stamp(since)
	}
	r.LastContent = a.lastContent()
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

// entity is the agent's id in documents.
func (a *Agent) entity() string {
	return cmp.Or(identity.Entity(a.listed), identity.Of(a.Type, a.ID, a.HostID, a.HostName), identity.Entity(a.hash())).String()
}

func (a *Agent) lastContent() *ContentVersion {
	if len(a.channels) == 0 {
		if a.Content == "" {
			return nil
		}
		return &ContentVersion{Version: a.Content}
	}
	last := slices.MaxFunc(a.channels, func(x, y channel) int { return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.name, y.name)) })
	c := &ContentVersion{Channel: last.name, Version: last.version}
	if last.at != 0 {
		c.Received = stamp(last.at)
	}
	return c
}

func stamp(at int64) *time.Time {
	t := time.Unix(0, at).UTC()
	return &t
}
