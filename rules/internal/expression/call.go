package expression

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// functionNames are the functions that expr does not have.
func functionNames() []string {
	return []string{"has", "field", "version", "cidrMatch", "like", "vendor", "duration", "len", "lower", "upper"}
}

func (c *compiler) compileCall(n *ast.CallNode) operand {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return c.at(n, fmt.Sprintf("%s is not a function", n.Callee.String()), "fields have no methods")
	}
	switch callee.Value {
	case "has":
		return c.compileHas(n)
	case "field":
		return c.compileField(n, n.Arguments)
	case "version":
		return c.compileVersion(n)
	case "cidrMatch":
		return c.compileCIDR(n, n.Arguments)
	case "like":
		return c.compileLike(n, n.Arguments)
	case "vendor":
		return c.compileVendor(n)
	}
	hint := "functions are " + strings.Join(functionNames(), ", ")
	if near, ok := strict.Nearest(callee.Value, functionNames()); ok {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return c.at(n, fmt.Sprintf("unknown function %s", callee.Value), hint)
}

// compileHas compiles has(field): whether the event has the field. It is
// always known.
func (c *compiler) compileHas(n *ast.CallNode) operand {
	if len(n.Arguments) != 1 {
		return c.at(n, "has takes one field", "")
	}
	arg := n.Arguments[0]
	var o operand
	if dotted, ok := name(arg); ok {
		o = c.resolve(arg, dotted)
	} else {
		o = c.compile(arg)
	}
	if o.typ == Invalid {
		return o
	}
	if call, ok := arg.(*ast.CallNode); ok && call.Callee.String() == "vendor" {
		get := o.text
		return operand{typ: Bool, node: n, truth: func(env *Env) Truth {
			_, ok := get(env)
			return truthOf(ok)
		}}
	}
	if !o.isField {
		return c.at(arg, "has takes the name of a field", "")
	}
	id := o.field
	return operand{
		typ: Bool, node: n, whenTrue: []Alternative{{{Field: id, Op: Present}}},
		truth: func(env *Env) Truth { return truthOf(env.Event.Has(id)) },
	}
}

// compileField compiles field("@timestamp"), for names that are not
// identifiers.
func (c *compiler) compileField(n ast.Node, args []ast.Node) operand {
	if len(args) == 1 {
		if s, ok := args[0].(*ast.StringNode); ok {
			return c.resolve(n, s.Value)
		}
	}
	return c.at(n, "field takes one constant name such as field(\"@timestamp\")", "")
}

// compileVendor compiles vendor("event_data.NewValue", …): the text of a field
// of the vendor's record that has no name in the dictionary, by its name below
// the vendor's root; of several the first that is there.
func (c *compiler) compileVendor(n *ast.CallNode) operand {
	var paths []string
	for _, arg := range n.Arguments {
		s, ok := arg.(*ast.StringNode)
		if !ok || s.Value == "" {
			return c.at(arg, "vendor takes constant names such as \"event_data.NewValue\"", "")
		}
		paths = append(paths, s.Value)
	}
	if len(paths) == 0 {
		return c.at(n, "vendor takes the name of a field of the vendor's record such as \"event_data.NewValue\"", "")
	}
	return operand{typ: String, node: n, text: func(env *Env) (string, bool) {
		for _, path := range paths {
			if s, ok := env.Event.VendorText(path); ok {
				return s, true
			}
		}
		return "", false
	}}
}

func (c *compiler) compileVersion(n *ast.CallNode) operand {
	if len(n.Arguments) != 1 {
		return c.at(n, "version takes one string", "")
	}
	o := c.compile(n.Arguments[0])
	if !c.expect(o, String, "as the argument of version") {
		return operand{node: n}
	}
	o.typ, o.node, o.isField, o.vocabulary = Version, n, false, nil
	return o
}

func (c *compiler) compileBuiltin(n *ast.BuiltinNode) operand {
	switch n.Name {
	case "len":
		return c.compileLen(n)
	case "lower":
		return c.compileCase(n, strings.ToLower)
	case "upper":
		return c.compileCase(n, strings.ToUpper)
	case "duration":
		return c.compileDurationLiteral(n, n.Arguments)
	}
	if o, ok := c.fallback(n); ok {
		return o
	}
	return c.at(n, fmt.Sprintf("function %s is not allowed in a condition", n.Name), "")
}

// compileLen compiles len: the number of bytes of a string, or of entries of a
// list field.
func (c *compiler) compileLen(n *ast.BuiltinNode) operand {
	if len(n.Arguments) != 1 {
		return c.at(n, "len takes one argument", "")
	}
	o := c.compile(n.Arguments[0])
	if !c.expect(o, String, "as the argument of len") {
		return operand{node: n}
	}
	length := operand{typ: Number, node: n, needs: o.needs}
	if o.isField && o.list {
		id := o.field
		length.number = func(env *Env) (float64, bool) {
			v := env.Event.Get(id)
			if v == nil {
				return 0, false
			}
			return float64(entries(v)), true
		}
		return length
	}
	get := o.text
	length.number = func(env *Env) (float64, bool) {
		s, ok := get(env)
		return float64(len(s)), ok
	}
	return length
}

func entries(v *event.Value) int {
	if list := v.List(); list != nil {
		return len(list)
	}
	return 1
}

// compileCase compiles lower and upper. They allocate only when the text
// changes.
func (c *compiler) compileCase(n *ast.BuiltinNode, change func(string) string) operand {
	if len(n.Arguments) != 1 {
		return c.at(n, n.Name+" takes one argument", "")
	}
	o := c.compile(n.Arguments[0])
	if !c.expect(o, String, "as the argument of "+n.Name) {
		return operand{node: n}
	}
	if o.isField && o.list {
		return c.at(n, fmt.Sprintf("%s takes one string, and %s is a list", n.Name, o.vocabularyFor), "")
	}
	if o.constant {
		return constText(n, change(o.constText))
	}
	get := o.text
	return operand{typ: String, node: n, needs: o.needs, text: func(env *Env) (string, bool) {
		s, ok := get(env)
		return change(s), ok
	}}
}
