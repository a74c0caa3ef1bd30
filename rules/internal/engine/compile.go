package engine

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// Compiler compiles one rule against a dictionary.
type Compiler struct {
	spec.Checker
	dict *ecs.Dictionary
	defs *expression.Definitions
}

// NewCompiler returns a compiler of the rule in a node.
func NewCompiler(n strict.Node, dict *ecs.Dictionary, defs *expression.Definitions) *Compiler {
	return &Compiler{Checker: spec.NewChecker(n), dict: dict, defs: defs}
}

// Condition compiles an expression; nil after a problem.
func (c *Compiler) Condition(text strict.Text) *expression.Expression {
	x, problems, warnings := expression.CompileWith(text, c.dict, c.defs)
	c.Report(problems, warnings)
	return x
}

// Rule compiles one rule.
func (c *Compiler) Rule(file string, node strict.Node, decl Declaration) *Rule {
	h := decl.Shared()
	line, _ := node.Position()
	r := &Rule{
		ID: strings.ToLower(h.ID), Name: h.Name, Version: h.Version, Kind: h.Kind, Type: h.Type, Description: h.Description,
		Severity: h.Severity, RiskScore: h.DefaultRisk(), Maturity: h.Maturity, Tags: h.Tags, References: h.References,
		FalsePositives: h.FalsePositives, KnownGaps: h.KnownGaps, Note: h.Note, Threat: h.Threat, Scope: h.Scope,
		File: file, Line: line,
		keepFiring: int64(h.KeepFiringFor), suppress: int64(h.Suppress), budget: h.Budget,
	}
	r.Shadow = h.Stage == "shadow"
	r.Respond = h.Respond
	r.exceptions = c.exceptions(h.Exceptions)
	r.severities, r.risks = c.overrides(h)
	r.groupBy = c.groupBy(h)
	r.byAgent = len(r.groupBy) == 1 && r.groupBy[0].entity
	r.threat = threatFields(h.Threat)
	r.rollup = newRollupPlan(h.Rollup)
	r.logicHash, r.outputHash = spec.Hashes(node, c.defs)
	r.plan = decl.Compile(c)
	if !c.OK() {
		return r
	}
	if r.judgedWide(h) {
		r.carries = r.matchFields(r.plan.Traits().Reads)
	} else if h.Across != "" {
		c.Problem("across", "rules of type "+h.Type+" cannot be judged over several topics", "")
	}
	for _, k := range r.plan.Hooks() {
		if len(k.Alternatives) == 0 {
			c.Warn("condition", "no field has to be present or to have a certain value for this to be true, so every event is evaluated",
				"add a term such as event.action == \"…\"")
		}
	}
	return r
}

// keyPart is one part of a group_by key.
type keyPart struct {
	field    ecs.ID
	name     string
	entity   bool // The agent that the event is about.
	optional bool // The key goes without it where it is missing.
	scalar   bool // The field is a number or boolean.
}

// groupBy resolves the names of the key. Without group_by it is the agent.
func (c *Compiler) groupBy(h *spec.Header) []keyPart {
	if h.GroupBy == nil {
		return []keyPart{{entity: true, name: "entity"}}
	}
	parts := make([]keyPart, 0, len(*h.GroupBy))
	for _, name := range *h.GroupBy {
		bare := strings.TrimSuffix(name, "?")
		part := keyPart{name: bare, optional: bare != name, entity: bare == "entity"}
		if !part.entity {
			part.field, part.scalar = c.ValueField("group_by", bare)
		}
		parts = append(parts, part)
	}
	return parts
}

// Field resolves a field that a key of the rule names.
func (c *Compiler) Field(key, name string) ecs.ID {
	id, ok := c.dict.Lookup(name)
	if !ok {
		hint := ""
		if near, ok := strict.Nearest(name, c.dict.Names()); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		c.Problem(key, fmt.Sprintf("unknown field %q", name), hint)
		return id
	}
	if c.dict.Field(id).Kind != ecs.String {
		c.Problem(key, fmt.Sprintf("%s is a %s, expected a string field", name, c.dict.Field(id).Kind), "")
	}
	return id
}

// ValueField resolves a field whose values are compared: a string, an
// integer or a boolean. scalar: it is no string.
func (c *Compiler) ValueField(key, name string) (id ecs.ID, scalar bool) {
	if id, ok := c.dict.Lookup(name); ok {
		switch c.dict.Field(id).Kind {
		case ecs.Int, ecs.Bool:
			return id, true
		}
	}
	return c.Field(key, name), false
}

// AppendScalar appends an integer or boolean as text.
func AppendScalar(dst []byte, v *event.Value) []byte {
	if v.Kind() == ecs.Bool {
		return strconv.AppendBool(dst, v.Bool())
	}
	return strconv.AppendInt(dst, v.Int(), 10)
}

// NumericField resolves a field of numbers that a key of the rule names.
func (c *Compiler) NumericField(key, name string) ecs.ID {
	id, ok := c.dict.Lookup(name)
	switch {
	case !ok:
		c.Field(key, name) // Reports it.
	case c.dict.Field(id).Kind != ecs.Int && c.dict.Field(id).Kind != ecs.Float:
		c.Problem(key, fmt.Sprintf("%s is a %s, expected a number field", name, c.dict.Field(id).Kind), "")
	}
	return id
}
