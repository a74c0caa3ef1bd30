package offline

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Bounds of what a Coverage remembers: whoever writes records chooses their
// kinds and keys.
const (
	maxKinds  = 4096
	maxFields = 512
)

// Coverage counts, per source and type of event, to which action events were
// mapped and which raw fields were not mapped to the dictionary and are kept under
// the vendor's root. It is a pipeline.Processor for one goroutine.
type Coverage struct {
	kinds map[kind]*covered
	More  int // events of kinds for which there was no room
}

type kind struct{ source, typ, action string }

type covered struct {
	events int
	homes  map[string]*int // events by raw field
	more   int             // fields for which there was no room
}

// CoverageRow is how the events of one type were mapped.
type CoverageRow struct {
	Source string         `json:"source"` // event.dataset; "" where no mapping takes the record
	Type   string         `json:"type"`   // as the mapping calls it, or the names of the record's keys
	Action string         `json:"action"`
	Events int            `json:"events"`
	NoHome map[string]int `json:"no_home,omitempty"` // events by raw field
}

// Process counts one event, as it comes out of its mapping.
func (c *Coverage) Process(e *event.Event) {
	if c.kinds == nil {
		c.kinds = map[kind]*covered{}
	}
	k := kind{e.Mapped, e.RecordType, e.Str(ecs.EventAction)}
	known := c.kinds[k]
	if known == nil {
		if len(c.kinds) >= maxKinds {
			c.More++
			return
		}
		known = &covered{homes: map[string]*int{}}
		c.kinds[kind{strings.Clone(k.source), strings.Clone(k.typ), strings.Clone(k.action)}] = known
	}
	known.events++
	for key := range e.Extras {
		n := known.homes[key]
		if n == nil {
			if len(known.homes) >= maxFields {
				known.more++
				continue
			}
			// Keys live as long as the event. An assignment to a key that a map has
			// would put the new string into it, hence the pointer.
			n = new(int)
			known.homes[strings.Clone(key)] = n
		}
		*n++
	}
}

// Rows returns the account, by source, type and action.
func (c *Coverage) Rows() []CoverageRow {
	rows := make([]CoverageRow, 0, len(c.kinds))
	for k, v := range c.kinds {
		homes := make(map[string]int, len(v.homes))
		for key, n := range v.homes {
			homes[key] = *n
		}
		rows = append(rows, CoverageRow{k.source, k.typ, k.action, v.events, homes})
	}
	slices.SortFunc(rows, func(a, b CoverageRow) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Action, b.Action))
	})
	return rows
}

// WriteText writes the account as a table for people.
func (c *Coverage) WriteText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "SOURCE\tTYPE\tACTION\tEVENTS\tFIELDS WITHOUT A HOME")
	for _, row := range c.Rows() {
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(row.NoHome)) {
			if n := row.NoHome[name]; n != row.Events {
				name = fmt.Sprintf("%s (%d)", name, n)
			}
			fields = append(fields, printable(name))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", cmp.Or(row.Source, "(no mapping)"), cmp.Or(printable(row.Type), "-"), row.Action, row.Events,
			cmp.Or(strings.Join(fields, " "), "-"))
	}
	if c.More > 0 {
		fmt.Fprintf(table, "(more)\t-\t-\t%d\t-\n", c.More)
	}
	return table.Flush()
}

// WriteJSON writes one row a line.
func (c *Coverage) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	for _, row := range c.Rows() {
		if err := encoder.Encode(row); err != nil {
			return err
		}
	}
	return nil
}

// printable keeps control characters of records off the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
