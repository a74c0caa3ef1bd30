// Package expression compiles conditions in the syntax of
// github.com/expr-lang/expr into closures over an event.
//
// The parser and its tree are those of expr; names, types and missing values
// are ours. A dotted name is a field of the dictionary, checked when the rule
// is loaded. A field that an event does not have is unknown, and unknown is
// never true: not under !=, not under not, not under not in (three-valued
// logic after Kleene). The plain subset of the language (comparisons, and, or,
// not, in, string operators, arithmetic, the conditional operator, a few
// functions) runs as closures without allocation; a call of any other harmless
// builtin runs in expr's own machine.
//
// From the same tree the package derives necessary atoms: facts such as
// event.action == "sensor-started" of which one must hold for the condition to
// be true. They are what an index over many rules is made of.
package expression
