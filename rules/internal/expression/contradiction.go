package expression

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// conflict explains why two claims cannot hold together; empty when they can.
func (x *claim) conflict(y *claim) string {
	if x.kind == never {
		return fmt.Sprintf("%s can never be true: the text has letters of the other case", x.text)
	}
	if x.text == "not ("+y.text+")" || y.text == "not ("+x.text+")" {
		return fmt.Sprintf("%s and its negation cannot both be true", shorter(x.text, y.text))
	}
	if x.kind == opaque || y.kind == opaque || x.field != y.field {
		return ""
	}
	if x.kind > y.kind {
		x, y = y, x
	}
	if x.disjoint(y) {
		return fmt.Sprintf("%s and %s cannot both be true", x.text, y.text)
	}
	return ""
}

func shorter(a, b string) string {
	if len(a) < len(b) {
		return a
	}
	return b
}

// holds reports whether a word is among those of a claim, which are in order:
// comparing two long lists must not cost the product of their lengths.
func (x *claim) holds(word string) bool {
	_, ok := slices.BinarySearch(x.words, word)
	return ok
}

// disjoint reports whether no value satisfies both claims about one field. The
// kind of x is not above that of y.
func (x *claim) disjoint(y *claim) bool {
	switch {
	case x.kind == missing:
		return y.kind != missing
	case x.kind == present:
		return y.kind == missing
	case x.kind == oneOf && y.kind == oneOf:
		return !x.list && !slices.ContainsFunc(x.words, func(w string) bool { return y.holds(w) })
	case x.kind == oneOf && y.kind == noneOf:
		return !slices.ContainsFunc(x.words, func(w string) bool { return !y.holds(w) })
	case x.kind == oneOf && y.kind == fits:
		return !x.list && !slices.ContainsFunc(x.words, y.test)
	case x.kind == within && y.kind == within:
		low, high := max(x.low, y.low), min(x.high, y.high)
		shut := !(x.low == low && x.open[0] || y.low == low && y.open[0] || x.high == high && x.open[1] || y.high == high && y.open[1])
		return low > high || low == high && !shut
	}
	return false
}

// impossible explains why a branch can never hold, and which part says so.
func (b branch) impossible() (why string, at ast.Node) {
	for i := range b {
		for j := i; j < len(b); j++ {
			if i == j && b[i].kind != never {
				continue
			}
			if why := b[i].conflict(&b[j]); why != "" {
				return why, b[j].node
			}
		}
	}
	return "", nil
}

// implies reports whether a claim that holds makes another hold.
func (x *claim) implies(y *claim) bool {
	if x.text == y.text {
		return true
	}
	if x.field != y.field || x.kind == opaque || y.kind == opaque {
		return false
	}
	switch {
	case y.kind == present:
		return x.kind != missing
	case x.kind == oneOf && y.kind == oneOf:
		return !slices.ContainsFunc(x.words, func(w string) bool { return !y.holds(w) })
	case x.kind == oneOf && y.kind == noneOf:
		return !x.list && !slices.ContainsFunc(x.words, func(w string) bool { return y.holds(w) })
	case x.kind == noneOf && y.kind == noneOf:
		return !slices.ContainsFunc(y.words, func(w string) bool { return !x.holds(w) })
	case x.kind == oneOf && y.kind == fits:
		return !x.list && !slices.ContainsFunc(x.words, func(w string) bool { return !y.test(w) })
	case x.kind == within && y.kind == within:
		return (x.low > y.low || x.low == y.low && (x.open[0] || !y.open[0])) && (x.high < y.high || x.high == y.high && (x.open[1] || !y.open[1]))
	}
	return false
}

// implies reports whether a branch that holds makes another hold.
func (b branch) implies(other branch) bool {
	for i := range other {
		if !slices.ContainsFunc(b, func(x claim) bool { return x.implies(&other[i]) }) {
			return false
		}
	}
	return true
}

// covered reports whether every possible branch of one list implies one of
// another.
func covered(list, by []branch) bool {
	for _, b := range list {
		if why, _ := b.impossible(); why != "" {
			continue
		}
		if !slices.ContainsFunc(by, b.implies) {
			return false
		}
	}
	return true
}

// Implies reports whether an event of which x is true always satisfies y. No
// means that it is not known to.
func (x *Expression) Implies(y *Expression) bool { return covered(x.branches, y.branches) }

// Excludes explains why x and y can never be true of the same event; empty
// when they can be, as far as is known.
func (x *Expression) Excludes(y *Expression) string {
	reason := ""
	for _, a := range x.branches {
		if why, _ := a.impossible(); why != "" {
			continue // Reported with x itself.
		}
		for _, b := range y.branches {
			if own, _ := b.impossible(); own != "" {
				continue
			}
			why, _ := slices.Concat(a, b).impossible()
			if why == "" {
				return ""
			}
			reason = why
		}
	}
	return reason
}

// reach warns of a condition, or a side of an or in it, that can never be
// true, and of a side that another one covers. It returns the branches of the
// whole.
func (c *compiler) reach(root ast.Node) []branch {
	b := brancher{c}
	all := b.of(root, true)
	if c.reached > MaxNodes { // Too large to compare its sides with one another.
		return all
	}
	dead := len(all) > 0
	why, at := "", ast.Node(nil)
	for _, branch := range all {
		w, n := branch.impossible()
		if w == "" {
			dead = false
			continue
		}
		why, at = w, n
	}
	if dead {
		c.warn(leftmost(at), "the condition can never be true: "+why, "is it or that is meant?")
		return all
	}
	sides := alternatives(root)
	for i, side := range sides {
		c.reached = 0 // The sides together are no larger than the whole.
		own := b.of(side, true)
		if reason, n, never := neverTrue(own); never {
			c.warn(leftmost(n), fmt.Sprintf("%s can never be true: %s", side, reason), "is it or that is meant?")
			continue
		}
		for j, other := range sides {
			if i == j {
				continue
			}
			c.reached = 0
			wider := b.of(other, true)
			if covered(own, wider) && (j < i || !covered(wider, own)) {
				c.warn(leftmost(side), fmt.Sprintf("%s makes no difference: whenever it is true, %s is true as well", side, other), "remove it")
				break
			}
		}
	}
	return all
}

// leftmost is the part with which another begins: an operator stands at its own
// position.
func leftmost(n ast.Node) ast.Node {
	for {
		binary, ok := n.(*ast.BinaryNode)
		if !ok {
			return n
		}
		n = binary.Left
	}
}

// Never reports whether x is known never to be true.
func (x *Expression) Never() bool {
	_, _, never := neverTrue(x.branches)
	return never
}

func neverTrue(list []branch) (reason string, at ast.Node, never bool) {
	for _, b := range list {
		why, n := b.impossible()
		if why == "" {
			return "", nil, false
		}
		reason, at = why, n
	}
	return reason, at, len(list) > 0
}

// alternatives are the sides of the or at the top of a condition; none when
// there is no or.
func alternatives(n ast.Node) []ast.Node {
	or, ok := n.(*ast.BinaryNode)
	if !ok || or.Operator != "or" && or.Operator != "||" {
		return nil
	}
	var sides []ast.Node
	for _, side := range []ast.Node{or.Left, or.Right} {
		if inner := alternatives(side); inner != nil {
			sides = append(sides, inner...)
		} else {
			sides = append(sides, side)
		}
	}
	return sides
}
