package store

import (
	"context"
	"fmt"
	"strings"
)

// Agent is the latest that is known of one agent. A field that no event told
// is empty.
type Agent struct {
	ID        string
	Type      string // agent.type
	Version   string // agent.version
	Host      string // host.name
	OS        string
	State     string // edr.state
	Mode      string // edr.mode
	Content   string // edr.content.version
	Ring      string // edr.rollout.ring
	Action    string // event.action of the latest event
	FirstSeen int64  // time of the first event, nanoseconds since 1970 UTC
	LastSeen  int64  // time of the latest event
	Documents int64  // events seen, evicted ones included
}

// FleetQuery selects agents. Every zero field selects all; the others must be
// equal without regard to case. "none" selects agents without a value.
type FleetQuery struct {
	Text                                            string // part of the id, host, type, version or operating system
	Type, Version, State, Mode, Content, Ring, Host string

	// Sort is one of FleetSorts.
	Sort string
	Desc bool
	// Limit is 1 to MaxLimit, 50 if 0; Offset skips that many agents.
	Limit, Offset int
}

// Fleet returns the agents that a query selects, and how many there are without
// the limit.
func (s *Store) Fleet(ctx context.Context, q FleetQuery) ([]Agent, int, error) {
	where := q.condition()
	order, err := q.order()
	if err != nil {
		return nil, 0, err
	}
	var total int
	if err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM agents WHERE "+orTrue(where), where.args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("counting the fleet: %w", err)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT id, type, version, host, os, state, mode, content, ring, action, first_seen, last_seen, documents
		FROM agents WHERE `+orTrue(where)+" ORDER BY "+order+" LIMIT ? OFFSET ?", append(where.args, bounded(q.Limit), max(q.Offset, 0))...)
	if err != nil {
		return nil, 0, fmt.Errorf("listing the fleet: %w", err)
	}
	defer rows.Close()
	var agents []Agent
	for rows.Next() {
		var a Agent
		if err := rows.Scan(&a.ID, &a.Type, &a.Version, &a.Host, &a.OS, &a.State, &a.Mode, &a.Content, &a.Ring, &a.Action,
			&a.FirstSeen, &a.LastSeen, &a.Documents); err != nil {
			return nil, 0, fmt.Errorf("listing the fleet: %w", err)
		}
		agents = append(agents, a)
	}
	return agents, total, rows.Err()
}

func (q *FleetQuery) condition() condition {
	var c condition
	for _, eq := range []struct{ column, value string }{
		{"type", q.Type}, {"version", q.Version}, {"state", q.State}, {"mode", q.Mode},
		{"content", q.Content}, {"ring", q.Ring}, {"host", q.Host},
	} {
		switch eq.value {
		case "":
		case "none":
			c = c.and(condition{text: eq.column + " = ''"})
		default:
			c = c.and(condition{eq.column + " = ?", []any{eq.value}})
		}
	}
	for word := range strings.FieldsSeq(q.Text) {
		pattern := "%" + escapeLike(word) + "%"
		c = c.and(condition{`(id || ' ' || host || ' ' || type || ' ' || version || ' ' || os || ' ' || ring) LIKE ? ESCAPE '\'`, []any{pattern}})
	}
	return c
}

func (q *FleetQuery) order() (string, error) {
	direction := ""
	if q.Desc {
		direction = " DESC"
	}
	switch q.Sort {
	case "":
		return "host = '', host" + direction + ", id", nil
	case "id":
		return "id" + direction, nil
	case "host", "type", "version", "os", "state", "mode", "content", "ring":
		// Agents without a value come last either way.
		return q.Sort + " = '', " + q.Sort + direction + ", host, id", nil
	case "last_seen", "first_seen", "documents":
		return q.Sort + direction + ", host, id", nil
	}
	return "", fmt.Errorf("sort: expected one of %v, found %q", FleetSorts(), q.Sort)
}

// FleetSorts are the values of FleetQuery.Sort; the first, "", is the host.
func FleetSorts() []string {
	return []string{"", "host", "id", "type", "version", "os", "state", "mode", "content", "ring", "last_seen", "first_seen", "documents"}
}

// Group is how many agents share a value; the empty value stands for agents of
// which it is not known.
type Group struct {
	Value string
	Count int64
}

// maxGroups bounds the groups of a FleetSummary.
const maxGroups = 50

// FleetSummary counts agents by what they are and do, the largest group first,
// at most 50 groups each.
type FleetSummary struct {
	Agents                                    int64
	Type, Version, State, Mode, Content, Ring []Group
	Newest                                    int64 // time of the newest event of any agent, nanoseconds since 1970 UTC
}

// FleetSummary counts the agents that a query selects.
func (s *Store) FleetSummary(ctx context.Context, q FleetQuery) (FleetSummary, error) {
	where := q.condition()
	var sum FleetSummary
	err := s.read.QueryRowContext(ctx, "SELECT count(*), coalesce(max(last_seen), 0) FROM agents WHERE "+orTrue(where), where.args...).Scan(&sum.Agents, &sum.Newest)
	if err != nil {
		return sum, fmt.Errorf("counting the fleet: %w", err)
	}
	for _, g := range []struct {
		by   string
		into *[]Group
	}{
		{"type", &sum.Type}, {"trim(type || ' ' || version)", &sum.Version}, {"state", &sum.State},
		{"mode", &sum.Mode}, {"content", &sum.Content}, {"ring", &sum.Ring},
	} {
		if *g.into, err = s.group(ctx, g.by, where); err != nil {
			return sum, fmt.Errorf("counting the fleet: %w", err)
		}
	}
	return sum, nil
}

func (s *Store) group(ctx context.Context, by string, where condition) ([]Group, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+by+", count(*) FROM agents WHERE "+orTrue(where)+" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?", append(where.args, maxGroups)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	groups := []Group{}
	for rows.Next() {
		var g Group
		if err := rows.Scan(&g.Value, &g.Count); err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, rows.Err()
}
