package expression

import (
	"github.com/expr-lang/expr/ast"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Type is the static type of an expression.
type Type uint8

// The types of expressions. Integers and numbers of the dictionary are both
// Number, held as float64: exact up to 2^53.
const (
	Invalid Type = iota // A problem was reported.
	Bool
	String
	Number
	Time     // Nanoseconds since 1970.
	Duration // Nanoseconds.
	Version  // A string that is compared part by part.
	Object   // Only has() takes it.
)

// String returns the name that messages use.
func (t Type) String() string {
	return [...]string{"nothing", "boolean", "string", "number", "time", "duration", "version", "object"}[t]
}

// phrase returns the name with its article.
func (t Type) phrase() string {
	if t == Object {
		return "an object"
	}
	return "a " + t.String()
}

// Env is what an expression is evaluated in. It belongs to one goroutine; an
// Expression may be evaluated in many at once.
type Env struct {
	Event *event.Event
	// Failed is set when a part cannot be computed, such as the number of a text
	// that is none; the part is unknown. Whoever looks at it resets it.
	Failed  bool
	machine machine
}

// operand is a compiled expression of any type: of the functions the one that
// belongs to its type is set. Their second result is false when the value is
// unknown.
type operand struct {
	typ     Type
	node    ast.Node
	truth   func(*Env) Truth
	text    func(*Env) (string, bool)
	number  func(*Env) (float64, bool)
	instant func(*Env) (int64, bool) // Time and Duration.

	constant      bool // The value below holds and the function returns it.
	constText     string
	constNumber   float64
	constInstant  int64
	constTruth    Truth
	field         ecs.ID
	isField       bool
	list          bool // The field is a list in the dictionary.
	vocabulary    []string
	vocabularyFor string

	// needs are fields without which the value is unknown.
	needs []ecs.ID
	// whenTrue and whenFalse are the alternatives of necessary atoms of a
	// boolean: of every alternative at least one atom holds.
	whenTrue, whenFalse []Alternative
}

func constText(n ast.Node, s string) operand {
	return operand{
		typ: String, node: n, constant: true, constText: s,
		text: func(*Env) (string, bool) { return s, true },
	}
}

func constNumber(n ast.Node, f float64) operand {
	return operand{
		typ: Number, node: n, constant: true, constNumber: f,
		number: func(*Env) (float64, bool) { return f, true },
	}
}

func constInstant(n ast.Node, t Type, ns int64) operand {
	return operand{
		typ: t, node: n, constant: true, constInstant: ns,
		instant: func(*Env) (int64, bool) { return ns, true },
	}
}

func constTruth(n ast.Node, b bool) operand {
	t := truthOf(b)
	return operand{typ: Bool, node: n, constant: true, constTruth: t, truth: func(*Env) Truth { return t }}
}

// fieldOperand reads a field of the event.
func fieldOperand(n ast.Node, dict *ecs.Dictionary, id ecs.ID) operand {
	f := dict.Field(id)
	o := operand{node: n, field: id, isField: true, list: f.Array, needs: []ecs.ID{id}}
	o.vocabulary = Vocabulary(id)
	o.vocabularyFor = f.Name
	switch f.Kind {
	case ecs.String:
		o.typ = String
		o.text = func(env *Env) (string, bool) {
			v := env.Event.Get(id)
			if v == nil {
				return "", false
			}
			return v.Str(), true
		}
	case ecs.Int, ecs.Float:
		o.typ = Number
		o.number = func(env *Env) (float64, bool) {
			v := env.Event.Get(id)
			if v == nil {
				return 0, false
			}
			return v.Float(), true
		}
	case ecs.Bool:
		o.typ = Bool
		o.truth = func(env *Env) Truth {
			v := env.Event.Get(id)
			if v == nil {
				return Unknown
			}
			return truthOf(v.Bool())
		}
		present := []Alternative{{{Field: id, Op: Present}}}
		o.whenTrue, o.whenFalse = present, present
	case ecs.Time:
		o.typ = Time
		o.instant = func(env *Env) (int64, bool) {
			v := env.Event.Get(id)
			if v == nil {
				return 0, false
			}
			return v.Time(), true
		}
	default:
		o.typ = Object
	}
	return o
}

// Vocabulary lists the words that a field of a closed vocabulary can have; nil
// for any other field.
func Vocabulary(id ecs.ID) []string {
	switch id {
	case ecs.EventAction:
		actions := ecs.Actions()
		names := make([]string, len(actions))
		for i := range actions {
			names[i] = actions[i].Name
		}
		return names
	case ecs.EDRState:
		return ecs.States()
	case ecs.EDRMode:
		return ecs.Modes()
	case ecs.EDRAlertKind:
		return ecs.AlertKinds()
	case ecs.EDRAlertSeverity:
		return ecs.Severities()
	case ecs.EDRAlertStatus:
		return ecs.AlertStatuses()
	case ecs.EDRAlertScope:
		return ecs.AlertScopes()
	}
	return nil
}
