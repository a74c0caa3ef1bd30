package expression

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// extent is the most that a part of a condition takes and gives.
type extent struct {
	steps int
	bytes int // Of a text, or of all texts of a list; 0 for anything else.
}

// worker bounds the steps of a part that expr's machine runs, which has no
// bound of its own on time: its budget of memory is looked at after the memory
// is spent, and not at all by most functions.
type worker struct {
	c      *compiler
	fields map[string]ecs.ID // By the variable that stands for it.
	entry  int               // Bytes of #, which stands for an entry in a loop.
	failed bool
}

func (w *worker) refuse(n ast.Node, message, hint string) extent {
	w.failed = true
	w.c.at(n, message, hint)
	return extent{}
}

// node bounds a part after its fields have become variables.
func (w *worker) node(n ast.Node) extent {
	switch n := n.(type) {
	case *ast.StringNode:
		return extent{bytes: len(n.Value)}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode, *ast.ConstantNode:
		return extent{}
	case *ast.IdentifierNode:
		if id, ok := w.fields[n.Value]; ok && w.c.dict.Field(id).Kind != ecs.String {
			return extent{}
		}
		return extent{bytes: maxText}
	case *ast.PointerNode:
		return extent{bytes: w.entry}
	case *ast.UnaryNode:
		return w.node(n.Node)
	case *ast.PredicateNode:
		return w.node(n.Node)
	case *ast.ChainNode:
		return w.node(n.Node)
	case *ast.ConditionalNode:
		return w.every(n.Cond, n.Exp1, n.Exp2)
	case *ast.MemberNode:
		return w.every(n.Node, n.Property)
	case *ast.SliceNode:
		return w.every(n.Node, n.From, n.To)
	case *ast.ArrayNode:
		return w.every(n.Nodes...)
	case *ast.BinaryNode:
		return w.binary(n)
	case *ast.BuiltinNode:
		return w.call(n.Name, n.Arguments)
	case *ast.CallNode:
		return w.call(n.Callee.String(), n.Arguments)
	}
	return w.refuse(n, describe(n)+" is not supported in a condition", "")
}

// every adds up parts.
func (w *worker) every(parts ...ast.Node) extent {
	var sum extent
	for _, p := range parts {
		if p == nil { // The end of a slice that is left out.
			continue
		}
		x := w.node(p)
		sum.steps = bounded(sum.steps, x.steps, 1)
		sum.bytes = bounded(sum.bytes, x.bytes, 1)
	}
	return sum
}

func (w *worker) binary(n *ast.BinaryNode) extent {
	x := w.every(n.Left, n.Right)
	factor := 1
	if n.Operator == "matches" {
		pattern, ok := n.Right.(*ast.StringNode)
		if !ok {
			return w.refuse(n.Right, notConstant, "")
		}
		_, size, ok := w.c.regex(n.Right, pattern.Value)
		if !ok {
			w.failed = true
			return extent{}
		}
		factor = size
	}
	x.steps = bounded(x.steps, x.bytes, factor)
	if n.Operator != "+" {
		x.bytes = 0
	}
	return x
}

// call bounds a call. In a loop each entry costs once more what has nothing to
// do with the entry, such as another text that is searched.
func (w *worker) call(name string, args []ast.Node) extent {
	if len(args) == 2 {
		if body, ok := args[1].(*ast.PredicateNode); ok {
			return w.loop(args[0], body)
		}
	}
	x := w.every(args...)
	factor := 1
	switch name {
	case "trim", "trimPrefix", "trimSuffix": // Each character is looked up in the second text.
		for _, arg := range args[min(1, len(args)):] {
			factor = max(factor, w.node(arg).bytes)
		}
	case "split", "join", "lower", "upper", "string", "first", "last":
	default:
		return extent{steps: bounded(x.steps, x.bytes, 1)}
	}
	x.steps = bounded(x.steps, x.bytes, factor)
	if name == "split" || name == "join" {
		x.bytes = maxText
	}
	return x
}

func (w *worker) loop(over, body ast.Node) extent {
	list := w.node(over)
	entries := maxEntries
	if array, ok := over.(*ast.ArrayNode); ok {
		entries = len(array.Nodes)
	}
	outer := w.entry
	w.entry = 0
	fixed := w.node(body)
	// As nothing costs less than in proportion to its texts, no spread of them over the entries costs more than one
	// entry that has all.
	w.entry = list.bytes
	largest := w.node(body)
	w.entry = outer
	steps := bounded(list.steps, fixed.steps+1, entries)
	return extent{steps: bounded(bounded(steps, largest.steps, 1), list.bytes, 1)}
}

// splitText is split as the machine has it: of at most maxEntries parts, of
// which the last is the rest.
func splitText(args ...any) (any, error) {
	text, separator, limit := args[0].(string), args[1].(string), maxEntries
	if len(args) == 3 {
		if n, ok := args[2].(int); ok && n >= 0 {
			limit = min(n, limit)
		}
	}
	return strings.SplitN(cut(text, maxText), separator, limit), nil
}

// joinText is join as the machine has it: of at most maxText bytes.
func joinText(args ...any) (any, error) {
	glue := ""
	if len(args) == 2 {
		glue = args[1].(string)
	}
	var b []byte
	add := func(i int, s string) bool {
		if i > 0 {
			b = append(b, glue...)
		}
		b = append(b, s...)
		return len(b) <= maxText
	}
	switch list := args[0].(type) {
	case []string:
		for i, s := range list {
			if !add(i, s) {
				break
			}
		}
	case []any:
		for i, v := range list {
			if s, ok := v.(string); !ok {
				return nil, fmt.Errorf("join takes texts, found %T", v)
			} else if !add(i, s) {
				break
			}
		}
	}
	return cut(string(b), maxText), nil
}
