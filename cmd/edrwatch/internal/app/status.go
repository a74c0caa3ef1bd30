package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/rules"
	filesource "github.com/edrwatch/edrwatch/sources/file"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// The metrics are the one account of what happens; everything that reports
// reads them.

// RecordsDone is the number of records that have their final outcome.
func (a *App) RecordsDone() (int64, error) { return a.total("edrwatch_records_total") }

// DeadLetters is the number of records and documents that were buried.
func (a *App) DeadLetters() (int, error) {
	n, err := a.total("edrwatch_dead_letters_total")
	return int(n), err
}

// total adds up all series of a metric.
func (a *App) total(name string) (int64, error) {
	sum := 0.0
	err := a.series(func(family string, m *dto.Metric) {
		if family == name {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	})
	return int64(sum), err
}

// series calls visit for every series of every metric.
func (a *App) series(visit func(family string, m *dto.Metric)) error {
	families, err := a.registry.Gather()
	if err != nil {
		return fmt.Errorf("reading metrics: %w", err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			visit(f.GetName(), m)
		}
	}
	return nil
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// Status implements api.Gateway.
func (a *App) Status() api.Status {
	s := api.Status{
		Name: a.cfg.Cluster, Version: a.opts.Build.Version, Started: a.started, Input: a.input(),
		Gateway: a.gatewayName(), Records: map[string]uint64{}, Sinks: make([]api.SinkStatus, len(a.cfg.Sinks)),
	}
	if a.canary != nil {
		s.Canaries = a.canary.Statuses()
	}
	index := map[string]int{}
	for i, sink := range a.cfg.Sinks {
		index[sink.Name] = i
		s.Sinks[i] = api.SinkStatus{Name: sink.Name, Documents: map[string]uint64{}}
	}
	for _, h := range a.runner.Health() {
		if i, ok := index[h.Name]; ok && h.Err != nil {
			s.Sinks[i].Error = h.Err.Error()
		}
	}
	var lag int64
	lagKnown := false
	err := a.series(func(family string, m *dto.Metric) {
		value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
		switch family {
		case "edrwatch_records_total":
			s.Records[label(m, "outcome")] += uint64(value)
		case "edrwatch_records_in_flight":
			s.Records["in_flight"] += uint64(value)
		case "edrwatch_records_unmapped_total":
			s.Records["other"] += uint64(value)
		case "edrwatch_kafka_lag_records":
			lag, lagKnown = lag+int64(value), true
		case "edrwatch_documents_total":
			if i, ok := index[label(m, "sink")]; ok {
				s.Sinks[i].Documents[label(m, "outcome")] += uint64(value)
			}
		}
	})
	if err != nil {
		a.log.Error("status lacks figures: the metrics could not be read", "error", err)
	}
	s.Records["mapped"] -= min(s.Records["mapped"], s.Records["other"])
	if lagKnown {
		s.Lag = &lag
	}
	s.RecordsPerSecond = a.rate.perSecond(time.Now(), s.Records)
	return s
}

// input describes the sources in one line.
func (a *App) input() string {
	var parts []string
	for _, s := range a.cfg.Sources {
		switch cfg := s.Settings.(type) {
		case *kafkasource.Config:
			topics := strings.Join(cfg.Topics, ", ")
			if cfg.TopicPattern != "" {
				topics = strings.TrimPrefix(topics+", /"+cfg.TopicPattern+"/", ", ")
			}
			parts = append(parts, fmt.Sprintf("Kafka %s: %s", strings.Join(cfg.Brokers, ","), topics))
		case *filesource.Config:
			parts = append(parts, "files: "+strings.Join(cfg.Paths, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// Rules implements api.Gateway.
func (a *App) Rules() []api.Rule {
	set := a.rules.current.Load()
	list := RuleList(set)
	costs := set.Counters()
	for i := range list {
		list[i].Cost = costOf(&costs[i])
	}
	return list
}

// costOf is the cost of a rule as the API tells it.
func costOf(c *rules.Counters) *api.RuleCost {
	cost := &api.RuleCost{
		Candidates: c.Candidates, Matches: c.Matches, Absent: c.Absent, Errors: c.Errors, Late: c.Late, NoKey: c.NoKey, Excepted: c.Excepted,
		Alerts: c.Alerts, Shadowed: c.Shadowed, OverBudget: c.Tripped, Seconds: float64(c.Nanoseconds) / 1e9, Keys: c.Keys, StateBytes: c.Bytes,
		Evictions: map[string]uint64{"keys": c.Evicted, "state": c.Relieved, "values": c.Shed, "matches": c.Cut},
	}
	if c.Candidates > 0 {
		cost.Nanoseconds = float64(c.Nanoseconds) / float64(c.Candidates)
	}
	return cost
}

// RuleList describes the rules of a set as the API and `rules list` show them.
func RuleList(set *rules.Ruleset) []api.Rule {
	loaded := set.Rules()
	all := make([]api.Rule, 0, len(loaded))
	for _, r := range loaded {
		rule := api.Rule{
			ID: r.ID, Name: r.Name, Version: r.Version, Type: r.Type, Kind: r.Kind, Severity: r.Severity, Judged: r.Judged(),
			Stage: r.Maturity, Description: r.Description, Note: r.Note, File: r.File,
		}
		for _, t := range r.Threat {
			for _, technique := range t.Technique {
				rule.Techniques = append(rule.Techniques, technique.ID)
			}
		}
		all = append(all, rule)
	}
	return all
}

// alive tells the liveness probe whether the gateway's own loops turn. They
// wait for brokers and sinks without an end, so only a stopped run counts: a
// restart would not bring a sink back, and would lose state.
func (a *App) alive() error { return nil }

// readiness lists what must hold for the gateway to do its work.
func (a *App) readiness() []api.Check {
	var checks []api.Check
	for _, s := range a.cfg.Sources {
		checks = append(checks, api.Check{Name: "source " + s.Name, Run: func(context.Context) error { return a.sourceHealth(s.Name) }})
	}
	for _, d := range a.decoders {
		checks = append(checks, api.Check{Name: d.name(), Run: d.Health})
	}
	if a.exchange != nil {
		for _, part := range []string{exchangeName, judgeName} {
			checks = append(checks, api.Check{Name: part, Run: func(context.Context) error { return a.sourceHealth(part) }})
		}
	}
	for i, s := range a.cfg.Sinks {
		if s.Required {
			checks = append(checks, api.Check{Name: "sink " + s.Name, Run: func(context.Context) error { return a.runner.Health()[i].Err }})
		}
	}
	// Outputs are the sinks and, last, the responses.
	if last := len(a.cfg.Sinks); len(a.responders) > 0 && a.cfg.Responses.Required {
		checks = append(checks, api.Check{Name: responsesName, Run: func(context.Context) error { return a.runner.Health()[last].Err }})
	}
	return checks
}
