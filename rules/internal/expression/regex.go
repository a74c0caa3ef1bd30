package expression

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
)

// Limits of one regular expression. Go's package is linear in the text, but
// the factor is the size of the program, which x{1000} makes large at no cost
// to who writes it, and which is built before it can be measured.
const (
	maxPattern      = 4 << 10 // Bytes of the pattern.
	maxInstructions = 1000    // Of the program that is made of it.
)

// regex compiles a regular expression in RE2 syntax within the limits. The
// number is that of the instructions of its program, or a little more.
func (c *compiler) regex(n ast.Node, text string) (*regexp.Regexp, int, bool) {
	if len(text) > maxPattern {
		c.at(n, fmt.Sprintf("the pattern has %d bytes, at most %d are allowed", len(text), maxPattern),
			"split it into several matches joined by or, or use in, like, contains")
		return nil, 0, false
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err == nil {
		if size := programSize(tree); size > maxInstructions {
			c.at(n, fmt.Sprintf("the pattern makes a program of %d instructions, at most %d are allowed", size, maxInstructions),
				"x{1,100} counts as a hundred x: use x+ or smaller numbers")
			return nil, 0, false
		}
	}
	re, err := regexp.Compile(text)
	if err != nil {
		c.at(n, err.Error(), "patterns have the syntax of https://github.com/google/re2/wiki/Syntax")
		return nil, 0, false
	}
	return re, programSize(tree), true
}

// programSize bounds the instructions of a pattern's program from above,
// without making it: repetitions are what regexp/syntax writes out.
func programSize(re *syntax.Regexp) int {
	sum := 0
	for _, sub := range re.Sub {
		sum += programSize(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCapture:
		return sum + 2
	case syntax.OpAlternate:
		return sum + max(0, len(re.Sub)-1)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		return sum + 1
	case syntax.OpRepeat:
		if re.Max < 0 { // x{n,}
			return max(1, re.Min)*sum + 1
		}
		return max(1, re.Max)*sum + re.Max - re.Min
	case syntax.OpConcat:
		return sum
	}
	return sum + 1
}
