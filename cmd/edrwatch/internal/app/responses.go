package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/respond"
	kafkasink "github.com/edrwatch/edrwatch/sinks/kafka"
	"github.com/edrwatch/edrwatch/sinks/webhook"
)

// responsesName is the output of responses in metrics and logs.
const responsesName = "responses"

// responses makes the output that asks responders to act on alerts; false where
// there are none.
func (a *App) responses() (pipeline.Output, bool, error) {
	if len(a.cfg.Responders) == 0 {
		return pipeline.Output{}, false, nil
	}
	var named []respond.Named
	for _, r := range a.cfg.Responders {
		responder, err := a.builder().responder(r)
		if err != nil {
			return pipeline.Output{}, false, fmt.Errorf("building responder %s: %w", r.Name, err)
		}
		a.own(responder)
		named = append(named, respond.Named{Name: r.Name, Responder: responder, NotifyFrom: r.NotifyFrom, Follows: follows(r)})
	}
	a.responders = named
	a.checkResponderNames(named)
	cfg := a.cfg.Responses
	if !cfg.Enabled {
		a.log.Info("responses are a dry run: every act is written as an event and none is sent; set responses.enabled to send them", "responders", len(named))
	}
	patience := a.cfg.Pipeline.OptionalPatience
	if cfg.Required {
		patience = 0
	}
	var journal respond.Journal
	if a.state != nil {
		a.acts = a.state.Acts(time.Now)
		journal = a.acts
	}
	d, err := respond.New(respond.Config{Enabled: cfg.Enabled, MaxPerHour: cfg.MaxPerHour, GiveUpAfter: patience}, respond.Settings{
		Responders: named, Asks: a.asks, Document: respond.Reporter{Dictionary: a.detection.Dictionary, Playback: a.opts.Playback}.Document, Logger: a.log, Metrics: a.registry, Now: time.Now,
		Journal: journal,
		Publish: func(ctx context.Context, docs []*event.Document) error {
			return a.runner.Publish(ctx, docs, responsesName)
		},
	})
	if err != nil {
		return pipeline.Output{}, false, fmt.Errorf("building responses: %w", err)
	}
	return pipeline.Output{Name: responsesName, Sink: d, Required: cfg.Required, Route: pipeline.Route{Streams: []string{event.Alerts.String()}}}, true, nil
}

// readActs reads what was done before, so that no act has to wait for it.
func (a *App) readActs(ctx context.Context) {
	if _, err := a.acts.Done(ctx, nil); err != nil && ctx.Err() == nil {
		a.log.Warn("acts of earlier runs not read yet; they are read again before the first act", "error", err)
	}
}

// asks returns what a rule wants done, as it stands now.
func (a *App) asks(ruleID string) []respond.Ask {
	for _, r := range a.rules.current.Load().Rules() {
		if r.ID != ruleID {
			continue
		}
		var asks []respond.Ask
		for _, x := range r.Respond {
			asks = append(asks, respond.Ask{Action: x.Action, To: x.To, On: x.On, MinSeverity: x.MinSeverity, Parameters: x.Parameters})
		}
		return asks
	}
	return nil
}

// checkResponderNames warns of rules that ask somebody who is not there.
func (a *App) checkResponderNames(named []respond.Named) {
	for _, r := range a.detection.Rules.Rules() {
		for _, x := range r.Respond {
			for _, to := range x.To {
				if !slices.ContainsFunc(named, func(n respond.Named) bool { return n.Name == to }) {
					a.log.Warn("rule names a responder that is not configured; add it under responders or correct the rule", "rule", r.Name, "file", r.File, "responder", to, "action", x.Action)
				}
			}
		}
	}
}

// follows reports whether a responder keeps alerts open until it hears of their
// end.
func follows(r config.Responder) bool {
	_, ok := r.Settings.(*webhook.AlertmanagerConfig)
	return ok
}

func (b *builder) responder(r config.Responder) (respond.Responder, error) {
	log := b.log.With("responder", r.Name)
	switch cfg := r.Settings.(type) {
	case *webhook.Config:
		return webhook.New(*cfg, webhook.Settings{Logger: log, Now: time.Now})
	case *webhook.AlertmanagerConfig:
		return webhook.NewAlertmanager(*cfg, webhook.Settings{Logger: log, Now: time.Now})
	case *kafkasink.Config:
		return kafkasink.NewResponder(*cfg, kafkasink.Settings{Name: r.Name, Logger: log})
	}
	return nil, fmt.Errorf("responder %s: type %q cannot be built", r.Name, r.Type)
}
