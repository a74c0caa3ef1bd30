package respond

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
}

// Config is what an operator sets of all responses.
type Config struct {
	// Enabled sends what is asked for. Otherwise every act is told of and not
	// taken.
	Enabled bool
	// MaxPerHour bounds how often one action is asked of one responder.
	MaxPerHour int
}

// Settings are what the composition root gives to a Dispatcher.
type Settings struct {
	Responders []Named
	// Asks returns what a rule wants done; it is called by many goroutines.
	Asks func(ruleID string) []Ask
	// Publish writes a document about an act to the other sinks.
	Publish func(ctx context.Context, docs []*event.Document) error
	// Tell makes that document.
	Tell    func(t *Taken) *event.Document
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	Now     func() time.Time
}

// Dispatcher takes alerts and asks responders to act. It is a pipeline.Sink,
// safe for concurrent use: acts are taken one at a time.
type Dispatcher struct {
	cfg   Config
	set   Settings
	count *prometheus.CounterVec

	mu       sync.Mutex
	taken    taken
	attempts map[string]int // by id of acts that are being tried
	buckets  map[string]*bucket
}

// maxAttempts bounds the acts whose attempts are counted at a time.
const maxAttempts = 1000

// New returns a dispatcher.
func New(cfg Config, set Settings) (*Dispatcher, error) {
	if cfg.MaxPerHour < 1 {
		return nil, fmt.Errorf("max_per_hour: expected 1 or more, found %d", cfg.MaxPerHour)
	}
	d := &Dispatcher{
		cfg: cfg, set: set, attempts: map[string]int{}, buckets: map[string]*bucket{},
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "edrwatch", Name: "responses_total", Help: "Acts that were asked of responders, by outcome: sent, dry_run, failed (an attempt), refused, suppressed (over max_per_hour).",
		}, []string{"responder", "action", "outcome"}),
	}
	if err := set.Metrics.Register(d.count); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return d, nil
}

// Write implements pipeline.Sink: a document is indexed when everything that
// was asked for because of it is done, refused or over its limit.
func (d *Dispatcher) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var worst error
	for i, doc := range docs {
		if doc.Stream != event.Alerts {
			results[i].Outcome = event.Indexed
			continue
		}
		acts, err := d.acts(doc)
		if err != nil {
			results[i] = event.Result{Outcome: event.Refused, Err: fault.New(fault.Permanent, fault.Rejected, "%v", err)}
			continue
		}
		results[i].Outcome = event.Indexed
		for k := range acts {
			if err := d.take(ctx, &acts[k]); err != nil {
				results[i] = event.Result{Outcome: event.Pending, Err: err}
				worst = err
			}
		}
	}
	return worst
}

// acts lists what is asked for because of an alert.
func (d *Dispatcher) acts(doc *event.Document) ([]Act, error) {
	base, err := parse(doc)
	if err != nil {
		return nil, err
	}
	var acts []Act
	add := func(action string, to *Named, parameters map[string]string) {
		act := base.with(action, to.Name, parameters)
		if !slices.ContainsFunc(acts, func(a Act) bool { return a.ID == act.ID }) {
			acts = append(acts, act)
		}
	}
	asks := d.set.Asks(base.Rule.ID)
	for i := range d.set.Responders {
		to := &d.set.Responders[i]
		for k := range asks {
			if asks[k].wants(&base.Alert) && (len(asks[k].To) == 0 || slices.Contains(asks[k].To, to.Name)) {
				add(asks[k].Action, to, asks[k].Parameters)
			}
		}
		always := Ask{On: []string{"firing", "resolved"}, MinSeverity: to.NotifyFrom}
		if to.NotifyFrom != "" && always.wants(&base.Alert) {
			add("notify", to, nil)
		}
	}
	return acts, nil
}

// take takes an act unless it is done; an error means that it is to be tried
// again.
func (d *Dispatcher) take(ctx context.Context, a *Act) error {
	if d.taken.has(a.ID) {
		return nil
	}
	t := Taken{Act: a, At: d.set.Now(), Attempt: d.attempts[a.ID] + 1, DryRun: !d.cfg.Enabled}
	switch {
	case t.Attempt == 1 && !d.allowed(a, t.At):
		t.Outcome = Suppressed
	case t.DryRun:
		t.Outcome = DryRun
	default:
		t.Status, t.Err = d.responder(a.Responder).Send(ctx, a)
		switch {
		case t.Err == nil:
			t.Outcome = Sent
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case fault.Of(t.Err).Class == fault.Permanent:
			t.Outcome = Refused
		default:
			t.Outcome = Failed
		}
	}
	d.count.WithLabelValues(a.Responder, a.Action, string(t.Outcome)).Inc()
	d.log(&t)
	if err := d.set.Publish(ctx, []*event.Document{d.set.Tell(&t)}); err != nil && t.Outcome == Failed {
		return err
	} else if err != nil {
		// It is done; only the document is missing. Doing it again would be worse.
		d.set.Logger.Error("an act could not be told of", "response", a.ID, "error", err)
	}
	if t.Outcome == Failed {
		if len(d.attempts) >= maxAttempts {
			clear(d.attempts)
		}
		d.attempts[a.ID] = t.Attempt
		return t.Err
	}
	delete(d.attempts, a.ID)
	d.taken.add(a.ID)
	return nil
}

func (d *Dispatcher) allowed(a *Act, now time.Time) bool {
	key := a.Responder + "\x00" + a.Action
	b := d.buckets[key]
	if b == nil {
		b = &bucket{}
		d.buckets[key] = b
	}
	return b.take(now, d.cfg.MaxPerHour)
}

func (d *Dispatcher) responder(name string) Responder {
	i := slices.IndexFunc(d.set.Responders, func(n Named) bool { return n.Name == name })
	return d.set.Responders[i].Responder
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
