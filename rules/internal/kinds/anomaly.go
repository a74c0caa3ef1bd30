package kinds

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// Anomaly is the kind of rule that compares a figure with its own past.
func Anomaly() engine.Kind {
	return engine.Kind{
		Name:    "anomaly",
		Meaning: "a figure is unlike its own past",
		New:     func() engine.Declaration { return newAnomalyRule() },
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
	spec.Header `yaml:",inline"`
	Condition   strict.Text   `yaml:"condition,required"`
	Field       string        `yaml:"field,required"`
	Method      string        `yaml:"method"`          // novelty, ewma or seasonal.
	Score       float64       `yaml:"score"`           // From here on a value is unusual; 1.26 for novelty, deviations for the others: 6 and 8.
	Learn       int           `yaml:"learn"`           // Values of a key before it is judged.
	Cooldown    int           `yaml:"cooldown"`        // Values after a finding that raise none.
	Alpha       float64       `yaml:"alpha"`           // Weight of the newest value; 0.005 for ewma, 0.1 (of a half hour's) for seasonal.
	Direction   string        `yaml:"direction"`       // up, down or any.
	Window      time.Duration `yaml:"window,required"` // How long a key is remembered that is not heard again, and how far back to learn after a restart.
}

func newAnomalyRule() *anomalyRule {
	return &anomalyRule{Header: spec.DefaultHeader(), Method: "novelty", Learn: 120, Cooldown: 400, Direction: "any"}
}

func (d *anomalyRule) Check(c *spec.Checker) {
	c.Positive("window", d.Window, false)
	c.OneOf("method", d.Method, methods())
	c.OneOf("direction", d.Direction, []string{"up", "down", "any"})
	if d.Learn < 10 || d.Learn > 100_000 {
		c.Problem("learn", fmt.Sprintf("learn is %d values, expected 10 to 100000", d.Learn), "")
	}
	if d.Cooldown < 0 || d.Cooldown > 100_000 {
		c.Problem("cooldown", fmt.Sprintf("cooldown is %d values, expected 0 to 100000", d.Cooldown), "")
	}
	if d.Alpha != 0 && !(d.Alpha > 0 && d.Alpha < 1) {
		c.Problem("alpha", fmt.Sprintf("alpha is %v, expected more than 0 and less than 1", d.Alpha), "")
	}
	if !(d.Score >= 0) || d.Method == "novelty" && d.Score >= 2*scoreCut {
		c.Problem("score", fmt.Sprintf("score is %v, which no value can have", d.Score), "novelty scores from 0 to 4, the others in standard deviations")
	}
}

func (d *anomalyRule) Compile(c *engine.Compiler) engine.Plan {
	p := &anomalyPlan{
		x: c.Condition(d.Condition), name: d.Field, method: d.Method, score: d.Score, learn: d.Learn, cooldown: int32(d.Cooldown),
		alpha: d.Alpha, direction: d.Direction, window: int64(d.Window), logs: newLogarithms(),
	}
	if p.score == 0 {
		p.score = map[string]float64{"novelty": 1.26, "ewma": 6, "seasonal": 8}[d.Method]
	}
	if p.alpha == 0 {
		p.alpha = map[string]float64{"ewma": 0.005, "seasonal": 0.1}[d.Method]
	}
	p.field = c.NumericField("field", d.Field)
	if d.Severity == "high" || d.Severity == "critical" {
		c.Warn("severity", "an unusual figure of one host is no incident by itself", "take severity: info or low, and count such alerts over many hosts")
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

func (p *anomalyPlan) Horizon() time.Duration { return time.Duration(p.window) }

func (p *anomalyPlan) Hooks() []engine.Hook {
	h := engine.NewHook(0, "condition", p.x)
	h.Alternatives = withPresence(h.Alternatives, p.field)
	return []engine.Hook{h}
}

func (p *anomalyPlan) Traits() engine.Traits {
	return engine.Traits{Endless: true, Forwards: true, Reads: []ecs.ID{p.field}}
}

func (p *anomalyPlan) NewState(s *engine.Session, r *engine.Rule) engine.State {
	st := &anomalyState{RuleSession: engine.NewRuleSession(s, r), p: p, table: engine.NewTable[anomalyKey](s, r)}
	st.found = newOccurrences(&st.RuleSession)
	return st
}

// anomalyState holds the baselines of an anomaly rule.
type anomalyState struct {
	engine.RuleSession
	p     *anomalyPlan
	table *table.Keyed[anomalyKey]
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

func (st *anomalyState) KeyCount() (int, uint64) {
	return st.table.Held(), st.table.Evicted + st.found.table.Evicted
}

func (st *anomalyState) Next() int64 { return earliest(st.table, st.found.table) }

func (st *anomalyState) Observe(_ int, m *engine.Evaluation) {
	if m.Late {
		st.CountLate()
		return
	}
	v := m.Event.Get(st.p.field)
	if v == nil {
		return
	}
	key, ok := st.GroupKey(m)
	if !ok {
		return
	}
	e, created := st.table.Obtain(key)
	k := &e.Data
	value := v.Float()
	if created {
		k.mean = value
		switch st.p.method {
		case "novelty":
			k.novelty = &noveltyBaseline{}
		case "seasonal":
			k.seasonal = &seasonalBaseline{}
		}
		st.table.Wake(e, max(m.At+st.p.window, m.Now+1))
		st.WakeAt(e.Due)
	}
	if m.At < k.newest {
		st.CountLate() // A baseline is learnt in order.
		return
	}
	k.newest = m.At
	mean := k.mean
	k.mean += (value - mean) / 32
	score := 0.0
	switch {
	case k.novelty != nil:
		score = k.novelty.score(value, st.p.learn, st.p.logs)
	case k.seasonal != nil:
		score = k.seasonal.score(value, m.At, st.p.alpha, st.p.learn)
	default:
		score = k.ewma.score(value, st.p.alpha, st.p.learn)
	}
	resting := k.quiet > 0
	if resting {
		k.quiet--
	}
	if resting || score < st.p.score || st.p.direction == "up" && value < mean || st.p.direction == "down" && value > mean {
		if st.NearMisses() != nil {
			st.missed(e.Key, k, m, value, mean, score, resting)
		}
		return
	}
	k.quiet = st.p.cooldown
	st.Mark(m)
	st.report(e.Key, m, value, mean, score)
}

func (st *anomalyState) report(key string, m *engine.Evaluation, value, mean, score float64) {
	evidence := append(engine.Clauses(st.p.x, m), []engine.Evidence{
		engine.Text("field", st.p.name), engine.Text("method", st.p.method), engine.Float("value", value),
		engine.Float("usual", mean), engine.Float("score", score), engine.Float("threshold", st.p.score),
	}...)
	if id := m.Event.Str(ecs.EventID); id != "" {
		evidence = append(evidence, engine.Text("event_id", id))
	}
	f := finding{
		key: key, at: m.Now, start: m.At, end: m.At, source: m.Event,
		reason: fmt.Sprintf("%s of %s is unlike its past: %s, with %s lately (score %s, threshold %s)", st.p.name, engine.Subject(m.Entity, key),
			wording.Decimal(value), wording.Decimal(mean), wording.Decimal(score), wording.Decimal(st.p.score)),
		evidence: evidence,
	}
	if st.AboutAgents() {
		f.entity = m.Entity
	}
	st.found.report(&f)
}

// Fire forgets a key that was not heard for a window, or ends an episode.
func (st *anomalyState) Fire(due int64) {
	if st.found.next() == due {
		st.found.fire(due)
		return
	}
	e := st.table.Next()
	if at := e.Data.newest + st.p.window; at > due {
		st.table.Wake(e, at)
		st.WakeAt(at)
		return
	}
	st.table.Remove(e)
}

func (k *anomalyKey) Weight() int {
	switch {
	case k.novelty != nil:
		return table.Allocated(int(unsafe.Sizeof(*k.novelty)))
	case k.seasonal != nil:
		return table.Allocated(int(unsafe.Sizeof(*k.seasonal)))
	}
	return 0
}

func (k *anomalyKey) OpenAlerts(func(engine.OpenAlert), string, *engine.Rule) {}

func (st *anomalyState) OpenAlerts(end func(engine.OpenAlert)) { st.found.open(end) }

func (st *anomalyState) Persist(a *engine.Archive) {
	engine.PersistTable(a, st.table, func(e *table.Entry[anomalyKey]) {
		k := &e.Data
		a.Float(&k.mean)
		a.Time(&k.newest)
		snapshot.Int(a.Codec, &k.quiet)
		switch st.p.method {
		case "novelty":
			if a.Reading() {
				k.novelty = &noveltyBaseline{}
			}
			k.novelty.persist(a)
		case "seasonal":
			if a.Reading() {
				k.seasonal = &seasonalBaseline{}
			}
			k.seasonal.persist(a)
		default:
			snapshot.Int(a.Codec, &k.ewma.samples)
			a.Float(&k.ewma.mean)
			a.Float(&k.ewma.variance)
		}
	})
	st.found.persist(a)
}

func (st *anomalyState) missed(key string, k *anomalyKey, m *engine.Evaluation, value, mean, score float64, resting bool) {
	samples := 0
	switch {
	case k.novelty != nil:
		samples = int(k.novelty.samples)
	case k.seasonal != nil:
		samples = int(k.seasonal.samples)
	default:
		samples = int(k.ewma.samples)
	}
	miss := engine.NearMiss{Rule: st.Rule(), Stage: engine.MissedBound, Key: key, At: m.At, Measure: "score", Value: score, Bound: st.p.score, Nearness: 0.5 + min(score/st.p.score, 1)/2}
	figures := fmt.Sprintf("had a score of %s with %s of %s, and %s lately", wording.Decimal(score), st.p.name, wording.Decimal(value), wording.Decimal(mean))
	switch {
	case samples <= st.p.learn:
		miss.Measure, miss.Value, miss.Bound = "values", float64(samples), float64(st.p.learn+1)
		miss.Nearness = miss.Value / miss.Bound / 2
		miss.Reason = fmt.Sprintf("had %s of %s; the first %d are learnt from and raise nothing (learn)", wording.Plural(int64(samples), "value"), st.p.name, st.p.learn)
	case resting:
		miss.Nearness /= 2
		miss.Reason = fmt.Sprintf("%s, in the %d values after an alert, which raise nothing (cooldown)", figures, st.p.cooldown)
	case score < st.p.score:
		miss.Reason = fmt.Sprintf("%s; the rule asks for %s", figures, wording.Decimal(st.p.score))
	default:
		miss.Nearness /= 2
		miss.Reason = fmt.Sprintf("%s, which is not the direction %s", figures, st.p.direction)
	}
	st.NearMisses().Offer(miss)
}
