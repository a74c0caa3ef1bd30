package store

import (
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// condition is a piece of SQL over docs AS d. Its text is made of constants
// only; whatever a user typed is among the arguments.
type condition struct {
	text string
	args []any
}

// and returns the conjunction. The arguments are copied: conditions share no
// memory.
func (c condition) and(other condition) condition {
	switch {
	case c.text == "":
		return condition{other.text, slices.Clone(other.args)}
	case other.text == "":
		return condition{c.text, slices.Clone(c.args)}
	}
	return condition{c.text + " AND " + other.text, slices.Concat(c.args, other.args)}
}

func (c condition) or(other condition) condition {
	return condition{"(" + c.text + " OR " + other.text + ")", slices.Concat(c.args, other.args)}
}

// compile turns a query, without limit and cursor, into a condition.
func (s *Store) compile(q *Query) (condition, error) {
	var c condition
	for _, eq := range []struct{ column, value string }{
		{"d.action", q.Action}, {"d.host", q.Host}, {"d.agent", q.Agent},
		{"d.severity", q.Severity}, {"d.kind", q.Kind}, {"d.status", q.Status},
	} {
		if eq.value != "" {
			c = c.and(condition{eq.column + " = ?", []any{eq.value}})
		}
	}
	if q.Rule != "" {
		c = c.and(ruleCondition(escapeLike(q.Rule)))
	}
	if q.From != 0 {
		c = c.and(condition{"d.time >= ?", []any{q.From}})
	}
	if q.To != 0 {
		c = c.and(condition{"d.time < ?", []any{q.To}})
	}
	if len(q.Streams) > 0 {
		c = c.and(streamCondition(q.Streams))
	}
	if strings.TrimSpace(q.Text) == "" {
		return c, nil
	}
	text, err := s.compileText(q.Text)
	if err != nil {
		return condition{}, err
	}
	return c.and(text), nil
}

func streamCondition(streams []event.Stream) condition {
	c := condition{text: "d.stream IN (?" + strings.Repeat(",?", len(streams)-1) + ")"}
	for _, s := range streams {
		c.args = append(c.args, int64(s))
	}
	return c
}

// ruleCondition finds documents of a rule by a LIKE pattern of its id. The
// first half lets the partial index of documents with rules be used.
func ruleCondition(pattern string) condition {
	return condition{`d.rules <> '' AND d.rules LIKE ? ESCAPE '\'`, []any{"%\n" + pattern + "\n%"}}
}

// escapeLike makes text match itself in LIKE ... ESCAPE '\'.
func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}
