package rules

import (
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// Anomaly is the kind of rule that compares a figure with its own past.
func Anomaly() Kind {
	return Kind{
		Name: "anomaly",
		New:  func() declaration { return newAnomalyRule() },
		Keys: map[string]string{
			"field":     "The field of numbers that is compared with its own past.",
			"method":    "novelty, ewma or seasonal.",
			"score":     "The score from which on a value is unusual.",
			"learn":     "Values of a key before it is judged.",
			"cooldown":  "Values after a finding that raise none.",
			"alpha":     "Weight of the newest value in the baseline.",
			"direction": "up, down or any.",
			"window":    "How long a key is remembered that is not heard again.",
		},
		Words: map[string][]string{"method": methods(), "direction": {"up", "down", "any"}},
		Scaffold: `condition: event.action == "resource-usage"
field: edr.resource.memory_bytes
learn: 60
window: 4h
tests:
  - name: a jump
    events:
      - {at: +0m, repeat: {count: 120, every: 1m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 100000000}}
      - {at: +120m, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 900000000}}
    expect: [{by: +121m, alerts: 1}]
  - name: level
    events: [{at: +0m, repeat: {count: 200, every: 1m}, set: {event.action: resource-usage, agent.id: a1, edr.resource.memory_bytes: 100000000}}]
    expect: [{by: +4h, alerts: 0}]
`,
	}
}

// anomalyRule alerts when a numeric field of a key is unlike the key's own
// past. One unusual figure of one host is information, not an incident: it
// belongs on the host's page and into rules about many hosts.
type anomalyRule struct {
	Header    `yaml:",inline"`
	Condition strict.Text   `yaml:"condition,required"`
	Field     string        `yaml:"field,required"`
	Method    string        `yaml:"method"`          // novelty, ewma or seasonal.
	Score     float64       `yaml:"score"`           // From here on a value is unusual; 1.26 for novelty, deviations for the others: 6 and 8.
	Learn     int           `yaml:"learn"`           // Values of a key before it is judged.
	Cooldown  int           `yaml:"cooldown"`        // Values after a finding that raise none.
	Alpha     float64       `yaml:"alpha"`           // Weight of the newest value; 0.005 for ewma, 0.1 (of a half hour's) for seasonal.
	Direction string        `yaml:"direction"`       // up, down or any.
	Window    time.Duration `yaml:"window,required"` // How long a key is remembered that is not heard again, and how far back to learn after a restart.
}

func newAnomalyRule() *anomalyRule {
	return &anomalyRule{Header: defaultHeader(), Method: "novelty", Learn: 120, Cooldown: 400, Direction: "any"}
}

func (d *anomalyRule) header() *Header { return &d.Header }

func (d *anomalyRule) check(c *checker) {
	c.positive("window", d.Window, false)
	c.oneOf("method", d.Method, methods())
	c.oneOf("direction", d.Direction, []string{"up", "down", "any"})
	if d.Learn < 10 || d.Learn > 100_000 {
		c.problem("learn", fmt.Sprintf("learn is %d values, expected 10 to 100000", d.Learn), "")
	}
	if d.Cooldown < 0 || d.Cooldown > 100_000 {
		c.problem("cooldown", fmt.Sprintf("cooldown is %d values, expected 0 to 100000", d.Cooldown), "")
	}
	if d.Alpha != 0 && !(d.Alpha > 0 && d.Alpha < 1) {
		c.problem("alpha", fmt.Sprintf("alpha is %v, expected more than 0 and less than 1", d.Alpha), "")
	}
	if !(d.Score >= 0) || d.Method == "novelty" && d.Score >= 2*scoreCut {
		c.problem("score", fmt.Sprintf("score is %v, which no value can have", d.Score), "novelty scores from 0 to 4, the others in standard deviations")
	}
}

func (d *anomalyRule) compile(c *compiler) plan {
	p := &anomalyPlan{
		x: c.condition(d.Condition), name: d.Field, method: d.Method, score: d.Score, learn: d.Learn, cooldown: int32(d.Cooldown),
		alpha: d.Alpha, direction: d.Direction, window: int64(d.Window), logs: newLogarithms(),
	}
	if p.score == 0 {
		p.score = map[string]float64{"novelty": 1.26, "ewma": 6, "seasonal": 8}[d.Method]
	}
	if p.alpha == 0 {
		p.alpha = map[string]float64{"ewma": 0.005, "seasonal": 0.1}[d.Method]
	}
	p.field = c.numericField("field", d.Field)
	if d.Severity == "high" || d.Severity == "critical" {
		c.warn("severity", "an unusual figure of one host is no incident by itself", "take severity: info or low, and count such alerts over many hosts")
	}
	if p.x == nil {
		return nil
	}
	return p
}

// anomalyPlan is a compiled anomaly rule.
type anomalyPlan struct {
	x         *expression.Expression
	field     ecs.ID
	name      string
	method    string
	score     float64
	learn     int
	cooldown  int32
	alpha     float64
	direction string
	window    int64
	logs      *logarithms
}

func (p *anomalyPlan) horizon() time.Duration { return time.Duration(p.window) }

func (p *anomalyPlan) hooks() []hook {
	h := hookOf(0, "condition", p.x)
	h.alternatives = withPresence(h.alternatives, p.field)
	return []hook{h}
}

func (p *anomalyPlan) traits() traits { return traits{endless: true} }

func (p *anomalyPlan) newState(s *Session, r *Rule) state {
	st := &anomalyState{RuleSession: RuleSession{s, r}, p: p, table: tableOf[anomalyKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// anomalyState holds the baselines of an anomaly rule.
type anomalyState struct {
	RuleSession
	p     *anomalyPlan
	table *keyed[anomalyKey]
	found occurrences
}

// anomalyKey is the past of one key: less than a KiB.
type anomalyKey struct {
	novelty  *noveltyBaseline  // One of these three, by the method.
	seasonal *seasonalBaseline //
	ewma     ewmaBaseline
	mean     float64 // For the reason: a slow average.
	newest   int64   // Event time of the last value.
	quiet    int32   // Values left that raise no finding.
}

func (st *anomalyState) keys() (int, uint64) {
	return st.table.held(), st.table.evicted + st.found.table.evicted
}
func (st *anomalyState) next() int64 { return earliest(st.table, st.found.table) }

func (st *anomalyState) observe(_ int, m *moment) {
	if m.late {
		st.countLate()
		return
	}
	v := m.e.Get(st.p.field)
	if v == nil {
		return
	}
	key, ok := st.groupKey(m)
	if !ok {
		return
	}
	e, created := st.table.obtain(key)
	k := &e.data
	value := v.Float()
	if created {
		k.mean = value
		switch st.p.method {
		case "novelty":
			k.novelty = &noveltyBaseline{}
		case "seasonal":
			k.seasonal = &seasonalBaseline{}
		}
		st.table.wake(e, max(m.at+st.p.window, m.now+1))
		st.wakeAt(e.due)
	}
	if m.at < k.newest {
		st.countLate() // A baseline is learnt in order.
		return
	}
	k.newest = m.at
	mean := k.mean
	k.mean += (value - mean) / 32
	score := 0.0
	switch {
	case k.novelty != nil:
		score = k.novelty.score(value, st.p.learn, st.p.logs)
	case k.seasonal != nil:
		score = k.seasonal.score(value, m.at, st.p.alpha, st.p.learn)
	default:
		score = k.ewma.score(value, st.p.alpha, st.p.learn)
	}
	resting := k.quiet > 0
	if resting {
		k.quiet--
	}
	if resting || score < st.p.score || st.p.direction == "up" && value < mean || st.p.direction == "down" && value > mean {
		if st.near() != nil {
			st.missed(e.key, k, m, value, mean, score, resting)
		}
		return
	}
	k.quiet = st.p.cooldown
	st.mark(m)
	st.report(e.key, m, value, mean, score)
}

func (st *anomalyState) report(key string, m *moment, value, mean, score float64) {
	evidence := append(clauses(st.p.x, m), []pair{
		text("field", st.p.name), text("method", st.p.method), floating("value", value),
		floating("usual", mean), floating("score", score), floating("threshold", st.p.score),
	}...)
	if id := m.e.Str(ecs.EventID); id != "" {
		evidence = append(evidence, text("event_id", id))
	}
	f := finding{
		key: key, at: m.now, start: m.at, end: m.at, source: m.e,
		reason: fmt.Sprintf("%s of %s is unlike its past: %s, with %s lately (score %s, threshold %s)", st.p.name, subject(m.entity, key),
			decimal(value), decimal(mean), decimal(score), decimal(st.p.score)),
		evidence: evidence,
	}
	if st.aboutAgents() {
		f.entity = m.entity
	}
	st.found.report(&f)
}

// fire forgets a key that was not heard for a window, or ends an episode.
func (st *anomalyState) fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.next()
	if at := e.data.newest + st.p.window; at > due {
		st.table.wake(e, at)
		st.wakeAt(at)
		return
	}
	st.table.remove(e)
}
