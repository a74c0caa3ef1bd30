package expression

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// A condition is true when one of its branches is: it is brought into
// disjunctive normal form, a branch being claims that all hold. What cannot be
// put as a claim about one field is kept as its text, so that a branch never
// says more than the condition does.

// claim is one thing that a branch says about a field.
type claim struct {
	field ecs.ID
	kind  claimKind
	words []string // Of oneOf and noneOf, in order.
	low   float64  // Of within.
	high  float64
	open  [2]bool           // The bounds themselves are excluded.
	test  func(string) bool // Of fits.
	list  bool              // The field may hold several values.
	text  string            // The part in normal form.
	node  ast.Node
}

type claimKind uint8

const (
	opaque  claimKind = iota // Nothing is known but the text.
	present                  // The field is there.
	missing                  // It is not.
	oneOf                    // It is one of the words; of a list, holds one.
	noneOf                   // It is there and none of the words.
	within                   // It is a number between two bounds.
	fits                     // It is a text that passes a test.
	never                    // It cannot be.
)

// branch is a conjunction of claims.
type branch []claim

// maxBranches bounds the normal form. A condition with more is not looked into.
const maxBranches = 64

// brancher brings conditions into normal form.
type brancher struct{ c *compiler }

// of returns the branches of a part for one of its values. A part with too
// many branches becomes one opaque claim.
func (b brancher) of(n ast.Node, want bool) []branch {
	switch n := n.(type) {
	case *ast.BoolNode:
		if n.Value == want {
			return []branch{{}}
		}
		return nil
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			return b.of(n.Node, !want)
		}
	case *ast.BinaryNode:
		return b.binary(n, want)
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok && id.Value == "has" && len(n.Arguments) == 1 {
			if field, ok := b.field(n.Arguments[0]); ok {
				return []branch{{{field: field, kind: map[bool]claimKind{true: present, false: missing}[want], text: textOf(n, want), node: n}}}
			}
		}
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
		return b.name(n, want)
	}
	return b.opaque(n, want)
}

func (b brancher) opaque(n ast.Node, want bool) []branch {
	return []branch{{{kind: opaque, text: textOf(n, want), node: n}}}
}

func textOf(n ast.Node, want bool) string {
	if want {
		return n.String()
	}
	return "not (" + n.String() + ")"
}

// name is a macro or a boolean field.
func (b brancher) name(n ast.Node, want bool) []branch {
	dotted, _ := name(n)
	if b.c.defs != nil && !slices.Contains(b.c.inside, dotted) {
		if text, ok := b.c.defs.Macros[dotted]; ok {
			tree, parts, err := parse(text.Value)
			if err != nil || b.c.reached > MaxNodes {
				return b.opaque(n, want)
			}
			b.c.reached += max(parts, 1)
			b.c.inside = append(b.c.inside, dotted)
			defer func() { b.c.inside = b.c.inside[:len(b.c.inside)-1] }()
			list := b.of(tree.Node, want)
			for _, branch := range list {
				for i := range branch {
					branch[i].node = n // Positions are those of the condition, not of the macro.
				}
			}
			return list
		}
	}
	if field, ok := b.field(n); ok && b.c.dict.Field(field).Kind == ecs.Bool {
		return []branch{{b.boolean(n, field, want)}}
	}
	return b.opaque(n, want)
}

func (b brancher) boolean(n ast.Node, field ecs.ID, value bool) claim {
	return claim{field: field, kind: oneOf, words: []string{fmt.Sprint(value)}, text: textOf(n, value), node: n}
}

// field finds the field that a part names.
func (b brancher) field(n ast.Node) (ecs.ID, bool) {
	if call, ok := n.(*ast.CallNode); ok && len(call.Arguments) == 1 {
		id, isName := call.Callee.(*ast.IdentifierNode)
		if s, isText := call.Arguments[0].(*ast.StringNode); isName && isText && id.Value == "field" {
			return b.c.dict.Lookup(s.Value)
		}
	}
	dotted, ok := name(n)
	if !ok {
		return 0, false
	}
	return b.c.dict.Lookup(dotted)
}

func (b brancher) binary(n *ast.BinaryNode, want bool) []branch {
	switch n.Operator {
	case "and", "&&":
		if want {
			return b.both(n, b.of(n.Left, true), b.of(n.Right, true), want)
		}
		return b.either(n, b.of(n.Left, false), b.of(n.Right, false), want)
	case "or", "||":
		if want {
			return b.either(n, b.of(n.Left, true), b.of(n.Right, true), want)
		}
		return b.both(n, b.of(n.Left, false), b.of(n.Right, false), want)
	}
	left, right, op := n.Left, n.Right, n.Operator
	if isConstant(left) && !isConstant(right) && mirrored(op) != "" {
		left, right, op = right, left, mirrored(op)
	}
	if one, ok := b.cased(left, right, op); ok && want {
		one.node, one.text = n, textOf(n, want)
		return []branch{{one}}
	}
	field, ok := b.field(left)
	if !ok {
		return b.opaque(n, want)
	}
	one, ok := b.claim(field, right, op, want)
	if !ok {
		return b.opaque(n, want)
	}
	one.field, one.list, one.node, one.text = field, b.c.dict.Field(field).Array, n, textOf(n, want)
	return []branch{{one}}
}

func (b brancher) both(n ast.Node, left, right []branch, want bool) []branch {
	if len(left)*len(right) > maxBranches {
		return b.opaque(n, want)
	}
	var all []branch
	for _, x := range left {
		for _, y := range right {
			all = append(all, slices.Concat(x, y))
		}
	}
	return all
}

func (b brancher) either(n ast.Node, left, right []branch, want bool) []branch {
	if len(left)+len(right) > maxBranches {
		return b.opaque(n, want)
	}
	return slices.Concat(left, right)
}

func isConstant(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return true
	}
	return false
}

// cased finds lower(x) == "Word": the text cannot have a letter of the other
// case.
func (b brancher) cased(left, right ast.Node, op string) (claim, bool) {
	call, ok := left.(*ast.BuiltinNode)
	if !ok || call.Name != "lower" && call.Name != "upper" {
		return claim{}, false
	}
	change := map[string]func(string) string{"lower": strings.ToLower, "upper": strings.ToUpper}[call.Name]
	switch op {
	case "==", "contains", "startsWith", "endsWith":
		if s, ok := right.(*ast.StringNode); ok && change(s.Value) != s.Value {
			return claim{kind: never}, true
		}
	case "in":
		words, ok := b.words(right)
		if ok && !slices.ContainsFunc(words, func(w string) bool { return change(w) == w }) {
			return claim{kind: never}, true
		}
	}
	return claim{}, false
}

// words are the texts of a list in order; false for one that is too long to be
// compared with others.
func (b brancher) words(n ast.Node) ([]string, bool) {
	if words, ok := b.c.listed(n); ok {
		if len(words) > maxParsed {
			return nil, false
		}
		words = slices.Clone(words)
		slices.Sort(words)
		return words, true
	}
	array, ok := n.(*ast.ArrayNode)
	if !ok {
		return nil, false
	}
	var words []string
	for _, item := range array.Nodes {
		s, ok := item.(*ast.StringNode)
		if !ok {
			return nil, false
		}
		words = append(words, s.Value)
	}
	slices.Sort(words)
	return words, true
}

// claim reads field op constant.
func (b brancher) claim(field ecs.ID, right ast.Node, op string, want bool) (claim, bool) {
	switch right := right.(type) {
	case *ast.StringNode:
		return textClaim(right.Value, op, want)
	case *ast.BoolNode:
		if op == "==" || op == "!=" {
			value := right.Value == (op == "==") == want
			return b.boolean(right, field, value), true
		}
	case *ast.IntegerNode:
		return numberClaim(float64(right.Value), op, want)
	case *ast.FloatNode:
		return numberClaim(right.Value, op, want)
	}
	if op != "in" {
		return claim{}, false
	}
	if words, ok := b.words(right); ok {
		return claim{kind: map[bool]claimKind{true: oneOf, false: noneOf}[want], words: words}, true
	}
	if r, ok := right.(*ast.BinaryNode); ok && r.Operator == ".." && want {
		low, lowOK := r.Left.(*ast.IntegerNode)
		high, highOK := r.Right.(*ast.IntegerNode)
		if lowOK && highOK {
			return claim{kind: within, low: float64(low.Value), high: float64(high.Value)}, true
		}
	}
	return claim{}, false
}

func textClaim(word, op string, want bool) (claim, bool) {
	switch {
	case op == "==" && want, op == "!=" && !want:
		return claim{kind: oneOf, words: []string{word}}, true
	case op == "==", op == "!=":
		return claim{kind: noneOf, words: []string{word}}, true
	}
	test, ok := map[string]func(string, string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	}[op]
	return claim{kind: fits, test: func(s string) bool { return test(s, word) == want }}, ok
}

func numberClaim(f float64, op string, want bool) (claim, bool) {
	if !want {
		op = map[string]string{"<": ">=", "<=": ">", ">": "<=", ">=": "<", "!=": "=="}[op] // The negation of == is no interval.
	}
	c := claim{kind: within, low: math.Inf(-1), high: math.Inf(1)}
	switch op {
	case "==":
		c.low, c.high = f, f
	case "<", "<=":
		c.high, c.open[1] = f, op == "<"
	case ">", ">=":
		c.low, c.open[0] = f, op == ">"
	default:
		return claim{}, false
	}
	return c, true
}
