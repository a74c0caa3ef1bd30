package app

import (
	"context"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/canary"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/selfreport"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// canaryPatience is how long the sinks may take for a document about a canary, before
// it is tried again.
const canaryPatience = time.Minute

// keepCanaries makes the canaries of the feeds, where the configuration wants them.
func (a *App) keepCanaries() error {
	if !a.cfg.Canary.Enabled {
		return nil
	}
	var err error
	a.canary, err = canary.New(a.cfg.Canary, canary.Settings{Logger: a.log, Metrics: a.registry, Report: a.reportCanary})
	if err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	return nil
}

// withCanaries returns what opens the partitions of a source, with canaries.
func (a *App) withCanaries(cfg *kafkasource.Config, open func(context.Context, event.Partition) (event.Worker, error)) (func(context.Context, event.Partition) (event.Worker, error), error) {
	if a.canary == nil {
		return open, nil
	}
	conn := kafkaconn.Config{
		Brokers: cfg.Brokers, ClientID: "edrwatch", DialTimeout: cfg.DialTimeout,
		TLS:  kafkaconn.TLS{Enabled: cfg.TLS.Enabled, Config: cfg.TLS.Config},
		SASL: kafkaconn.SASL{Mechanism: cfg.SASL.Mechanism, Username: cfg.SASL.Username, Password: cfg.SASL.Password},
	}
	producer, err := canary.NewProducer(conn, a.log)
	if err != nil {
		return nil, fmt.Errorf("canary: %w", err)
	}
	a.own(producer)
	return a.canary.Open(cfg.Group, producer, open), nil
}

// reportCanary writes an alert to all sinks. No responder acts on it: what is
// wrong is the gateway's.
func (a *App) reportCanary(ctx context.Context, p canary.Problem) error {
	ctx, cancel := context.WithTimeout(ctx, canaryPatience)
	defer cancel()
	doc := selfreport.CanaryAlert(a.detection.Dictionary, selfreport.FeedProblem{
		Gateway: a.gatewayName(), Feed: p.Feed, Mute: p.State == canary.Mute, Since: p.Since, Now: p.At, Reason: p.Reason, Over: p.Over,
	})
	err := a.runner.Publish(ctx, []*event.Document{doc}, responsesName)
	a.ownDocuments.WithLabelValues("alert", map[bool]string{true: "sent", false: "failed"}[err == nil]).Inc()
	return err
}
