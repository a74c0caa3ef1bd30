package kinds

import (
	"fmt"
	"math"
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// valueHaving bounds how many different values there are: by a number, or where
// agents are counted by a share of those that are alive.
type valueHaving struct {
	having  `yaml:",inline"`
	Percent *float64 `yaml:"percent"` // Of the live agents of the key's product and OS.
	Min     *int64   `yaml:"min"`     // With percent: so many at least.
}

// check reports what is wrong with a share.
func (h *valueHaving) check(c *spec.Checker, d *valueCountRule) {
	low, _ := h.limits()
	switch {
	case h.Percent == nil && h.Min != nil:
		c.Problem("having.min", "min goes with percent", "write gte for a number that does not depend on the size of the fleet")
	case h.Percent == nil && (h.GT == nil && h.GTE == nil || h.LT != nil || h.LTE != nil || h.EQ != nil):
		c.Problem("having", "having needs gt or gte, or percent and min, and nothing else: the number of values in a window can only be noticed when it grows", "")
	case h.Percent == nil && low > maxValues:
		c.Problem("having", fmt.Sprintf("a count of %d values is more than %d", low, maxValues), "group the events by something")
	case h.Percent == nil:
	case h.GT != nil || h.GTE != nil || h.LT != nil || h.LTE != nil || h.EQ != nil:
		c.Problem("having", "percent and min say how many; nothing else can", "")
	case !(*h.Percent > 0 && *h.Percent <= 100):
		c.Problem("having.percent", fmt.Sprintf("percent is %s, expected more than 0 and up to 100", wording.Decimal(*h.Percent)), "")
	case h.Min == nil:
		c.Problem("having", "percent needs min: how many agents it takes where the fleet is small", "such as having: {percent: 2, min: 5}")
	case *h.Min < 2 || *h.Min > maxValues:
		c.Problem("having.min", fmt.Sprintf("min is %d agents, expected 2 to %d", *h.Min, maxValues), "")
	case !spec.NamesOneAgent(d.Field):
		c.Problem("having.percent", "a share is one of agents, and field counts "+d.Field, "set field: entity, or host.name")
	case d.GroupBy == nil || slices.ContainsFunc(*d.GroupBy, spec.NamesOneAgent):
		c.Problem("having.percent", "a share of the fleet needs a key that stands for many agents", "such as group_by: [agent.type]")
	case d.windowKeys.Kind != "sliding":
		c.Problem("having.percent", "a share is judged in a sliding window", "remove window_kind")
	}
}

// String writes the bounds as a rule file's reader says them.
func (h *valueHaving) String() string {
	if h.Percent == nil {
		return h.having.String()
	}
	return fmt.Sprintf("%s %% of the live agents, at least %d", wording.Decimal(*h.Percent), *h.Min)
}

// sharePlan is a compiled share of the live agents.
type sharePlan struct {
	percent     float64
	min         int64
	product, os bool // The key names them.
}

// maxShare is how many agents a share asks for at most: so many are kept of a
// key.
const maxShare = 10_000

func (h *valueHaving) share(groupBy *[]string) *sharePlan {
	if h.Percent == nil || h.Min == nil || groupBy == nil {
		return nil
	}
	names := func(field string) bool {
		return slices.Contains(*groupBy, field) || slices.Contains(*groupBy, field+"?")
	}
	return &sharePlan{percent: *h.Percent, min: *h.Min, product: names("agent.type"), os: names("host.os.type")}
}

// of is how many agents it takes where so many are alive.
func (p *sharePlan) of(live int64) int64 {
	return max(p.min, min(int64(math.Ceil(p.percent*float64(live)/100-1e-9)), maxShare))
}

// live is how many agents are alive of those that the key of an event stands for.
func (p *sharePlan) live(rs *engine.RuleSession, m *engine.Evaluation) int64 {
	product, os := "", ""
	if p.product {
		product = m.Event.Str(ecs.AgentType)
	}
	if p.os {
		os = m.Event.Str(ecs.HostOSType)
	}
	return int64(rs.Alive(product, os))
}
