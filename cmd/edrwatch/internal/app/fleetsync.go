package app

import (
	"context"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/fleetsync"
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
	if !cfg.Enabled() {
		a.fleet = fleet.New(fleet.DefaultConfig(), time.Now)
		return nil
	}
	var err error
	a.exchange, err = fleetsync.New(cfg, fleetsync.Settings{
		Logger: a.log, Metrics: a.registry, Fleet: fleet.DefaultConfig(),
		Health: func(err error) { a.setSourceHealth(exchangeName, err) },
		Kept:   a.keptJudge(),
	})
	if err != nil {
		return fmt.Errorf("fleet.exchange: %w", err)
	}
	a.own(a.exchange)
	a.fleet = a.exchange.Fleet()
	return nil
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

func (a *App) openJudge(_ context.Context, p event.Partition) (event.Worker, error) {
	a.log.Info("this gateway raises the alerts about the fleet", "topic", p.Topic)
	judge := fleetsync.NewJudge(a.cfg.Fleet.Exchange, fleet.DefaultConfig(), func() *rules.Ruleset { return a.rules.current.Load() })
	return a.runner.OpenJudge(p, judge, a.keptName()), nil
}
