package app

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/rules"
	filesource "github.com/edrwatch/edrwatch/sources/file"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// RecordsDone is the number of records that have their final outcome.
func (a *App) RecordsDone() int64 {
	c := a.runner.Counts()
	return int64(c.Done())
}

// DeadLetters is the number of records and documents that were buried.
func (a *App) DeadLetters() int { return int(a.runner.Counts().DeadLetters) }

// lag is how many records the gateway is behind its topics; nil where that is not
// known.
func (a *App) lag() *int64 {
	sum, known := int64(0), false
	for _, s := range a.sources {
		if k, ok := s.Source.(*kafkasource.Source); ok {
			n, is := k.Lag()
			sum, known = sum+n, known || is
		}
	}
	if !known {
		return nil
	}
	return &sum
}

// Status implements api.Gateway.
func (a *App) Status() api.Status {
	s := api.Status{
		Name: a.cfg.Cluster, Version: a.opts.Build.Version, Started: a.started, Input: a.input(),
		Fleet: a.fleetStatus(), Gateway: a.gatewayName(), Records: map[string]uint64{}, Sinks: make([]api.SinkStatus, len(a.cfg.Sinks)),
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
	counts := a.runner.Counts()
	maps.Copy(s.Records, counts.Records)
	s.Records["in_flight"], s.Records["other"] = counts.InFlight, counts.Unmapped
	s.Records["mapped"] -= min(s.Records["mapped"], s.Records["other"])
	for sink, outcomes := range counts.Documents {
		if i, ok := index[sink]; ok {
			s.Sinks[i].Documents = outcomes
		}
	}
	s.Lag = a.lag()
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
