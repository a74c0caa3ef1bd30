package respond

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Responder is asked to act. Send makes one attempt and returns when the
// receiver has the act durably; an error is classified by package fault:
// permanent means that another attempt is of no use. Status is that of HTTP,
// or 0. It is safe for concurrent use.
type Responder interface {
	Send(ctx context.Context, a *Act) (status int, err error)
}

// Named is a responder with its name in rules and metrics.
type Named struct {
	Name      string
	Responder Responder
	// NotifyFrom, where not empty, asks for notify about every alert of at
	// least this severity, firing and resolved, whatever its rule says.
	NotifyFrom string
	// Follows is true of a responder that keeps an alert open until
	// it hears of the end: it is asked about firing and resolved alerts where a
	// rule does not say which.
	Follows bool
}

// Config is what an operator sets of all responses.
type Config struct {
	// Enabled sends what is asked for. Otherwise every act is written as an event and not
	// taken.
	Enabled bool
	// MaxPerHour bounds how often one action is asked of one responder.
	MaxPerHour int
	// GiveUpAfter is how long a responder may fail before what it is asked for
	// is given up at once, but for one attempt in as long: a case system that is
	// down must not slow down what watches for the next alert. The alert is
	// refused then, and so dead-lettered. 0 never gives up.
	GiveUpAfter time.Duration
}

// Settings are what the composition root gives to a Dispatcher.
type Settings struct {
	Responders []Named
	// Asks returns what a rule wants done; it is called by many goroutines.
	Asks func(ruleID string) []Ask
	// Publish writes a document about an act to the other sinks.
	Publish func(ctx context.Context, docs []*event.Document) error
	// Journal remembers acts over a restart, or is nil: then some may be done
	// again, under their ids.
	Journal Journal
	// Document makes that document.
	Document func(t *Taken) *event.Document
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
	Now      func() time.Time
}

// Dispatcher takes alerts and asks responders to act. It is a pipeline.Sink,
// safe for concurrent use. A responder is asked for one act at a time, and
// responders do not wait for each other: a case system that hangs holds no
// rollout up.
type Dispatcher struct {
	cfg   Config
	set   Settings
	count *prometheus.CounterVec
	lanes []*lane // as set.Responders
}

// New returns a dispatcher.
func New(cfg Config, set Settings) (*Dispatcher, error) {
	if cfg.MaxPerHour < 1 {
		return nil, fmt.Errorf("max_per_hour: expected 1 or more, found %d", cfg.MaxPerHour)
	}
	d := &Dispatcher{
		cfg: cfg, set: set,
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "edrwatch", Name: "responses_total", Help: "Acts for responders, by outcome: sent, dry_run, failed (an attempt), given_up, refused, suppressed (over max_per_hour).",
		}, []string{"responder", "action", "outcome"}),
	}
	if err := set.Metrics.Register(d.count); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	for _, to := range set.Responders {
		d.lanes = append(d.lanes, newLane(d, to))
		// From zero: an increase from nothing to one is none to Prometheus, and
		// the one act that fails may be the first.
		for _, action := range ecs.ResponseActions() {
			for _, outcome := range outcomes() {
				d.count.WithLabelValues(to.Name, action, string(outcome))
			}
		}
	}
	return d, nil
}

// Write implements pipeline.Sink: a document is indexed when everything that
// was asked for because of it is done, refused or over its limit. Which act a
// responder did not take shows in the error; what it was asked for after that
// waits for the next Write, so that order holds and a batch costs one timeout.
func (d *Dispatcher) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	due := make([][]job, len(d.lanes))
	for i, doc := range docs {
		results[i].Outcome = event.Indexed
		if doc.Stream != event.Alerts {
			continue
		}
		acts, err := d.acts(doc)
		if err != nil {
			results[i] = event.Result{Outcome: event.Refused, Err: fault.New(fault.Permanent, fault.Rejected, "%v", err)}
			continue
		}
		for n, list := range acts {
			for _, a := range list {
				due[n] = append(due[n], job{document: i, act: a})
			}
		}
	}
	errs := make([]error, len(d.lanes))
	left := make([][]job, len(d.lanes))
	givenUp := make([][]job, len(d.lanes))
	var group sync.WaitGroup
	for n, l := range d.lanes {
		if len(due[n]) > 0 {
			group.Go(func() { left[n], givenUp[n], errs[n] = l.takeActs(ctx, due[n]) })
		}
	}
	group.Wait()
	for n := range givenUp {
		for _, j := range givenUp[n] {
			results[j.document] = event.Result{Outcome: event.Refused, Err: j.err}
		}
	}
	var worst error
	for n, err := range errs {
		for _, j := range left[n] {
			results[j.document] = event.Result{Outcome: event.Pending, Err: err}
		}
		if err != nil && (worst == nil || fault.Of(err).Class > fault.Of(worst).Class) {
			worst = err
		}
	}
	return worst
}

// acts lists what is asked for because of an alert, by lane.
func (d *Dispatcher) acts(doc *event.Document) ([][]Act, error) {
	base, err := parse(doc)
	if err != nil {
		return nil, err
	}
	asks := d.set.Asks(base.Rule.ID)
	acts := make([][]Act, len(d.lanes))
	for n, l := range d.lanes {
		add := func(action string, parameters map[string]string) {
			act := base.with(action, l.to.Name, parameters)
			if !slices.ContainsFunc(acts[n], func(a Act) bool { return a.ID == act.ID }) {
				acts[n] = append(acts[n], act)
			}
		}
		for k := range asks {
			if asks[k].wants(&base.Alert, l.to.Follows) && (len(asks[k].To) == 0 || slices.Contains(asks[k].To, l.to.Name)) {
				add(asks[k].Action, asks[k].Parameters)
			}
		}
		always := Ask{On: []string{"firing", "resolved"}, MinSeverity: l.to.NotifyFrom}
		if l.to.NotifyFrom != "" && always.wants(&base.Alert, l.to.Follows) {
			add("notify", nil)
		}
	}
	return acts, nil
}

func (d *Dispatcher) log(t *Taken) {
	level := slog.LevelInfo
	if t.Err != nil || t.Outcome == Suppressed {
		level = slog.LevelWarn
	}
	attributes := []any{"action", t.Act.Action, "responder", t.Act.Responder, "outcome", string(t.Outcome), "response", t.Act.ID, "alert", t.Act.Alert.ID, "attempt", t.Attempt}
	if t.Err != nil {
		attributes = append(attributes, "error", t.Err)
	}
	d.set.Logger.Log(context.Background(), level, "response", attributes...)
}
