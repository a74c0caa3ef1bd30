package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

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

// Summary counts the agents that a query selects. Whatever shows numbers of
// agents shows these.
type Summary struct {
	Agents int `json:"agents"`
	// Presence counts them by presence: every one of Presences.
	Presence map[string]int `json:"presence"`
	// Protecting are alive and protect their host. Of an agent that is not
	// alive it is only known what it did last.
	Protecting int       `json:"protecting"`
	Behind     int       `json:"behind"`
	Newest     time.Time `json:"newest"` // the latest sign of any of them
	Tables     []Table   `json:"tables"`
	Coverage
}

// Summarize counts the agents that a query selects: by presence, mode by
// product, versions by product and ring, state by presence, and what they run as. The error is that
// of ctx.
func (f *Fleet) Summarize(ctx context.Context, q Query) (Summary, error) {
	lists := f.lists()
	known, err := f.known(ctx, lists)
	if err != nil {
		return Summary{}, err
	}
	tables := []*counted{
		{by: []string{"product", "mode"}}, {by: []string{"product", "ring", "version"}}, {by: []string{"product", "presence", "state"}},
		{by: []string{"product", "presence"}}, {by: []string{"product", "account", "start_type", "protected"}},
		{by: []string{"product", "ring", "channel", "content"}},
	}
	sum := Summary{Presence: map[string]int{}}
	for _, p := range Presences() {
		sum.Presence[p] = 0
	}
	newest := int64(0)
	err = agents(ctx, lists, func(a *Agent) {
		if !q.selects(a, known) {
			return
		}
		sum.Agents++
		presence := a.presence(known.newest)
		sum.Presence[presence]++
		if presence == Alive && a.State == "protecting" {
			sum.Protecting++
		}
		if known.behind(a) {
			sum.Behind++
		}
		newest = max(newest, a.LastSeen)
		tables[0].add(a.Type, a.Mode)
		tables[1].add(a.Type, a.Ring, a.Version)
		tables[2].add(a.Type, presence, a.State)
		tables[3].add(a.Type, presence)
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

// Table returns the table by the properties, joined by spaces; an empty one where
// there is none.
func (s *Summary) Table(by string) Table {
	for _, t := range s.Tables {
		if strings.Join(t.By, " ") == by {
			return t
		}
	}
	return Table{}
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
