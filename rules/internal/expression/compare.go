package expression

import (
	"cmp"
	"fmt"
	"math"

	"github.com/expr-lang/expr/ast"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// mirrored is the operator with its sides exchanged.
func mirrored(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

func (c *compiler) compileComparison(n *ast.BinaryNode, left, right operand) operand {
	op := n.Operator
	if left.constant && !right.constant { // 80 <= x reads as x >= 80.
		left, right, op = right, left, mirrored(op)
	}
	if left.typ != right.typ {
		return c.mismatch(n, left, right)
	}
	o := operand{typ: Bool, node: n, needs: needed(left, right)}
	o.whenTrue = presence(o.needs)
	o.whenFalse = o.whenTrue
	switch left.typ {
	case String:
		c.compareText(&o, op, left, right)
	case Version:
		compareOrdered(&o, op, left.text, right.text, CompareVersions)
	case Number:
		compareOrdered(&o, op, left.number, right.number, cmp.Compare[float64])
		if left.isField && right.constant {
			o.truth = compareField(op, left, right.constNumber)
			numberAtoms(&o, op, left, right.constNumber)
		}
	case Time, Duration:
		compareOrdered(&o, op, left.instant, right.instant, cmp.Compare[int64])
	case Bool:
		if op != "==" && op != "!=" {
			return c.at(n, fmt.Sprintf("booleans have no order for %q", n.Operator), "use == or !=")
		}
		x, y, equal := left.truth, right.truth, op == "=="
		// The sides need not be strict: has(f) is known without f.
		o.whenTrue, o.whenFalse = presence(o.needs), presence(o.needs)
		o.truth = func(env *Env) Truth {
			a, b := x(env), y(env)
			if a == Unknown || b == Unknown {
				return Unknown
			}
			return truthOf((a == b) == equal)
		}
	default:
		return c.at(n, fmt.Sprintf("%s is %s and cannot be compared", left.node.String(), left.typ.phrase()), "has(field) tells whether it is present")
	}
	return o
}

func (c *compiler) mismatch(n *ast.BinaryNode, left, right operand) operand {
	hint := ""
	switch {
	case left.isField && left.typ == String && right.constant && right.typ == Number:
		hint = fmt.Sprintf("write \"%s\"", right.node.String())
	case left.typ == Number && right.constant && right.typ == String:
		hint = fmt.Sprintf("write %s without quotes", right.constText)
	case left.typ == Version || right.typ == Version:
		hint = "write version(…) on both sides"
	case left.typ == Duration || right.typ == Duration:
		hint = "write a duration as duration(\"5m\")"
	}
	return c.at(n, fmt.Sprintf("%s is %s and %s is %s: they cannot be compared",
		left.node.String(), left.typ.phrase(), right.node.String(), right.typ.phrase()), hint)
}

// compareText compares strings. A field that holds several strings equals a
// value when one of them does.
func (c *compiler) compareText(o *operand, op string, left, right operand) {
	if left.isField && right.constant {
		c.checkWord(left, right.node, right.constText)
	}
	if right.isField && right.list && !left.list { // The list goes to the left.
		left, right, op = right, left, mirrored(op)
	}
	switch {
	case (op == "==" || op == "!=") && left.isField:
		id, equal := left.field, op == "=="
		if right.constant {
			want := right.constText
			o.truth = func(env *Env) Truth {
				v := env.Event.Get(id)
				if v == nil {
					return Unknown
				}
				return truthOf(v.Contains(want) == equal)
			}
			atom := both([]Alternative{{{Field: id, Op: Equal, Text: want}}}, presence(o.needs))
			if equal {
				o.whenTrue = atom
			} else {
				o.whenFalse = atom
			}
			return
		}
		other := right.text
		o.truth = func(env *Env) Truth {
			v := env.Event.Get(id)
			s, ok := other(env)
			if v == nil || !ok {
				return Unknown
			}
			return truthOf(v.Contains(s) == equal)
		}
	default:
		compareOrdered(o, op, left.text, right.text, cmp.Compare[string])
	}
}

// checkWord warns of a word that a closed vocabulary does not have: such a
// comparison is never true.
func (c *compiler) checkWord(field operand, n ast.Node, word string) {
	if field.vocabulary == nil {
		return
	}
	for _, w := range field.vocabulary {
		if w == word {
			return
		}
	}
	hint := ""
	if near, ok := strict.Nearest(word, field.vocabulary); ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	c.warn(n, fmt.Sprintf("%q is not a value of %s, so this is never true", word, field.vocabularyFor), hint)
}

func compareOrdered[T any](o *operand, op string, x, y func(*Env) (T, bool), compare func(a, b T) int) {
	test := order(op)
	o.truth = func(env *Env) Truth {
		a, ok := x(env)
		if !ok {
			return Unknown
		}
		b, ok := y(env)
		if !ok {
			return Unknown
		}
		return test[compareSign(compare(a, b))]
	}
}

// compareSign maps a comparison's result to 0, 1, 2 for less, equal, greater.
func compareSign(c int) int {
	switch {
	case c < 0:
		return 0
	case c > 0:
		return 2
	}
	return 1
}

// order is the truth of an operator for less, equal and greater.
func order(op string) [3]Truth {
	switch op {
	case "==":
		return [3]Truth{False, True, False}
	case "!=":
		return [3]Truth{True, False, True}
	case "<":
		return [3]Truth{True, False, False}
	case "<=":
		return [3]Truth{True, True, False}
	case ">":
		return [3]Truth{False, False, True}
	}
	return [3]Truth{False, True, True}
}

// compareField is the fast path for a numeric field against a constant.
func compareField(op string, left operand, want float64) func(*Env) Truth {
	id, test := left.field, order(op)
	return func(env *Env) Truth {
		v := env.Event.Get(id)
		if v == nil {
			return Unknown
		}
		return test[compareSign(cmp.Compare(v.Float(), want))]
	}
}

// numberAtoms gives the thresholds that a comparison with a constant implies.
func numberAtoms(o *operand, op string, left operand, want float64) {
	atLeast := Alternative{{Field: left.field, Op: AtLeast, Number: want}}
	atMost := Alternative{{Field: left.field, Op: AtMost, Number: want}}
	add := func(list []Alternative, a Alternative) []Alternative { return both([]Alternative{a}, list) }
	switch op {
	case "==":
		o.whenTrue = add(add(o.whenTrue, atLeast), atMost)
	case "!=":
		o.whenFalse = add(add(o.whenFalse, atLeast), atMost)
	case ">", ">=":
		o.whenTrue, o.whenFalse = add(o.whenTrue, atLeast), add(o.whenFalse, atMost)
	case "<", "<=":
		o.whenTrue, o.whenFalse = add(o.whenTrue, atMost), add(o.whenFalse, atLeast)
	}
}

func (c *compiler) compileArithmetic(n *ast.BinaryNode, left, right operand) operand {
	o := operand{typ: Number, node: n, needs: needed(left, right)}
	switch {
	case left.typ == Time && right.typ == Time && n.Operator == "-":
		o.typ = Duration
		o.instant = combine(left.instant, right.instant, func(a, b int64) (int64, bool) { return a - b, true })
		return o
	case (left.typ == Time || left.typ == Duration) && right.typ == Duration && (n.Operator == "-" || n.Operator == "+"):
		o.typ = left.typ
		minus := n.Operator == "-"
		o.instant = combine(left.instant, right.instant, func(a, b int64) (int64, bool) {
			if minus {
				return a - b, true
			}
			return a + b, true
		})
		return o
	}
	where := "beside " + n.Operator
	if l, r := c.expect(left, Number, where), c.expect(right, Number, where); !l || !r {
		return operand{node: n}
	}
	f := arithmetic(n.Operator)
	if left.constant && right.constant {
		v, ok := f(left.constNumber, right.constNumber)
		if !ok {
			return c.at(n, fmt.Sprintf("%s has no value", n.String()), "")
		}
		return constNumber(n, v)
	}
	o.number = combine(left.number, right.number, f)
	return o
}

func combine[T any](x, y func(*Env) (T, bool), f func(a, b T) (T, bool)) func(*Env) (T, bool) {
	return func(env *Env) (T, bool) {
		var zero T
		a, ok := x(env)
		if !ok {
			return zero, false
		}
		b, ok := y(env)
		if !ok {
			return zero, false
		}
		return f(a, b)
	}
}

// arithmetic returns the function of an operator. A result that is no number,
// such as a division by zero, is unknown.
func arithmetic(op string) func(a, b float64) (float64, bool) {
	finite := func(f float64) (float64, bool) { return f, !math.IsNaN(f) && !math.IsInf(f, 0) }
	switch op {
	case "+":
		return func(a, b float64) (float64, bool) { return finite(a + b) }
	case "-":
		return func(a, b float64) (float64, bool) { return finite(a - b) }
	case "*":
		return func(a, b float64) (float64, bool) { return finite(a * b) }
	case "/":
		return func(a, b float64) (float64, bool) { return finite(a / b) }
	case "%":
		return func(a, b float64) (float64, bool) { return finite(math.Mod(a, b)) }
	}
	return func(a, b float64) (float64, bool) { return finite(math.Pow(a, b)) }
}
