package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Definitions are names that conditions can use: lists of words after in, and
// macros, which stand for a whole condition. They are immutable.
type Definitions struct {
	Lists  map[string][]string
	Macros map[string]strict.Text
}

// listed finds the words of a named list.
func (c *compiler) listed(n ast.Node) ([]string, bool) {
	id, ok := n.(*ast.IdentifierNode)
	if !ok || c.defs == nil {
		return nil, false
	}
	words, ok := c.defs.Lists[id.Value]
	return words, ok
}

// list makes a tree of the words of the list that n names.
func (c *compiler) list(n ast.Node, words []string) *ast.ArrayNode {
	array := &ast.ArrayNode{}
	array.SetLocation(n.Location())
	for _, w := range words {
		item := &ast.StringNode{Value: w}
		item.SetLocation(n.Location())
		array.Nodes = append(array.Nodes, item)
	}
	return array
}

// macro compiles a macro in the place of its name. Problems inside of it are
// reported where it is defined.
func (c *compiler) macro(n ast.Node, name string) (operand, bool) {
	if c.defs == nil {
		return operand{}, false
	}
	text, ok := c.defs.Macros[name]
	if !ok {
		return operand{}, false
	}
	if slices.Contains(c.inside, name) {
		return c.at(n, fmt.Sprintf("macro %s uses itself: %s", name, strings.Join(append(c.inside, name), " → ")), ""), true
	}
	if len(c.inside) >= 8 {
		return c.at(n, "macros are nested more than 8 deep", ""), true
	}
	if c.parts > MaxNodes { // Said already. Macros of macros are of exponential size: nothing more is looked at.
		return operand{typ: Invalid, node: n}, true
	}
	outer := c.text
	c.text, c.inside = text, append(c.inside, name)
	defer func() { c.text, c.inside = outer, c.inside[:len(c.inside)-1] }()
	tree, parts, err := parse(text.Value)
	if err != nil {
		c.syntax(err)
		return operand{node: n}, true
	}
	if c.parts += max(parts, 1); c.parts > MaxNodes {
		return c.at(tree.Node, fmt.Sprintf("the condition has more than %d parts with its macros, too many in %s", MaxNodes, strings.Join(c.inside, " → ")), "split the rule"), true
	}
	return c.compile(tree.Node), true
}
