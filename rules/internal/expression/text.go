package expression

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// anyText evaluates a test of a string. Of a field that holds several strings
// one has to pass.
func anyText(o operand, test func(string) bool) func(*Env) Truth {
	return anyOf(o, func(list []string) []string { return list }, test)
}

// anyCut is anyText for a test that reads no more than maxText bytes of a
// text: of a list that is what all its texts have together.
func anyCut(o operand, test func(string) bool) func(*Env) Truth {
	return anyOf(o, func(list []string) []string { return cutList(list, len(list)) }, test)
}

// anyOf evaluates a test of a string, or of one of those of a list that are
// looked at.
func anyOf(o operand, looked func([]string) []string, test func(string) bool) func(*Env) Truth {
	if !o.isField {
		get := o.text
		return func(env *Env) Truth {
			s, ok := get(env)
			if !ok {
				return Unknown
			}
			return truthOf(test(s))
		}
	}
	id := o.field
	return func(env *Env) Truth {
		v := env.Event.Get(id)
		if v == nil {
			return Unknown
		}
		if list := v.List(); list != nil {
			return truthOf(slices.ContainsFunc(looked(list), test))
		}
		return truthOf(test(v.Str()))
	}
}

// booleanOf completes an operand that is known when all its fields are there.
func booleanOf(n ast.Node, truth func(*Env) Truth, needs []ecs.ID) operand {
	p := presence(needs)
	return operand{typ: Bool, node: n, truth: truth, needs: needs, whenTrue: p, whenFalse: p}
}

func (c *compiler) compileText(n *ast.BinaryNode, left, right operand) operand {
	where := "beside " + n.Operator
	if l, r := c.expect(left, String, where), c.expect(right, String, where); !l || !r {
		return operand{node: n}
	}
	test := strings.Contains
	switch n.Operator {
	case "startsWith":
		test = strings.HasPrefix
	case "endsWith":
		test = strings.HasSuffix
	}
	needs := needed(left, right)
	if right.constant {
		part := right.constText
		o := booleanOf(n, anyText(left, func(s string) bool { return test(s, part) }), needs)
		if n.Operator == "startsWith" && left.isField && part != "" {
			o.whenTrue = both([]Alternative{{{Field: left.field, Op: Prefix, Text: part}}}, o.whenTrue)
		}
		return o
	}
	if !left.isField {
		get, other := left.text, right.text
		return booleanOf(n, func(env *Env) Truth {
			s, ok := get(env)
			part, also := other(env)
			if !ok || !also {
				return Unknown
			}
			return truthOf(test(s, part))
		}, needs)
	}
	id, other := left.field, right.text
	return booleanOf(n, func(env *Env) Truth {
		v := env.Event.Get(id)
		part, ok := other(env)
		if v == nil || !ok {
			return Unknown
		}
		for _, s := range v.List() {
			if test(s, part) {
				return True
			}
		}
		return truthOf(v.List() == nil && test(v.Str(), part))
	}, needs)
}

// compileMatches compiles a regular expression in RE2 syntax. It has to be
// constant: one out of an event could be made expensive by who writes the
// event.
func (c *compiler) compileMatches(n *ast.BinaryNode, left, right operand) operand {
	if !c.expect(left, String, "before matches") {
		return operand{node: n}
	}
	if right.typ != String || !right.constant {
		return c.at(n.Right, notConstant, "")
	}
	re, size, ok := c.regex(n.Right, right.constText)
	if !ok || !c.charge(n, size*maxText) {
		return operand{node: n}
	}
	return booleanOf(n, anyCut(left, func(s string) bool { return re.MatchString(cut(s, maxText)) }), left.needs)
}

const notConstant = "the pattern after matches has to be a constant string"

// compileIn compiles x in ["a", "b"], x in 1..5 and "a" in list_field.
func (c *compiler) compileIn(n *ast.BinaryNode) operand {
	left := c.compile(n.Left)
	if left.typ == Invalid {
		return left
	}
	if words, ok := c.listed(n.Right); ok {
		if c.words += len(words); c.words > maxWords {
			return c.at(n.Right, fmt.Sprintf("the lists of the condition have more than %d words", maxWords), "split the rule")
		}
		return c.compileInList(n, left, c.list(n.Right, words))
	}
	switch right := n.Right.(type) {
	case *ast.ArrayNode:
		return c.compileInList(n, left, right)
	case *ast.BinaryNode:
		if right.Operator == ".." {
			return c.compileInRange(n, left, right)
		}
	}
	right := c.compile(n.Right)
	if right.typ == Invalid {
		return right
	}
	if !right.isField || !right.list {
		return c.at(n.Right, fmt.Sprintf("%s is not a list", n.Right.String()), "write [\"a\", \"b\"] or the name of a field that holds a list")
	}
	if !c.expect(left, String, "before in") {
		return operand{node: n}
	}
	o := operand{typ: Bool, node: n, needs: needed(right, left)}
	o.whenTrue = presence(o.needs)
	o.whenFalse = o.whenTrue
	c.compareText(&o, "==", right, left)
	return o
}

// wide is the number of words from which on a set is faster than a scan.
const wide = 8

func (c *compiler) compileInList(n *ast.BinaryNode, left operand, list *ast.ArrayNode) operand {
	var words []string
	var numbers []float64
	for _, item := range list.Nodes {
		o := c.compile(item)
		switch {
		case o.typ == Invalid:
			return o
		case !o.constant || o.typ != left.typ || o.typ != String && o.typ != Number:
			return c.at(item, fmt.Sprintf("%s does not fit a list for %s, which is a %s", item.String(), left.node.String(), left.typ),
				"the list holds constants of the same type")
		case o.typ == String:
			c.checkWord(left, item, o.constText)
			words = append(words, o.constText)
		default:
			numbers = append(numbers, o.constNumber)
		}
	}
	if len(list.Nodes) == 0 {
		return c.at(list, "the list is empty", "")
	}
	if left.typ == Number {
		get := left.number
		return booleanOf(n, func(env *Env) Truth {
			f, ok := get(env)
			if !ok {
				return Unknown
			}
			return truthOf(slices.Contains(numbers, f))
		}, left.needs)
	}
	test := func(s string) bool { return slices.Contains(words, s) }
	if len(words) > wide {
		set := make(map[string]struct{}, len(words))
		for _, w := range words {
			set[w] = struct{}{}
		}
		test = func(s string) bool { _, ok := set[s]; return ok }
	}
	o := booleanOf(n, anyText(left, test), left.needs)
	if left.isField && len(words) <= maxAtoms {
		atoms := make(Alternative, 0, len(words))
		for _, w := range words {
			if a := (Atom{Field: left.field, Op: Equal, Text: w}); !slices.Contains(atoms, a) {
				atoms = append(atoms, a)
			}
		}
		o.whenTrue = both([]Alternative{atoms}, o.whenTrue)
	}
	return o
}

func (c *compiler) compileInRange(n *ast.BinaryNode, left operand, bounds *ast.BinaryNode) operand {
	low, high := c.compile(bounds.Left), c.compile(bounds.Right)
	if !c.expect(left, Number, "before in") || low.typ == Invalid || high.typ == Invalid {
		return operand{node: n}
	}
	if !low.constant || !high.constant || low.typ != Number || high.typ != Number {
		return c.at(bounds, "the bounds of a range have to be constant numbers", "")
	}
	from, to, get := low.constNumber, high.constNumber, left.number
	o := booleanOf(n, func(env *Env) Truth {
		f, ok := get(env)
		if !ok {
			return Unknown
		}
		return truthOf(f >= from && f <= to && f == math.Trunc(f))
	}, left.needs)
	if left.isField {
		o.whenTrue = both([]Alternative{{{Field: left.field, Op: AtLeast, Number: from}}}, o.whenTrue)
	}
	return o
}

// compileCIDR compiles cidrMatch(ip, "10.0.0.0/8", …), named as in EQL.
func (c *compiler) compileCIDR(n ast.Node, args []ast.Node) operand {
	if len(args) < 2 {
		return c.at(n, "cidrMatch takes an address and at least one network", "")
	}
	address := c.compile(args[0])
	if !c.expect(address, String, "as the first argument of cidrMatch") {
		return operand{node: n}
	}
	var networks []netip.Prefix
	for _, arg := range args[1:] {
		s, ok := arg.(*ast.StringNode)
		if !ok {
			return c.at(arg, "networks have to be constant", "")
		}
		p, err := netip.ParsePrefix(s.Value)
		if err != nil {
			return c.at(arg, err.Error(), "write 10.0.0.0/8 or fd00::/8")
		}
		networks = append(networks, p)
	}
	inside := func(s string) bool {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return false
		}
		ip = ip.Unmap()
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(ip) })
	}
	return booleanOf(n, anyText(address, inside), address.needs)
}
