package app

import (
	"context"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/fleetsync"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/fleet"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// The parts of the exchange in metrics and health: no source of the
// configuration can be called so.
const (
	exchangeName = "fleet.exchange"
	judgeName    = exchangeName + ".judge"
)

// joinFleet makes the gateway the whole fleet, or one of several.
func (a *App) joinFleet() error {
	cfg := a.cfg.Fleet.Exchange
	paced := pipeline.PacerConfig{Step: time.Duration(fleet.StepLength), MaxHold: a.cfg.Fleet.MaxHold, Logger: a.log, Close: a.closeStep, Shared: cfg.Enabled()}
	a.pacer = pipeline.NewPacer(paced)
	a.closers = append(a.closers, func() error { a.pacer.Stop(); return nil })
	if !cfg.Enabled() {
		a.fleet = fleet.New(fleet.DefaultConfig(), time.Now)
		a.fleet.Pace()
		return nil
	}
	cfg.MaxHold = a.cfg.Fleet.MaxHold
	var err error
	a.exchange, err = fleetsync.New(cfg, fleetsync.Settings{
		Logger: a.log, Metrics: a.registry, Fleet: fleet.DefaultConfig(),
		Health: func(err error) { a.setSourceHealth(exchangeName, err) },
		Kept:   a.keptJudge(),
		Demand: a.pacer.Demand,
	})
	if err != nil {
		return fmt.Errorf("fleet.exchange: %w", err)
	}
	a.own(a.exchange)
	a.fleet = a.exchange.Fleet()
	return nil
}

// closeStep judges a step that all partitions of this gateway have ended: by
// itself, or with all other gateways.
func (a *App) closeStep(ctx context.Context, c pipeline.Closing) error {
	if a.exchange != nil {
		return a.exchange.CloseStep(ctx, c, a.processors.Identifier.EndStep(fleetsync.MostLinks))
	}
	a.processors.Identifier.CloseStep()
	return a.verdicts.publish(ctx, c.End, a.fleet.Close(c.End, c.Partial()))
}

// verdicts turns what is found at the closing of steps into the alerts of the
// rules in use. One step is closed after the other.
type verdicts struct {
	rules    func() *rules.Ruleset
	set      *rules.Ruleset
	of       *rules.Verdicts
	bulletin *pipeline.Bulletin
}

func newVerdicts(current func() *rules.Ruleset, bulletin *pipeline.Bulletin) *verdicts {
	return &verdicts{rules: current, bulletin: bulletin}
}

// publish raises findings and returns when the sinks have the alerts.
func (v *verdicts) publish(ctx context.Context, at int64, findings []fleet.Finding) error {
	if len(findings) == 0 {
		return nil
	}
	if set := v.rules(); set != v.set {
		if v.of != nil {
			v.of.Close()
		}
		v.set, v.of = set, set.NewVerdicts()
	}
	return v.bulletin.Publish(ctx, at, func(emit func(*event.Event)) { v.of.Raise(findings, emit) })
}

// buildExchange makes the source that competes for raising the fleet's alerts.
func (a *App) buildExchange() error {
	cfg := a.cfg.Fleet.Exchange
	if !cfg.Enabled() {
		return nil
	}
	taken := cfg.Source()
	taken.Cluster = a.cfg.Cluster
	source, err := kafkasource.New(taken, kafkasource.Settings{
		Name: judgeName, Logger: a.log, Metrics: a.registry,
		Horizon: func() time.Duration { return cfg.Replay },
		Health:  func(err error) { a.setSourceHealth(judgeName, err) },
	})
	if err != nil {
		return fmt.Errorf("fleet.exchange: %w", err)
	}
	a.own(source)
	a.sources = append(a.sources, namedSource{judgeName, source, a.openJudge})
	return nil
}

// wideOptions bound what is kept of the rules about the whole fleet.
func (a *App) wideOptions() rules.SessionOptions {
	return rules.SessionOptions{Lateness: a.cfg.Pipeline.Lateness, MaxKeys: a.cfg.Rules.MaxKeys, MaxState: int64(a.cfg.Rules.MaxState)}
}

func (a *App) openJudge(_ context.Context, p event.Partition) (event.Worker, error) {
	a.log.Info("this gateway raises the alerts about the fleet", "topic", p.Topic)
	judge := fleetsync.NewJudge(fleet.DefaultConfig(), func() *rules.Ruleset { return a.rules.current.Load() }, a.wideOptions())
	return a.runner.OpenJudge(p, judge, a.keptName()), nil
}
