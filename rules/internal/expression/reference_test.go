package expression

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// reference evaluates a tree the slow and obvious way: values are any, nil is
// unknown. It shares nothing with the compiler but the parser.
type reference struct {
	e *event.Event
}

func (r reference) eval(n ast.Node) any {
	switch n := n.(type) {
	case *ast.BoolNode:
		return n.Value
	case *ast.StringNode:
		return n.Value
	case *ast.IntegerNode:
		return float64(n.Value)
	case *ast.FloatNode:
		return n.Value
	case *ast.IdentifierNode, *ast.MemberNode:
		return r.field(n.String())
	case *ast.UnaryNode:
		v := r.eval(n.Node)
		switch {
		case v == nil:
			return nil
		case n.Operator == "-":
			return -v.(float64)
		}
		return !v.(bool)
	case *ast.ConditionalNode:
		switch r.eval(n.Cond) {
		case true:
			return r.eval(n.Exp1)
		case false:
			return r.eval(n.Exp2)
		}
		return nil
	case *ast.CallNode:
		return r.call(n)
	case *ast.BuiltinNode:
		return r.builtin(n)
	case *ast.BinaryNode:
		return r.binary(n)
	}
	panic(fmt.Sprintf("%T", n))
}

// field returns a string, a list, a number, a boolean or nil.
func (r reference) field(name string) any {
	id, _ := r.e.Dictionary().Lookup(name)
	v := r.e.Get(id)
	switch {
	case v == nil:
		return nil
	case v.Kind() == ecs.Bool:
		return v.Bool()
	case v.Kind() == ecs.String && v.List() != nil:
		return v.List()
	case v.Kind() == ecs.String:
		return v.Str()
	}
	return v.Float()
}

func (r reference) call(n *ast.CallNode) any {
	switch n.Callee.(*ast.IdentifierNode).Value {
	case "has":
		return r.field(n.Arguments[0].String()) != nil
	case "version":
		return r.eval(n.Arguments[0])
	case "cidrMatch":
		v := r.eval(n.Arguments[0])
		if v == nil {
			return nil
		}
		ip, err := netip.ParseAddr(v.(string))
		return err == nil && netip.MustParsePrefix(n.Arguments[1].(*ast.StringNode).Value).Contains(ip)
	}
	panic(n.String())
}

func (r reference) builtin(n *ast.BuiltinNode) any {
	v := r.eval(n.Arguments[0])
	if v == nil {
		return nil
	}
	switch n.Name {
	case "lower":
		return strings.ToLower(v.(string))
	case "len":
		if list, ok := v.([]string); ok {
			return float64(len(list))
		}
		return float64(len(v.(string)))
	case "abs":
		return math.Abs(v.(float64))
	}
	panic(n.Name)
}

func (r reference) binary(n *ast.BinaryNode) any {
	if n.Operator == "in" {
		return r.in(n)
	}
	a, b := r.eval(n.Left), r.eval(n.Right)
	switch n.Operator {
	case "and":
		switch {
		case a == false || b == false:
			return false
		case a == nil || b == nil:
			return nil
		}
		return true
	case "or":
		switch {
		case a == true || b == true:
			return true
		case a == nil || b == nil:
			return nil
		}
		return false
	case "??":
		if a == nil {
			return b
		}
		return a
	}
	if a == nil || b == nil {
		return nil
	}
	if f, ok := a.(float64); ok {
		return numbers(n.Operator, f, b.(float64))
	}
	if x, ok := a.(bool); ok {
		return (x == b.(bool)) == (n.Operator == "==")
	}
	if call, ok := n.Left.(*ast.CallNode); ok && call.Callee.String() == "version" {
		return numbers(n.Operator, float64(CompareVersions(a.(string), b.(string))), 0)
	}
	values, ok := a.([]string)
	if !ok {
		values = []string{a.(string)}
	}
	hit := false
	for _, v := range values {
		hit = hit || test(n.Operator, v, b.(string))
	}
	if n.Operator == "!=" {
		return !hit
	}
	return hit
}

func (r reference) in(n *ast.BinaryNode) any {
	a := r.eval(n.Left)
	if a == nil {
		return nil
	}
	if bounds, ok := n.Right.(*ast.BinaryNode); ok {
		f := a.(float64)
		return f == math.Trunc(f) && f >= r.eval(bounds.Left).(float64) && f <= r.eval(bounds.Right).(float64)
	}
	list, isList := n.Right.(*ast.ArrayNode)
	if !isList {
		v := r.eval(n.Right)
		if v == nil {
			return nil
		}
		return strings.Contains("\x00"+strings.Join(v.([]string), "\x00")+"\x00", "\x00"+a.(string)+"\x00")
	}
	values, many := a.([]string)
	for _, item := range list.Nodes {
		want := r.eval(item)
		if !many && want == a {
			return true
		}
		for _, v := range values {
			if v == want {
				return true
			}
		}
	}
	return false
}

func numbers(op string, a, b float64) any {
	var f float64
	switch op {
	case "==":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "+":
		f = a + b
	case "-":
		f = a - b
	case "*":
		f = a * b
	case "/":
		f = a / b
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}

func test(op, a, b string) bool {
	switch op {
	case "==", "!=":
		return a == b
	case "<":
		return a < b
	case ">=":
		return a >= b
	case "contains":
		return strings.Contains(a, b)
	case "startsWith":
		return strings.HasPrefix(a, b)
	case "endsWith":
		return strings.HasSuffix(a, b)
	case "matches":
		return regexp.MustCompile(b).MatchString(a)
	}
	panic(op)
}

// writer makes random conditions over a handful of fields.
type writer struct{ r *rand.Rand }

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func (w writer) word() string { return fmt.Sprintf("%q", pick(w.r, words()...)) }

func words() []string {
	return []string{"alpha", "beta", "gamma", "alphabet", "sensor-started", "7.11", "10.1.2.3", "", "BETA"}
}

func (w writer) text() string { return pick(w.r, "event.action", "host.name", "agent.version") }

func (w writer) number(depth int) string {
	if depth > 0 && w.r.IntN(3) == 0 {
		return fmt.Sprintf("(%s %s %s)", w.number(depth-1), pick(w.r, "+", "-", "*"), w.number(depth-1))
	}
	switch w.r.IntN(6) {
	case 0:
		return fmt.Sprint(w.r.IntN(8))
	case 1:
		return "len(event.category)"
	case 2:
		return "abs(edr.resource.cpu_pct)"
	case 3:
		return fmt.Sprintf("(edr.restart.count ?? %d)", w.r.IntN(8))
	}
	return pick(w.r, "edr.resource.cpu_pct", "edr.restart.count", "(edr.resource.cpu_pct / edr.restart.count)")
}

func (w writer) boolean(depth int) string {
	if depth > 0 {
		switch w.r.IntN(8) {
		case 0, 1, 2:
			return fmt.Sprintf("(%s and %s)", w.boolean(depth-1), w.boolean(depth-1))
		case 3, 4:
			return fmt.Sprintf("(%s or %s)", w.boolean(depth-1), w.boolean(depth-1))
		case 5:
			return fmt.Sprintf("not (%s)", w.boolean(depth-1))
		case 6:
			return fmt.Sprintf("(%s ? %s : %s)", w.boolean(depth-1), w.boolean(depth-1), w.boolean(depth-1))
		case 7:
			return fmt.Sprintf("((%s) ?? (%s))", w.boolean(depth-1), pick(w.r, "true", "false", w.boolean(depth-1)))
		}
	}
	switch w.r.IntN(12) {
	case 0:
		return fmt.Sprintf("has(%s)", pick(w.r, w.text(), "edr.restart.count", "event.category"))
	case 1:
		return fmt.Sprintf("%s in [%s, %s]", pick(w.r, "event.category", "event.action"), w.word(), w.word())
	case 2:
		return fmt.Sprintf("%s not in event.category", w.word())
	case 3:
		return fmt.Sprintf("%s %s %s", pick(w.r, "event.category", "host.name"), pick(w.r, "contains", "startsWith", "endsWith", "matches", "==", "!="), w.word())
	case 4:
		return pick(w.r, "edr.tamper.blocked", "edr.tamper.blocked == false")
	case 5:
		return fmt.Sprintf("edr.restart.count in %d..%d", w.r.IntN(4), 3+w.r.IntN(4))
	case 6:
		return fmt.Sprintf("version(agent.version) %s version(%s)", pick(w.r, "<", ">=", "=="), w.word())
	case 7:
		return fmt.Sprintf("lower(host.name) == %s", w.word())
	case 8, 9:
		return fmt.Sprintf("%s %s %s", w.number(1), pick(w.r, "<", "<=", ">", ">=", "==", "!="), w.number(1))
	case 10:
		return fmt.Sprintf("%s == event.action", pick(w.r, "host.name", "event.category"))
	}
	return fmt.Sprintf("%s %s %s", pick(w.r, "event.action", "host.name"), pick(w.r, "==", "!=", "<", ">="), w.word())
}

// randomEvent fills some of the fields that the writer uses.
func randomEvent(r *rand.Rand, e *event.Event) {
	e.Reset()
	some := func() bool { return r.IntN(3) > 0 }
	for _, id := range []ecs.ID{ecs.EventAction, ecs.HostName, ecs.AgentVersion} {
		if some() {
			e.SetString(id, pick(r, words()...))
		}
	}
	if some() {
		e.Set(ecs.EventCategory, event.StringList([]string{pick(r, words()...), pick(r, words()...)}))
	}
	if some() {
		e.Set(ecs.EDRResourceCPUPct, event.Float(float64(r.IntN(16))/2-2))
	}
	if some() {
		e.Set(ecs.EDRRestartCount, event.Int(int64(r.IntN(8))))
	}
	if some() {
		e.Set(ecs.EDRTamperBlocked, event.Bool(r.IntN(2) == 0))
	}
}

// TestAgainstReference compares the closures with the reference over random
// conditions and events with missing fields, and checks the promise of the
// alternatives: a condition that is true has an atom of each that holds.
func TestAgainstReference(t *testing.T) {
	dict := dictionary(t)
	r := rand.New(rand.NewPCG(1, 2))
	e, env := event.New(dict), &Env{}
	counts := map[Truth]int{}
	for range 3000 {
		source := writer{r}.boolean(1 + r.IntN(3))
		x := compile(t, dict, source)
		tree, err := parser.Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			randomEvent(r, e)
			env.Event = e
			got, want := x.Eval(env), Unknown
			if b, known := (reference{e}).eval(tree.Node).(bool); known {
				want = truthOf(b)
			}
			counts[want]++
			if got != want {
				t.Fatalf("%s\non %s\nis %s, want %s", source, e.AppendJSON(nil), got, want)
			}
			if got == True {
				checkAtoms(t, x, e)
			}
		}
	}
	t.Logf("true %d, false %d, unknown %d", counts[True], counts[False], counts[Unknown])
}

func checkAtoms(t *testing.T, x *Expression, e *event.Event) {
	t.Helper()
	for _, alt := range x.Alternatives() {
		holds := false
		for i := range alt {
			holds = holds || alt[i].Holds(e)
		}
		if !holds {
			t.Fatalf("%s\nis true of %s\nbut no atom of %+v holds", x, e.AppendJSON(nil), alt)
		}
	}
}
