package app

import (
	"cmp"
	"context"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/canary"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/selfreport"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/sinks/store"
)

// stopPatience is how long the gateway's last document may take.
const stopPatience = 5 * time.Second

// newOwnDocuments counts the documents that no record became.
func newOwnDocuments(reg prometheus.Registerer) *prometheus.CounterVec {
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "edrwatch", Name: "own_documents_total", Help: "Documents that edrwatch writes about itself, agents and rollouts, by event.action and outcome: sent, failed.",
	}, []string{"action", "outcome"})
	for _, action := range []string{"inventory", "rollout-judged", "gateway-started", "gateway-heartbeat", "gateway-reloaded", "gateway-stopped", "alert"} {
		for _, outcome := range []string{"sent", "failed"} {
			sent.WithLabelValues(action, outcome)
		}
	}
	reg.MustRegister(sent)
	return sent
}

// writeSelfReports begins to tell of the gateway and its fleet, until ctx ends. What it
// returns tells of the end, and is called once all records are done.
func (a *App) writeSelfReports(ctx context.Context) (stopped func(error)) {
	count := func(action string, n int, ok bool) {
		a.ownDocuments.WithLabelValues(action, map[bool]string{true: "sent", false: "failed"}[ok]).Add(float64(n))
	}
	var reporting sync.WaitGroup
	if period := a.cfg.Fleet.Documents; period > 0 {
		periodic := func(action string) selfreport.Periodic {
			return selfreport.Periodic{
				Dictionary: a.detection.Dictionary, Period: period, Now: time.Now, Logger: a.log, Publish: a.publishOwn,
				Sent: func(n int, ok bool) { count(action, n, ok) },
			}
		}
		f := &selfreport.Fleet{Periodic: periodic("inventory"), Agents: a.fleet.Part, Changed: a.fleet.Changed}
		reporting.Go(func() { f.Run(ctx) })
		r := &selfreport.Rollouts{Periodic: periodic("rollout-judged"), List: func() []fleet.Rollout { return a.fleet.Rollouts(a.cfg.RolloutPolicy) }}
		reporting.Go(func() { r.Run(ctx) })
	}
	if a.cfg.Gateway.Heartbeat <= 0 {
		return func(error) { reporting.Wait() }
	}
	g := &selfreport.Gateway{
		Dictionary: a.detection.Dictionary, Interval: a.cfg.Gateway.Heartbeat, Status: a.heartbeat, Now: time.Now, Logger: a.log,
		Publish: a.publishHeartbeat,
		Sent:    func(action string, ok bool) { count(action, 1, ok) },
	}
	reporting.Go(func() { g.Run(ctx) })
	reloaded := func(what string, err error) { g.Reloaded(ctx, what, err) }
	a.rules.reloaded, a.mappings.reloaded = reloaded, reloaded
	return func(err error) {
		reporting.Wait()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
		defer cancel()
		reason := "stopped in order"
		if err != nil {
			reason = "stopped: " + err.Error()
		}
		g.Stopped(ending, reason)
	}
}

// publishHeartbeat delivers documents about the gateway. What a sink does not
// take until the next one is due is given up: otherwise one sink that is down
// would silence the gateway in all others.
func (a *App) publishHeartbeat(ctx context.Context, docs []*event.Document) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Gateway.Heartbeat)
	defer cancel()
	return a.publishOwn(ctx, docs)
}

// publishOwn delivers documents that no record became, but not to the embedded
// store: its console shows the fleet and the gateway as they are, and the room is
// for what agents say.
func (a *App) publishOwn(ctx context.Context, docs []*event.Document) error {
	but := []string{responsesName}
	for i, s := range a.cfg.Sinks {
		if _, ok := a.sinks[i].(*store.Store); ok {
			but = append(but, s.Name)
		}
	}
	return a.runner.Publish(ctx, docs, but...)
}

// gatewayName tells this gateway from others of its cluster: the SIEM's rule for
// a gateway that falls silent has to say which.
func (a *App) gatewayName() string {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return cmp.Or(a.cfg.Gateway.Name, host, a.cfg.Cluster, "edrwatch")
}

// heartbeat is what the gateway tells of itself.
func (a *App) heartbeat() selfreport.Status {
	s := selfreport.Status{Name: a.gatewayName(), Version: a.opts.Build.Version, Started: a.started, Agents: int64(a.fleet.Size())}
	counts := a.runner.Counts()
	s.Records, s.Documents, s.Dead, s.Late = int64(counts.Done()), int64(counts.Indexed()), int64(counts.DeadLetters), int64(counts.Late)
	s.Lag = a.lag()
	if !counts.Newest.IsZero() {
		delay := max(time.Since(counts.Newest).Round(time.Millisecond).Seconds(), 0)
		s.Delay = &delay
	}
	for _, h := range a.runner.Health() {
		if h.Err != nil {
			s.Failing = append(s.Failing, "sink "+h.Name)
		}
	}
	if a.canary != nil {
		for _, c := range a.canary.Statuses() {
			if c.State == canary.Deaf || c.State == canary.Mute {
				s.Failing = append(s.Failing, "canary "+c.Feed)
			}
		}
	}
	for _, source := range a.sources {
		if a.sourceHealth(source.name) != nil {
			s.Failing = append(s.Failing, "source "+source.name)
		}
	}
	return s
}
