package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Limits of one condition. They bound what a hostile rule can cost.
const (
	MaxNodes = 600      // Nodes of the tree, constants left out, macros written out.
	MaxText  = 16 << 10 // Bytes of the source.

	maxParsed = 4096    // Nodes with constants, such as the patterns of a list.
	maxWords  = 1 << 18 // Words of all the named lists that it uses.
)

// errTooManyNodes is what parse returns for a tree of more than MaxNodes.
var errTooManyNodes = errors.New("too many nodes")

// parse reads a condition within the limits. The number is that of its nodes,
// constants left out.
func parse(text string) (*parser.Tree, int, error) {
	config := conf.CreateNew()
	config.MaxNodes = maxParsed
	tree, err := parser.ParseWithConfig(text, config)
	switch {
	case err != nil && strings.Contains(err.Error(), "exceeds maximum allowed nodes"):
		return nil, 0, errTooManyNodes
	case err != nil:
		return nil, 0, err
	}
	var n counter
	root := tree.Node
	ast.Walk(&root, &n)
	if n > MaxNodes {
		return nil, 0, errTooManyNodes
	}
	return tree, int(n), nil
}

// counter counts the nodes that cost something to evaluate.
type counter int

// Visit counts one node.
func (c *counter) Visit(n *ast.Node) {
	switch (*n).(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.ConstantNode:
	default:
		*c++
	}
}

// Expression is a compiled condition. It is immutable and safe for concurrent
// use, each goroutine with an Env of its own.
type Expression struct {
	source string
	root   operand
	fields []ecs.ID
	terms  []term

	branches []branch
	steps    int
}

// term is one boolean part of an expression, for explanations.
type term struct {
	text   string
	depth  int
	truth  func(*Env) Truth
	fields []ecs.ID
	join   Join
	bound  *float64
}

// Compile checks a condition against the dictionary and compiles it. The
// problems carry file, line and column; those in warnings do not make the
// condition unusable, such as a comparison with a word that is not in a closed
// vocabulary. On problems the expression is nil.
func Compile(text strict.Text, dict *ecs.Dictionary) (x *Expression, problems, warnings []strict.Problem) {
	return CompileWith(text, dict, nil)
}

// CompileWith compiles a condition that may use definitions.
func CompileWith(text strict.Text, dict *ecs.Dictionary, defs *Definitions) (x *Expression, problems, warnings []strict.Problem) {
	c := &compiler{text: text, dict: dict, defs: defs}
	if strings.TrimSpace(text.Value) == "" {
		c.report(0, "the condition is empty", "write an expression such as event.action == \"sensor-crashed\"")
		return nil, c.problems, nil
	}
	if len(text.Value) > MaxText {
		c.report(0, fmt.Sprintf("the condition has %d bytes, more than %d", len(text.Value), MaxText), "split the rule")
		return nil, c.problems, nil
	}
	tree, parts, err := parse(text.Value)
	if err != nil {
		c.syntax(err)
		return nil, c.problems, nil
	}
	c.parts, c.reached = parts, parts
	branches := c.reach(tree.Node) // Before parts of the tree are rewritten for expr's machine.
	root := c.compile(tree.Node)
	if root.typ != Bool && root.typ != Invalid {
		c.at(tree.Node, fmt.Sprintf("the condition is %s, expected a boolean", root.typ.phrase()), "compare it with something")
	}
	if len(c.problems) > 0 {
		return nil, c.problems, nil
	}
	if root.constant {
		c.warn(tree.Node, fmt.Sprintf("the condition is always %s", root.constTruth), "")
	}
	return &Expression{source: text.Value, root: root, fields: c.fields, terms: c.terms, branches: branches, steps: c.steps}, nil, c.warnings
}

// String returns the source.
func (x *Expression) String() string { return x.source }

// Eval evaluates the condition on env.Event.
func (x *Expression) Eval(env *Env) Truth { return x.root.truth(env) }

// Fields are the fields that the condition names, each once, in order of
// appearance.
func (x *Expression) Fields() []ecs.ID { return x.fields }

// Alternatives returns necessary atoms: whenever the condition is true, at
// least one atom of each alternative holds. None means that nothing is known
// and every event has to be evaluated.
func (x *Expression) Alternatives() []Alternative { return x.root.whenTrue }

// Part is the verdict on one part of a condition.
type Part struct {
	Text   string // The part in normal form.
	Depth  int    // 0 for the whole condition.
	Truth  Truth
	Fields []ecs.ID // What it reads.
	Join   Join     // How it puts the parts below it together.
	Bound  *float64 // The number that it compares with; nil without one.
}

// Join is how a part of a condition is made of others.
type Join uint8

const (
	Other Join = iota // A comparison, a negation, a call.
	And
	Or
)

// Explain evaluates every boolean part of the condition, the whole first.
func (x *Expression) Explain(env *Env) []Part {
	parts := make([]Part, len(x.terms))
	for i, t := range x.terms {
		parts[i] = Part{Text: t.text, Depth: t.depth, Truth: t.truth(env), Fields: t.fields, Join: t.join, Bound: t.bound}
	}
	return parts
}

// Clauses are the texts of the parts that Explain judges, in its order.
func (x *Expression) Clauses() []string {
	texts := make([]string, len(x.terms))
	for i := range x.terms {
		texts[i] = x.terms[i].text
	}
	return texts
}

// compiler holds the state of one compilation.
type compiler struct {
	text     strict.Text
	dict     *ecs.Dictionary
	names    []string
	problems []strict.Problem
	warnings []strict.Problem
	fields   []ecs.ID
	terms    []term
	depth    int
	defs     *Definitions
	inside   []string // Macros that are being expanded.
	parts    int      // Nodes compiled, with those of macros.
	reached  int      // The same of the normal form, which is made first.
	words    int      // Of the named lists.
	steps    int      // That one event can cost.
}

// offset converts expr's position, counted in characters, into bytes.
func (c *compiler) offset(runes int) int {
	pos := 0
	for ; runes > 0 && pos < len(c.text.Value); runes-- {
		_, size := utf8.DecodeRuneInString(c.text.Value[pos:])
		pos += size
	}
	return pos
}

func (c *compiler) report(offset int, message, hint string) {
	c.problems = append(c.problems, c.text.Problem(offset, message, hint))
}

// at reports a problem with a part of the condition.
func (c *compiler) at(n ast.Node, message, hint string) operand {
	c.report(c.offset(start(n)), message, hint)
	return operand{typ: Invalid, node: n}
}

func (c *compiler) warn(n ast.Node, message, hint string) {
	c.warnings = append(c.warnings, c.text.Problem(c.offset(start(n)), message, hint))
}

// syntax reports what expr's parser says.
func (c *compiler) syntax(err error) {
	if errors.Is(err, errTooManyNodes) {
		c.report(0, fmt.Sprintf("the condition has more than %d parts", MaxNodes), "split the rule")
		return
	}
	var e *file.Error
	if !errors.As(err, &e) {
		message, _, _ := strings.Cut(err.Error(), "\n")
		c.report(0, message, "")
		return
	}
	hint := ""
	switch {
	case strings.Contains(e.Message, `Operator("=")`):
		hint = "write == to compare"
	case strings.Contains(e.Message, "EOF"):
		hint = "is the text complete? In YAML a # after a space begins a comment unless the text is quoted"
	}
	c.report(c.offset(e.From), e.Message, hint)
}

// start is where a part begins: expr gives an operator's own position, not
// that of its left side, and a member chain that of its last name.
func start(n ast.Node) int {
	switch n := n.(type) {
	case *ast.MemberNode:
		return start(n.Node)
	case *ast.ChainNode:
		return start(n.Node)
	case *ast.CallNode:
		return start(n.Callee)
	}
	return n.Location().From
}

// use notes that the condition reads a field.
func (c *compiler) use(id ecs.ID) {
	if !slices.Contains(c.fields, id) {
		c.fields = append(c.fields, id)
	}
}
