package engine

import (
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Verdict is what one condition of a rule says about an event.
type Verdict struct {
	Rule      *Rule
	Condition string // Source text.
	Role      string // condition, ends_on or reading.
	Candidate bool   // The index proposes the rule for this event.
	Result    string // true, false or unknown.
	Terms     []Term // The whole condition first, then its parts.
}

// Term is the verdict on a part of a condition.
type Term struct {
	Text   string      `json:"text"`
	Depth  int         `json:"depth"`  // 0 for the whole condition.
	Result string      `json:"result"` // true, false or unknown.
	Fields []TermField `json:"fields,omitempty"`

	number *float64 // Of its only field.
}

// TermField is a field that a term reads.
type TermField struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"` // As text; "" when missing.
	Found bool   `json:"found"`           // The event has it.
}

// Explain tells for every rule of the set what its conditions say about the
// event, part by part. It looks at the event alone, not at windows or
// episodes, and changes nothing. It is safe for concurrent use with other
// events.
func (set *Ruleset) Explain(e *event.Event) []Verdict {
	bits := make([]uint64, set.index.words)
	set.index.candidates(e, bits)
	env := &expression.Env{Event: e}
	verdicts := make([]Verdict, 0, len(set.hooks))
	for i := range set.hooks {
		h := &set.hooks[i]
		v := Verdict{
			Rule: set.rules[h.rule], Condition: h.X.String(), Role: h.Role, Candidate: bits[i>>6]&(1<<(i&63)) != 0,
			Result: h.X.Eval(env).String(),
		}
		v.Terms = set.terms(h.X, env)
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// terms judges every part of a condition by the event of env.
func (set *Ruleset) terms(x *expression.Expression, env *expression.Env) []Term {
	parts := x.Explain(env)
	list := make([]Term, len(parts))
	for i, part := range parts {
		list[i] = Term{Text: part.Text, Depth: part.Depth, Result: part.Truth.String()}
		for _, id := range part.Fields {
			f := TermField{Name: set.dict.Field(id).Name}
			if value := env.Event.Get(id); value != nil {
				f.Value, f.Found = show(value), true
				if kind := value.Kind(); len(part.Fields) == 1 && (kind == ecs.Int || kind == ecs.Float) {
					n := value.Float()
					list[i].number = &n
				}
			}
			list[i].Fields = append(list[i].Fields, f)
		}
	}
	return list
}
