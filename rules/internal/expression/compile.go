package expression

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// compile compiles a part and remembers it for explanations if it is boolean.
func (c *compiler) compile(n ast.Node) operand {
	text := n.String() // Before the tree is rewritten for expr's machine.
	join, bound := joinOf(n), boundOf(n)
	place, depth := len(c.terms), c.depth
	c.terms = append(c.terms, term{}) // The whole stands before its parts.
	c.depth++
	o := c.compileNode(n)
	c.depth--
	if o.typ == Bool && !o.constant {
		c.terms[place] = term{text: text, depth: depth, truth: o.truth, fields: o.needs, join: join, bound: bound}
	} else {
		c.terms = slices.Delete(c.terms, place, place+1)
	}
	return o
}

// joinOf tells how a part puts its parts together.
func joinOf(n ast.Node) Join {
	if b, ok := n.(*ast.BinaryNode); ok {
		switch b.Operator {
		case "and", "&&":
			return And
		case "or", "||":
			return Or
		}
	}
	return Other
}

// boundOf returns the number that a part compares a field with; nil without
// one.
func boundOf(n ast.Node) *float64 {
	b, ok := n.(*ast.BinaryNode)
	if !ok {
		return nil
	}
	number, field := b.Right, b.Left
	switch number.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
	default:
		number, field = field, number
	}
	switch field.(type) {
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
	default:
		return nil
	}
	switch number := number.(type) {
	case *ast.IntegerNode:
		f := float64(number.Value)
		return &f
	case *ast.FloatNode:
		return &number.Value
	}
	return nil
}

func (c *compiler) compileNode(n ast.Node) operand {
	switch n := n.(type) {
	case *ast.BoolNode:
		return constTruth(n, n.Value)
	case *ast.StringNode:
		return constText(n, n.Value)
	case *ast.IntegerNode:
		return constNumber(n, float64(n.Value))
	case *ast.FloatNode:
		return constNumber(n, n.Value)
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
		return c.compileName(n)
	case *ast.UnaryNode:
		return c.compileUnary(n)
	case *ast.BinaryNode:
		return c.compileBinary(n)
	case *ast.ConditionalNode:
		return c.compileConditional(n)
	case *ast.BuiltinNode:
		return c.compileBuiltin(n)
	case *ast.CallNode:
		return c.compileCall(n)
	case *ast.NilNode:
		return c.at(n, "nil has no meaning in a condition", "has(field) tells whether a field is present")
	case *ast.ArrayNode:
		return c.at(n, "a list can only stand after in", "")
	}
	return c.at(n, fmt.Sprintf("%s is not supported in a condition", describe(n)), "")
}

func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.VariableDeclaratorNode:
		return "let"
	case *ast.MapNode:
		return "a map"
	case *ast.SliceNode:
		return "a slice"
	case *ast.SequenceNode:
		return "a sequence of expressions"
	case *ast.PointerNode:
		return "#"
	}
	return "this"
}

// name joins a chain of members to a dotted name.
func name(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value, true
	case *ast.ChainNode:
		return name(n.Node)
	case *ast.MemberNode:
		property, ok := n.Property.(*ast.StringNode)
		if !ok || n.Method {
			return "", false
		}
		prefix, ok := name(n.Node)
		return prefix + "." + property.Value, ok
	}
	return "", false
}

func (c *compiler) compileName(n ast.Node) operand {
	dotted, ok := name(n)
	if !ok {
		if o, ok := c.fallback(n); ok {
			return o
		}
		return c.at(n, fmt.Sprintf("%q is not a field name", n.String()), "write a dotted name such as event.action, or field(\"name\")")
	}
	if o, ok := c.macro(n, dotted); ok {
		return o
	}
	return c.resolve(n, dotted)
}

// resolve finds a field by name.
func (c *compiler) resolve(n ast.Node, dotted string) operand {
	id, ok := c.dict.Lookup(dotted)
	if !ok {
		return c.unknownField(n, dotted)
	}
	c.use(id)
	return fieldOperand(n, c.dict, id)
}

func (c *compiler) unknownField(n ast.Node, dotted string) operand {
	hint := ""
	switch near, ok := strict.Nearest(dotted, c.allNames()); {
	case c.dict.IsObject(dotted):
		return c.at(n, fmt.Sprintf("%q is a group of fields", dotted), "name one of its fields, such as "+c.memberOf(dotted))
	case ok:
		hint = fmt.Sprintf("did you mean %q?", near)
	default:
		hint = "a vendor's own field has to be declared with its type before rules can use it"
	}
	return c.at(n, fmt.Sprintf("unknown field %q", dotted), hint)
}

func (c *compiler) allNames() []string {
	if c.names == nil {
		c.names = c.dict.Names()
	}
	return c.names
}

func (c *compiler) memberOf(object string) string {
	for _, name := range c.allNames() {
		if strings.HasPrefix(name, object+".") {
			return name
		}
	}
	return object + ".…"
}

// expect reports a part that has another type.
func (c *compiler) expect(o operand, want Type, where string) bool {
	if o.typ == want {
		return true
	}
	if o.typ != Invalid {
		c.at(o.node, fmt.Sprintf("%s is %s, expected %s %s", o.node.String(), o.typ.phrase(), want.phrase(), where), "")
	}
	return false
}

func (c *compiler) compileUnary(n *ast.UnaryNode) operand {
	o := c.compile(n.Node)
	switch n.Operator {
	case "not", "!":
		if !c.expect(o, Bool, "after not") {
			return operand{node: n}
		}
		if o.constant {
			return constTruth(n, o.constTruth != True)
		}
		inner := o.truth
		return operand{
			typ: Bool, node: n, needs: o.needs, whenTrue: o.whenFalse, whenFalse: o.whenTrue,
			truth: func(env *Env) Truth { return inner(env).Not() },
		}
	case "-", "+":
		if !c.expect(o, Number, "after "+n.Operator) {
			return operand{node: n}
		}
		if n.Operator == "+" {
			o.node = n
			return o
		}
		if o.constant {
			return constNumber(n, -o.constNumber)
		}
		inner := o.number
		return operand{typ: Number, node: n, needs: o.needs, number: func(env *Env) (float64, bool) {
			f, ok := inner(env)
			return -f, ok
		}}
	}
	return c.at(n, fmt.Sprintf("operator %q is not supported", n.Operator), "")
}

func (c *compiler) compileBinary(n *ast.BinaryNode) operand {
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.compileLogic(n)
	case "in":
		return c.compileIn(n)
	case "??":
		return c.compileDefault(n)
	}
	left, right := c.compile(n.Left), c.compile(n.Right)
	if left.typ == Invalid || right.typ == Invalid {
		return operand{node: n}
	}
	switch n.Operator {
	case "==", "!=", "<", "<=", ">", ">=":
		return c.compileComparison(n, left, right)
	case "contains", "startsWith", "endsWith":
		return c.compileText(n, left, right)
	case "matches":
		return c.compileMatches(n, left, right)
	case "+", "-", "*", "/", "%", "**", "^":
		return c.compileArithmetic(n, left, right)
	}
	return c.at(n, fmt.Sprintf("operator %q is not supported", n.Operator), "")
}

func (c *compiler) compileLogic(n *ast.BinaryNode) operand {
	left, right := c.compile(n.Left), c.compile(n.Right)
	where := "beside " + n.Operator
	if l, r := c.expect(left, Bool, where), c.expect(right, Bool, where); !l || !r {
		return operand{node: n}
	}
	x, y := left.truth, right.truth
	o := operand{typ: Bool, node: n}
	if n.Operator == "and" || n.Operator == "&&" {
		o.whenTrue, o.whenFalse = both(left.whenTrue, right.whenTrue), either(left.whenFalse, right.whenFalse)
		o.truth = func(env *Env) Truth {
			a := x(env)
			if a == False {
				return False
			}
			return min(a, y(env))
		}
		return o
	}
	o.whenTrue, o.whenFalse = either(left.whenTrue, right.whenTrue), both(left.whenFalse, right.whenFalse)
	o.truth = func(env *Env) Truth {
		a := x(env)
		if a == True {
			return True
		}
		return max(a, y(env))
	}
	return o
}

// compileConditional compiles c ? a : b, which is unknown when c is.
func (c *compiler) compileConditional(n *ast.ConditionalNode) operand {
	cond, a, b := c.compile(n.Cond), c.compile(n.Exp1), c.compile(n.Exp2)
	if !c.expect(cond, Bool, "before ?") || a.typ == Invalid || b.typ == Invalid {
		return operand{node: n}
	}
	if a.typ != b.typ {
		return c.at(b.node, fmt.Sprintf("the two results are a %s and a %s, expected the same type", a.typ, b.typ), "")
	}
	test := cond.truth
	o := operand{typ: a.typ, node: n, needs: cond.needs}
	switch a.typ {
	case Bool:
		x, y := a.truth, b.truth
		o.whenTrue, o.whenFalse = either(a.whenTrue, b.whenTrue), either(a.whenFalse, b.whenFalse)
		o.truth = func(env *Env) Truth {
			switch test(env) {
			case True:
				return x(env)
			case False:
				return y(env)
			default:
				return Unknown
			}
		}
	case String, Version:
		o.text = choose(test, a.text, b.text)
	case Number:
		o.number = choose(test, a.number, b.number)
	case Time, Duration:
		o.instant = choose(test, a.instant, b.instant)
	default:
		return c.at(n, fmt.Sprintf("a %s cannot be the result of a condition", a.typ), "")
	}
	return o
}

func choose[T any](test func(*Env) Truth, a, b func(*Env) (T, bool)) func(*Env) (T, bool) {
	return func(env *Env) (T, bool) {
		switch test(env) {
		case True:
			return a(env)
		case False:
			return b(env)
		default:
			var zero T
			return zero, false
		}
	}
}

// compileDefault compiles a ?? b: b where a is unknown.
func (c *compiler) compileDefault(n *ast.BinaryNode) operand {
	left, right := c.compile(n.Left), c.compile(n.Right)
	if left.typ == Invalid || right.typ == Invalid {
		return operand{node: n}
	}
	if left.typ != right.typ {
		return c.at(n.Right, fmt.Sprintf("%s is a %s, expected a %s as on the left of ??", n.Right.String(), right.typ, left.typ), "")
	}
	o := operand{typ: left.typ, node: n}
	switch left.typ {
	case Bool:
		x, y := left.truth, right.truth
		o.truth = func(env *Env) Truth {
			if a := x(env); a != Unknown {
				return a
			}
			return y(env)
		}
		o.whenTrue, o.whenFalse = either(left.whenTrue, right.whenTrue), either(left.whenFalse, right.whenFalse)
		if right.constant { // The constant side is never the one that needs an atom of the other value.
			if right.constTruth == True {
				o.whenFalse = left.whenFalse
			} else {
				o.whenTrue = left.whenTrue
			}
		}
	case String, Version:
		o.text = orElse(left.text, right.text)
	case Number:
		o.number = orElse(left.number, right.number)
	case Time, Duration:
		o.instant = orElse(left.instant, right.instant)
	default:
		return c.at(n, fmt.Sprintf("a %s cannot have a default", left.typ), "")
	}
	return o
}

func orElse[T any](a, b func(*Env) (T, bool)) func(*Env) (T, bool) {
	return func(env *Env) (T, bool) {
		if v, ok := a(env); ok {
			return v, true
		}
		return b(env)
	}
}

// compileDurationLiteral reads duration("5m").
func (c *compiler) compileDurationLiteral(n ast.Node, args []ast.Node) operand {
	if len(args) == 1 {
		if s, ok := args[0].(*ast.StringNode); ok {
			d, err := strict.ParseDuration(s.Value)
			if err != nil {
				return c.at(args[0], err.Error(), "write 90s, 5m, 2h or 1d")
			}
			return constInstant(n, Duration, int64(d/time.Nanosecond))
		}
	}
	return c.at(n, "duration takes one constant such as duration(\"5m\")", "")
}

// needed joins the fields of several operands.
func needed(operands ...operand) []ecs.ID {
	var ids []ecs.ID
	for _, o := range operands {
		ids = append(ids, o.needs...)
	}
	return ids
}
