package store

import (
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// The fields of an agent that events report piecemeal. Each is kept with the
// time of the event that said it, and only a later event changes it: the row
// is the same in whatever order the events arrive.
const (
	agentType = iota
	agentVersion
	agentHost
	agentOS
	agentState
	agentMode
	agentContent
	agentRing
	agentAction
	agentFields
)

var agentColumns = [agentFields]string{"type", "version", "host", "os", "state", "mode", "content", "ring", "action"}

const agentColumnsDDL = `type TEXT NOT NULL COLLATE NOCASE, type_at INTEGER NOT NULL,
  version TEXT NOT NULL COLLATE NOCASE, version_at INTEGER NOT NULL,
  host TEXT NOT NULL COLLATE NOCASE, host_at INTEGER NOT NULL,
  os TEXT NOT NULL COLLATE NOCASE, os_at INTEGER NOT NULL,
  state TEXT NOT NULL COLLATE NOCASE, state_at INTEGER NOT NULL,
  mode TEXT NOT NULL COLLATE NOCASE, mode_at INTEGER NOT NULL,
  content TEXT NOT NULL COLLATE NOCASE, content_at INTEGER NOT NULL,
  ring TEXT NOT NULL COLLATE NOCASE, ring_at INTEGER NOT NULL,
  action TEXT NOT NULL COLLATE NOCASE, action_at INTEGER NOT NULL`

// sighting is what a batch says about one agent.
type sighting struct {
	id          string // empty: known by type and host only
	first, last int64
	documents   int64
	value       [agentFields]string
	at          [agentFields]int64
}

// see adds a document to the agents seen in a batch. A document that names
// neither an agent nor an agent's type is not about an agent.
func see(agents map[string]*sighting, d *event.Document, c *content) {
	id := first(d.AgentID, c.Agent.ID)
	host := first(c.Host.Name, d.Host)
	if id == "" && (c.Agent.Type == "" || host == "") {
		return
	}
	at, ok := c.seenAt(d)
	if !ok {
		return
	}
	key := id
	if key == "" {
		key = provisionalID(c.Agent.Type, host)
	}
	a := agents[key]
	if a == nil {
		a = &sighting{id: id, first: at, last: at}
		agents[key] = a
	}
	a.first, a.last = min(a.first, at), max(a.last, at)
	a.documents++
	if host == id {
		host = "" // Document.Host falls back to the agent's id.
	}
	for i, v := range [agentFields]string{c.Agent.Type, c.Agent.Version, host, c.os(), c.EDR.State, c.EDR.Mode, c.EDR.Content.Version, c.EDR.Rollout.Ring, d.Action} {
		if v != "" && (a.value[i] == "" || at >= a.at[i]) {
			a.value[i], a.at[i] = v, at
		}
	}
}

// provisionalID stands for an agent whose id no event has told yet.
func provisionalID(agentType, host string) string { return agentType + "@" + hostKey(host) }

func agentUpdateSQL() string {
	var b strings.Builder
	b.WriteString("UPDATE agents SET first_seen=min(first_seen,?2), last_seen=max(last_seen,?3), documents=documents+?4, host_key=CASE WHEN ?5<>'' AND " +
		param(7+2*agentHost) + ">=host_at THEN ?5 ELSE host_key END")
	for i, column := range agentColumns {
		value, at := param(6+2*i), param(7+2*i)
		newer := "CASE WHEN " + value + "<>'' AND " + at + ">=" + column + "_at THEN "
		b.WriteString(", " + column + "=" + newer + value + " ELSE " + column + " END")
		b.WriteString(", " + column + "_at=" + newer + at + " ELSE " + column + "_at END")
	}
	b.WriteString(" WHERE id=?1")
	return b.String()
}

// param is the n-th parameter of a statement, from 1.
func param(n int) string { return "?" + strconv.Itoa(n) }

func agentTakeSQL() string {
	query := "DELETE FROM agents WHERE id=? RETURNING first_seen, last_seen, documents"
	for _, column := range agentColumns {
		query += ", " + column + ", " + column + "_at"
	}
	return query
}

func agentInsertSQL() string {
	var names, values strings.Builder
	for i, column := range agentColumns {
		names.WriteString("," + column + "," + column + "_at")
		values.WriteString("," + param(6+2*i) + "," + param(7+2*i))
	}
	return "INSERT INTO agents(id,first_seen,last_seen,documents,host_key" + names.String() + ") VALUES(?1,?2,?3,?4,?5" + values.String() + ")"
}

// saveAgents merges the agents seen into the fleet table.
func (s *Store) saveAgents(in *statements, agents map[string]*sighting) error {
	added := false
	for key, a := range agents {
		isNew, err := in.saveAgent(key, a)
		if err != nil {
			return err
		}
		added = added || isNew
	}
	if !added {
		return nil
	}
	_, err := in.agentForget.Exec(s.cfg.MaxAgents)
	return err
}

// saveAgent merges one sighting into the agent's row, or makes a new row.
func (st *statements) saveAgent(id string, a *sighting) (added bool, err error) {
	if a.id != "" && a.value[agentType] != "" && a.value[agentHost] != "" {
		if err := st.absorb(a); err != nil {
			return false, err
		}
	}
	host := hostKey(a.value[agentHost])
	if a.id == "" {
		err := st.agentFind.QueryRow(host, a.value[agentType]).Scan(&id)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
	}
	args := make([]any, 0, 5+2*agentFields)
	args = append(args, id, a.first, a.last, a.documents, host)
	for i := range a.value {
		args = append(args, a.value[i], a.at[i])
	}
	updated, err := affected(st.agentUpdate.Exec(args...))
	if err != nil || updated > 0 {
		return false, err
	}
	_, err = st.agentInsert.Exec(args...)
	return true, err
}

// absorb takes what is known of an agent under its host's name out of the
// fleet table and into the sighting that tells the agent's id. The id and the
// host often come with different events.
func (st *statements) absorb(a *sighting) error {
	var was sighting
	into := []any{&was.first, &was.last, &was.documents}
	for i := range was.value {
		into = append(into, &was.value[i], &was.at[i])
	}
	err := st.agentTake.QueryRow(provisionalID(a.value[agentType], a.value[agentHost])).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	a.first, a.last, a.documents = min(a.first, was.first), max(a.last, was.last), a.documents+was.documents
	for i, v := range was.value {
		if v != "" && (a.value[i] == "" || was.at[i] > a.at[i]) {
			a.value[i], a.at[i] = v, was.at[i]
		}
	}
	return nil
}

func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
