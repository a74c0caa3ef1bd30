package expression

import (
	"reflect"
	"strconv"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// allowed are expr's builtins that may run in its machine: they are pure and
// their cost is bounded by the size of their arguments. Repeat, ranges, dates
// and everything that builds large values are left out; split and join are
// ours, which bound what they build.
func allowed() []string {
	return []string{
		"all", "none", "any", "one", "count", "abs", "ceil", "floor", "round", "trim", "trimPrefix", "trimSuffix",
		"indexOf", "lastIndexOf", "hasPrefix", "hasSuffix", "max", "min", "first", "last", "len", "lower", "upper", "int", "float", "string",
	}
}

// machine runs what the closures do not cover. It belongs to an Env.
type machine struct {
	vm   vm.VM
	args map[*vm.Program]map[string]any
}

// fallback compiles a part for expr's machine. Its value is unknown when a
// field that it names is missing, or when the machine reports an error.
func (c *compiler) fallback(n ast.Node) (operand, bool) {
	rewrite := &rewriter{c: c}
	if tooCostly(n) {
		return c.at(n, "ranges and loops inside loops are not allowed here", ""), true
	}
	node := n
	ast.Walk(&node, rewrite)
	if rewrite.failed {
		return operand{node: n}, true
	}
	w := worker{c: c, fields: rewrite.variables()}
	if cost := w.node(node); w.failed || !c.charge(n, cost.steps) {
		return operand{node: n}, true
	}
	options := []expr.Option{
		expr.Env(rewrite.types()), expr.MaxNodes(maxParsed), expr.DisableAllBuiltins(),
		expr.Function("split", splitText, new(func(string, string) []string), new(func(string, string, int) []string)),
		expr.Function("join", joinText, new(func([]string, string) string), new(func([]string) string), new(func([]any, string) string), new(func([]any) string)),
	}
	for _, b := range allowed() {
		options = append(options, expr.EnableBuiltin(b))
	}
	program, err := expr.Compile(node.String(), options...)
	if err != nil || len(rewrite.ids) == 0 {
		return operand{}, false
	}
	read, ids := rewrite.reader(program), rewrite.ids
	o := operand{node: n, needs: ids}
	run := func(env *Env) any {
		args, ok := read(env)
		if !ok {
			return nil
		}
		result, err := env.machine.vm.Run(program, args)
		if err != nil {
			env.Failed = true
			return nil
		}
		return result
	}
	switch t := program.Node().Type(); {
	case t == nil:
		return operand{}, false
	case t.Kind() == reflect.Bool:
		return booleanOf(n, func(env *Env) Truth {
			if b, ok := run(env).(bool); ok {
				return truthOf(b)
			}
			return Unknown
		}, ids), true
	case t.Kind() == reflect.String:
		o.typ = String
		o.text = func(env *Env) (string, bool) { s, ok := run(env).(string); return s, ok }
	case t.Kind() == reflect.Int || t.Kind() == reflect.Float64:
		o.typ = Number
		o.number = func(env *Env) (float64, bool) {
			switch v := run(env).(type) {
			case int:
				return float64(v), true
			case float64:
				return v, true
			}
			return 0, false
		}
	default:
		return operand{}, false
	}
	return o, true
}

// tooCostly reports predicates inside predicates, whose cost is a product, and
// ranges, whose cost has nothing to do with the event's size.
func tooCostly(n ast.Node) bool {
	v := &costFinder{}
	ast.Walk(&n, v)
	return v.predicates > 1 || v.ranges > 0
}

type costFinder struct{ predicates, ranges int }

// Visit counts predicates and ranges.
func (v *costFinder) Visit(n *ast.Node) {
	switch node := (*n).(type) {
	case *ast.PredicateNode:
		v.predicates++
	case *ast.BinaryNode:
		if node.Operator == ".." {
			v.ranges++
		}
	}
}

// rewriter replaces the fields of a part by variables.
type rewriter struct {
	c      *compiler
	ids    []ecs.ID
	failed bool
}

// Visit replaces a field. Children come before parents; no field that holds a
// value has fields below it, so the first that resolves is the whole name.
func (r *rewriter) Visit(n *ast.Node) {
	var dotted string
	switch node := (*n).(type) {
	case *ast.IdentifierNode, *ast.MemberNode:
		dotted, _ = name(node)
	case *ast.CallNode:
		if callee, ok := node.Callee.(*ast.IdentifierNode); ok && callee.Value == "field" && len(node.Arguments) == 1 {
			if s, ok := node.Arguments[0].(*ast.StringNode); ok {
				dotted = s.Value
			}
		}
	}
	id, ok := r.c.dict.Lookup(dotted)
	if dotted == "" || !ok {
		return
	}
	switch r.c.dict.Field(id).Kind {
	case ecs.String, ecs.Int, ecs.Float, ecs.Bool:
	default:
		return
	}
	r.c.use(id)
	pos := -1
	for i, have := range r.ids {
		if have == id {
			pos = i
		}
	}
	if pos < 0 {
		pos = len(r.ids)
		r.ids = append(r.ids, id)
	}
	at := (*n).Location()
	at.From = start(*n)
	ast.Patch(n, &ast.IdentifierNode{Value: variable(pos)})
	(*n).SetLocation(at)
}

// variables are the fields by the variables that stand for them.
func (r *rewriter) variables() map[string]ecs.ID {
	names := make(map[string]ecs.ID, len(r.ids))
	for i, id := range r.ids {
		names[variable(i)] = id
	}
	return names
}

func variable(i int) string { return "v" + strconv.Itoa(i) }

// types is an environment that tells expr the types of the variables.
func (r *rewriter) types() map[string]any {
	env := make(map[string]any, len(r.ids))
	for i, id := range r.ids {
		f := r.c.dict.Field(id)
		switch {
		case f.Kind == ecs.String && f.Array:
			env[variable(i)] = []string{}
		case f.Kind == ecs.String:
			env[variable(i)] = ""
		case f.Kind == ecs.Bool:
			env[variable(i)] = false
		default:
			env[variable(i)] = 0.0
		}
	}
	return env
}

// reader returns a function that fills the variables from an event; false
// when a field is missing.
func (r *rewriter) reader(program *vm.Program) func(*Env) (map[string]any, bool) {
	ids, dict := r.ids, r.c.dict
	names := make([]string, len(ids))
	for i := range ids {
		names[i] = variable(i)
	}
	return func(env *Env) (map[string]any, bool) {
		args := env.machine.args[program]
		if args == nil {
			if env.machine.args == nil {
				env.machine.args = make(map[*vm.Program]map[string]any)
			}
			args = make(map[string]any, len(ids))
			env.machine.args[program] = args
		}
		for i, id := range ids {
			v := env.Event.Get(id)
			if v == nil {
				return nil, false
			}
			args[names[i]] = variableValue(dict.Field(id), v)
		}
		return args, true
	}
}

func variableValue(f *ecs.Field, v *event.Value) any {
	switch {
	case f.Kind == ecs.String && f.Array:
		if list := v.List(); list != nil {
			return cutList(list, maxEntries)
		}
		return []string{cut(v.Str(), maxText)}
	case f.Kind == ecs.String:
		return cut(v.Str(), maxText)
	case f.Kind == ecs.Bool:
		return v.Bool()
	}
	return v.Float()
}
