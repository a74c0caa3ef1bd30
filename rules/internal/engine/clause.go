package engine

import (
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Clauses is what the evidence of an alert says about the condition: its text,
// and the values of its fields in the event that raised the alert.
func Clauses(x *expression.Expression, m *Evaluation) []Evidence {
	list := []Evidence{Text("condition", x.String())}
	if m != nil {
		values, _ := ClauseValues(x, m.Event)
		list = append(list, Evidence{"values", values})
	}
	return list
}

// ClauseValues shows what the fields of a condition are in an event: as JSON and
// in words.
func ClauseValues(x *expression.Expression, e *event.Event) (object, words string) {
	var b []byte
	var said []string
	for _, id := range x.Fields() {
		v := e.Get(id)
		if v == nil {
			continue
		}
		name := e.Dictionary().Field(id).Name
		shown := show(v)
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = event.AppendString(b, name)
		b = append(b, ':')
		b = event.AppendString(b, shown)
		if id == ecs.EventAction {
			said = append(said, shown)
		} else {
			said = append(said, name+" "+shown)
		}
	}
	if len(said) == 0 {
		return "{}", "the condition"
	}
	return "{" + string(b) + "}", strings.Join(said, ", ")
}

// show writes a value for people.
func show(v *event.Value) string {
	switch v.Kind() {
	case ecs.Int:
		return strconv.FormatInt(v.Int(), 10)
	case ecs.Float:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	case ecs.Bool:
		return strconv.FormatBool(v.Bool())
	case ecs.Time:
		return string(event.AppendTime(nil, v.Time()))
	default: // Text.
	}
	if list := v.List(); list != nil {
		return strings.Join(list[:min(len(list), 10)], ", ")
	}
	s := v.Str()
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
