package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Orders are what List sorts by; the first, "", is the host.
func Orders() []string {
	return []string{"", "host", "id", "type", "version", "presence", "state", "mode", "content", "ring", "site", "os", "last_seen", "first_seen"}
}

// List returns the agents that a query selects, sorted by one of Orders, without
// the first offset of them, and how many there are: a table for people, of which
// they look at the first pages. What has no value comes last either way. Memory
// holds offset and q.Limit records, twice at most; q.After is not used.
func (f *Fleet) List(ctx context.Context, q Query, by string, desc bool, offset int) (records []Record, total int, err error) {
	if !slices.Contains(Orders(), by) {
		return nil, 0, fmt.Errorf("sort: expected one of %v, found %q", Orders()[1:], by)
	}
	lists := f.lists()
	known, err := f.known(ctx, lists)
	if err != nil {
		return nil, 0, err
	}
	end := offset + q.Limit
	trim := func() {
		slices.SortFunc(records, func(a, b Record) int { return compareBy(&a, &b, by, desc) })
		if q.Limit > 0 && len(records) > end {
			records = slices.Delete(records, end, len(records))
		}
	}
	err = agents(ctx, lists, func(a *Agent) {
		if !q.selects(a, known) {
			return
		}
		total++
		records = append(records, a.record(known))
		if q.Limit > 0 && len(records) >= 2*end {
			trim()
		}
	})
	if err != nil {
		return nil, 0, err
	}
	trim()
	return records[min(offset, len(records)):], total, nil
}

func compareBy(a, b *Record, by string, desc bool) int {
	direction := 1
	if desc {
		direction = -1
	}
	switch by {
	case "last_seen":
		return cmp.Or(direction*a.LastSeen.Compare(b.LastSeen), cmp.Compare(a.cursor(), b.cursor()))
	case "first_seen":
		return cmp.Or(direction*a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.cursor(), b.cursor()))
	}
	x, y := a.valueOf(by), b.valueOf(by)
	if (x == "") != (y == "") {
		return cmp.Compare(y, x)
	}
	return cmp.Or(direction*cmp.Compare(strings.ToLower(x), strings.ToLower(y)), cmp.Compare(a.cursor(), b.cursor()))
}

func (r *Record) valueOf(order string) string {
	switch order {
	case "id":
		return r.ID
	case "type":
		return r.Product
	case "version":
		return r.Version
	case "presence":
		return r.Presence
	case "state":
		return r.State
	case "mode":
		return r.Mode
	case "content":
		return r.LastContent.String()
	case "ring":
		return r.Ring
	case "site":
		return r.Site
	case "os":
		return r.OS
	}
	return r.Host
}

// String is channel:version, or the version alone; "" of nil.
func (c *ContentVersion) String() string {
	switch {
	case c == nil:
		return ""
	case c.Channel == "":
		return c.Version
	}
	return c.Channel + ":" + c.Version
}
