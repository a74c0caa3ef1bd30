package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// plan is a compiled rule: what its type's sessions are made from.
type plan interface {
	// hooks are the conditions under which the state wants to see events.
	hooks() []hook
	// horizon is how far back records have to be read again to rebuild the
	// state.
	horizon() time.Duration
	newState(s *Session, r *Rule) state
	// traits are what the engine and the test runs have to know of the kind.
	traits() traits
}

// traits tell how alerts of a rule behave, where it matters to whom the kind is
// not known.
type traits struct {
	endless   bool // Its alerts have no end of their own, but with keep_firing_for or suppress.
	copies    bool // A second copy of an event, which a source may deliver, changes nothing.
	orderless bool // Events that come late, within lateness, lead to the same alerts.
	silence   bool // It waits for single agents that are not heard.
}

// hook is a condition of a rule. The state's observe is called for every event
// of which it is true.
type hook struct {
	slot         int
	role         string
	truth        func(*expression.Env) expression.Truth
	alternatives []expression.Alternative
	watch        []expression.Alternative // What it needs as well while the state holds keys; nil: nothing further.
	x            *expression.Expression   // What the author wrote.
	takesLate    bool                     // An event later than the lateness counts as well.
	unexcepted   bool                     // Exceptions do not take events out: it tells of an end, or of what must not come.
}

// hookOf makes the hook of a condition.
func hookOf(slot int, role string, x *expression.Expression) hook {
	return hook{slot: slot, role: role, truth: x.Eval, alternatives: x.Alternatives(), x: x}
}

// compiler compiles one rule against a dictionary.
type compiler struct {
	checker
	dict *ecs.Dictionary
	defs *expression.Definitions
}

// newCompiler returns a compiler of the rule in a node.
func newCompiler(n strict.Node, dict *ecs.Dictionary, defs *expression.Definitions) *compiler {
	return &compiler{checker: newChecker(n), dict: dict, defs: defs}
}

// condition compiles an expression; nil after a problem.
func (c *compiler) condition(text strict.Text) *expression.Expression {
	x, problems, warnings := expression.CompileWith(text, c.dict, c.defs)
	c.report(problems, warnings)
	return x
}

// rule compiles one rule.
func (c *compiler) rule(file string, node strict.Node, decl declaration) *Rule {
	h := decl.header()
	line, _ := node.Position()
	r := &Rule{
		ID: strings.ToLower(h.ID), Name: h.Name, Version: h.Version, Kind: h.Kind, Type: h.Type, Description: h.Description,
		Severity: h.Severity, RiskScore: h.risk(), Maturity: h.Maturity, Tags: h.Tags, References: h.References,
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
	r.judges, r.speaks = fingerprints(node, c.defs)
	r.plan = decl.compile(c)
	if !c.ok() {
		return r
	}
	for _, k := range r.plan.hooks() {
		if len(k.alternatives) == 0 {
			c.warn("condition", "no field has to be present or to have a certain value for this to be true, so every event is evaluated",
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
func (c *compiler) groupBy(h *Header) []keyPart {
	if h.GroupBy == nil {
		return []keyPart{{entity: true, name: "entity"}}
	}
	parts := make([]keyPart, 0, len(*h.GroupBy))
	for _, name := range *h.GroupBy {
		bare := strings.TrimSuffix(name, "?")
		part := keyPart{name: bare, optional: bare != name, entity: bare == "entity"}
		if !part.entity {
			part.field, part.scalar = c.valueField("group_by", bare)
		}
		parts = append(parts, part)
	}
	return parts
}

// field resolves a field that a key of the rule names.
func (c *compiler) field(key, name string) ecs.ID {
	id, ok := c.dict.Lookup(name)
	if !ok {
		hint := ""
		if near, ok := strict.Nearest(name, c.dict.Names()); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		c.problem(key, fmt.Sprintf("unknown field %q", name), hint)
		return id
	}
	if c.dict.Field(id).Kind != ecs.String {
		c.problem(key, fmt.Sprintf("%s is a %s, expected a string field", name, c.dict.Field(id).Kind), "")
	}
	return id
}

// valueField resolves a field whose values are told apart: a string, an
// integer or a boolean. scalar: it is no string.
func (c *compiler) valueField(key, name string) (id ecs.ID, scalar bool) {
	if id, ok := c.dict.Lookup(name); ok {
		switch c.dict.Field(id).Kind {
		case ecs.Int, ecs.Bool:
			return id, true
		}
	}
	return c.field(key, name), false
}

// appendScalar appends an integer or boolean as text.
func appendScalar(dst []byte, v *event.Value) []byte {
	if v.Kind() == ecs.Bool {
		return strconv.AppendBool(dst, v.Bool())
	}
	return strconv.AppendInt(dst, v.Int(), 10)
}

// numericField resolves a field of numbers that a key of the rule names.
func (c *compiler) numericField(key, name string) ecs.ID {
	id, ok := c.dict.Lookup(name)
	switch {
	case !ok:
		c.field(key, name) // Reports it.
	case c.dict.Field(id).Kind != ecs.Int && c.dict.Field(id).Kind != ecs.Float:
		c.problem(key, fmt.Sprintf("%s is a %s, expected a number field", name, c.dict.Field(id).Kind), "")
	}
	return id
}
