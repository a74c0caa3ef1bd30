package mappings

import (
	"fmt"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"errors"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// maxExpressionNodes bounds the size of an expression.
const maxExpressionNodes = 500

// evaluate gives a field the result of an expression; nil and errors leave it
// absent.
type evaluate struct {
	field   ecs.ID
	kind    ecs.Kind
	list    bool
	program *vm.Program
}

// scope is what expressions see: functions bound to one Mapper.
type scope struct {
	env     map[string]any
	machine vm.VM
}

func newScope(m *Mapper) *scope {
	return &scope{env: map[string]any{
		"text": func(path string) string {
			t, _ := m.text(m.pathSource(path))
			return t.s
		},
		"number": func(path string) float64 {
			t, _ := m.text(m.pathSource(path))
			f, _ := parseNumber(t.s)
			return f
		},
		"has":   func(path string) bool { return m.has(m.pathSource(path)) },
		"field": func(name string) string { t, _ := m.text(m.fieldSource(name)); return t.s },
	}}
}

func (m *Mapper) pathSource(path string) *source {
	return &source{key: m.plan.keys.byPath[path], isKey: true}
}

func (m *Mapper) fieldSource(name string) *source {
	id, _ := m.plan.dict.Lookup(name)
	return &source{field: id}
}

func (s *evaluate) run(m *Mapper) {
	if m.scope == nil {
		m.scope = newScope(m)
	}
	result, err := m.scope.machine.Run(s.program, m.scope.env)
	if err != nil || result == nil {
		return
	}
	if v, ok := s.value(result); ok {
		m.event.Set(s.field, v)
	}
}

func (s *evaluate) value(result any) (event.Value, bool) {
	var t text
	switch r := result.(type) {
	case string:
		t.s = r
	case []string:
		return event.StringList(r), s.list && len(r) > 0
	case int, float64, bool:
		t.s = fmt.Sprint(r)
		if f, ok := r.(float64); ok {
			t.s = string(event.AppendFloat(nil, f))
		}
	}
	if t.s == "" {
		return event.Value{}, false
	}
	if s.kind == ecs.Time {
		ns, ok := parseRFC3339(t.s, time.UTC)
		return event.Time(ns), ok
	}
	return finishFor(s.kind, 1, nil)(nil, t)
}

// expression compiles an expression. What could make it slow is switched off:
// loops over arrays, repeated texts, patterns that are not constant.
func (c *compiler) expression(field ecs.ID, source strict.Text) step {
	f := c.dict.Field(field)
	check := &expressionCheck{c: c, source: source}
	options := []expr.Option{
		expr.Env(newScope(&Mapper{}).env), expr.MaxNodes(maxExpressionNodes), expr.DisableAllBuiltins(), expr.Patch(check),
	}
	for _, name := range []string{
		"abs", "ceil", "float", "floor", "hasPrefix", "hasSuffix", "indexOf", "int", "lastIndexOf", "len", "lower", "max", "min",
		"round", "split", "string", "trim", "trimPrefix", "trimSuffix", "upper",
	} {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(source.Value, options...)
	if err != nil {
		offset, message := 0, err.Error()
		if e := new(file.Error); errors.As(err, &e) {
			offset, message = e.From, e.Message
		}
		c.problems = append(c.problems, source.Problem(min(offset, len(source.Value)), message, ""))
		return nil
	}
	return &evaluate{field, f.Kind, f.Array, program}
}

// expressionCheck notes the paths that an expression asks for and refuses
// arguments and patterns that are not constant.
type expressionCheck struct {
	c      *compiler
	source strict.Text
}

// Visit looks at one node of the syntax tree.
func (v *expressionCheck) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.CallNode:
		name := fmt.Sprint(n.Callee)
		if len(n.Arguments) != 1 {
			return // The type check reports it.
		}
		path, ok := n.Arguments[0].(*ast.StringNode)
		if !ok {
			v.report(n, "expected a constant text as the argument of %s", name)
			return
		}
		if name == "field" {
			if _, ok := v.c.dict.Lookup(path.Value); !ok {
				v.report(n, "unknown field %q", path.Value)
			}
			return
		}
		v.c.plan.keys.add(path.Value)
	case *ast.BinaryNode:
		if _, constant := n.Right.(*ast.StringNode); n.Operator == "matches" && !constant {
			v.report(n, "expected a constant pattern after matches")
		}
	}
}

func (v *expressionCheck) report(n ast.Node, format string, args ...any) {
	v.c.problems = append(v.c.problems, v.source.Problem(n.Location().From, fmt.Sprintf(format, args...), ""))
}
