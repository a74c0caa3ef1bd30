package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/rules"
)

// ruleMetrics exports what every rule costs and does. The label is the rule's
// id: titles can repeat, and a rule set bounds their number.
type ruleMetrics struct {
	set                                                      func() *rules.Ruleset // in use
	candidates, matches, absent, errors, late, noKey, alerts *prometheus.Desc
	shadowed, excepted, overBudget                           *prometheus.Desc
	evicted, keys, state, seconds                            *prometheus.Desc
}

func newRuleMetrics(set func() *rules.Ruleset) *ruleMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("edrwatch_rule_"+name, help, append([]string{"rule"}, labels...), nil)
	}
	return &ruleMetrics{
		set:        set,
		candidates: desc("candidates_total", "Events for which the rule's condition was evaluated."),
		matches:    desc("matches_total", "Events for which the rule's condition was true."),
		absent:     desc("absent_total", "Events for which the rule's condition was unknown because a field was missing."),
		errors:     desc("errors_total", "Events for which the rule's condition was unknown because it could not be computed."),
		late:       desc("late_total", "Matches too late for the rule's window."),
		noKey:      desc("no_key_total", "Matches without a field of group_by."),
		alerts:     desc("alerts_total", "Alert documents of the rule, firing and resolved."),
		shadowed:   desc("shadowed_total", "Alert documents that were held back because the rule is silent (stage: shadow, or over its budget)."),
		excepted:   desc("excepted_total", "Matches that an exception excluded."),
		evicted: desc("evictions_total", "Evicted because a limit was reached: keys (reason keys: rules.max_keys, state: rules.max_state), "+
			"values and events of a key that had too many (reason values), or matches of a rule about the whole fleet beyond 8,192 in ten seconds (reason matches).", "reason"),
		keys:       desc("keys", "Keys that the rule holds."),
		state:      desc("state_bytes", "Bytes that the rule's keys take, as they are estimated."),
		seconds:    desc("seconds_total", "Time that judging the rule took, from a sample of its candidates and timers."),
		overBudget: desc("over_budget_total", "Partitions in which the rule went over its budget and turned shadow."),
	}
}

// Describe implements prometheus.Collector.
func (m *ruleMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.candidates, m.matches, m.absent, m.errors, m.late, m.noKey, m.alerts, m.shadowed, m.excepted, m.evicted, m.keys, m.state, m.seconds, m.overBudget} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *ruleMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.set().Counters() {
		for _, v := range []struct {
			desc  *prometheus.Desc
			value uint64
		}{
			{m.candidates, c.Candidates}, {m.matches, c.Matches}, {m.absent, c.Absent}, {m.errors, c.Errors}, {m.late, c.Late},
			{m.noKey, c.NoKey}, {m.alerts, c.Alerts}, {m.shadowed, c.Shadowed}, {m.excepted, c.Excepted}, {m.overBudget, c.Tripped},
		} {
			ch <- prometheus.MustNewConstMetric(v.desc, prometheus.CounterValue, float64(v.value), c.Rule.ID)
		}
		for _, v := range []struct {
			reason string
			value  uint64
		}{{"keys", c.Evicted}, {"state", c.Relieved}, {"values", c.Shed}, {"matches", c.Cut}} {
			ch <- prometheus.MustNewConstMetric(m.evicted, prometheus.CounterValue, float64(v.value), c.Rule.ID, v.reason)
		}
		ch <- prometheus.MustNewConstMetric(m.seconds, prometheus.CounterValue, float64(c.Nanoseconds)/1e9, c.Rule.ID)
		ch <- prometheus.MustNewConstMetric(m.keys, prometheus.GaugeValue, float64(c.Keys), c.Rule.ID)
		ch <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, float64(c.Bytes), c.Rule.ID)
	}
}
