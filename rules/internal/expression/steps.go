package expression

import (
	"fmt"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// What one event can cost is bounded in steps: bytes that are looked at, times
// the instructions of a regular expression, times the passes of a loop. Texts
// whose cost is more than one look at each byte are read up to maxText, lists
// up to maxEntries, so that the bound does not depend on who sends the event.
const (
	maxText    = 64 << 10 // Bytes of a text; of a list all its texts together.
	maxEntries = 256      // Entries of a list in a loop.
	maxSteps   = 1 << 27  // Of one condition and one event.
)

// Steps is the most that one event can cost.
func (x *Expression) Steps() int { return x.steps }

// charge adds to what the condition can cost, and reports the part with which
// it becomes too much.
func (c *compiler) charge(n ast.Node, steps int) bool {
	before := c.steps
	c.steps = min(before+min(steps, maxSteps+1), maxSteps+1)
	if before <= maxSteps && c.steps > maxSteps {
		c.at(n, fmt.Sprintf("one event could cost more than %d steps, too many with this part", maxSteps),
			"a step is a byte of a text, times the size of a pattern, times the entries of a list: use smaller patterns, or no other text inside of a loop")
		return false
	}
	return c.steps <= maxSteps
}

// cut returns what of a text is read where each byte may cost more than one
// step: whole characters of at most n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// cutList is cut for the texts of a list together.
func cutList(list []string, entries int) []string {
	room := maxText
	for i, s := range list[:min(len(list), entries)] {
		if room -= len(s); room < 0 {
			short := append([]string(nil), list[:i]...)
			return append(short, cut(s, room+len(s)))
		}
	}
	return list[:min(len(list), entries)]
}

// bounded is sum + a·b, or a number over maxSteps that is far from overflow.
func bounded(sum, a, b int) int {
	if b > 0 && a > maxSteps/b {
		return maxSteps + 1
	}
	return min(sum+a*b, maxSteps+1)
}
