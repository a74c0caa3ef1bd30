package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/canary"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/fleetsync"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/state"
	"github.com/edrwatch/edrwatch/mappings"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/respond"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/sinks/store"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// Options are what a command adds to the configuration.
type Options struct {
	Logger *slog.Logger
	Stdout io.Writer
	Build  buildinfo.Info
	// Playback says that old records are played: the documents about acts then
	// have the time of their alerts, beside which people look for them.
	Playback bool
}

// App is one gateway. New builds it, Run runs it until its context ends, Close
// releases what New opened. All are called from one goroutine.
type App struct {
	cfg        config.Config
	opts       Options
	log        *slog.Logger
	registry   *prometheus.Registry
	detection  *Detection
	rules      *live[rules.Ruleset]
	mappings   *live[mappings.Plan]
	fleet      *fleet.Fleet        // what the partitions judge together
	pacer      *pipeline.Pacer     // lets them do so in step
	verdicts   *verdicts           // what is found at the closing of a step; nil where another gateway may raise it
	exchange   *fleetsync.Exchange // nil: the gateway is the whole fleet
	state      *state.Store        // nil: no state is kept
	acts       *state.Acts         // nil: not kept
	canary     *canary.Canary      // nil: none is played
	processors *Processors
	runner     *pipeline.Runner
	sources    []namedSource
	sinks      []pipeline.Sink // in the order of the configuration
	responders []respond.Named
	decoders   []sourceDecoders // that ask a schema registry
	dead       pipeline.DeadLetter
	store      *store.Store
	hub        *api.Hub
	servers    *servers
	closers    []func() error
	started    time.Time
	rate       rate

	ownDocuments *prometheus.CounterVec // by action and outcome

	mu     sync.Mutex
	health map[string]error // of sources
}

type namedSource struct {
	name string
	pipeline.Source
	open func(context.Context, event.Partition) (event.Worker, error)
}

// checker is what components offer beyond their one method.
type checker interface{ Check(context.Context) error }

// New builds a gateway from its configuration and opens its listeners. On an
// error everything that was opened is closed again.
func New(cfg config.Config, opts Options) (_ *App, err error) {
	a := &App{
		cfg: cfg, opts: opts, log: opts.Logger, registry: prometheus.NewRegistry(), started: time.Now(),
		hub: api.NewHub(api.DefaultConfig().Data.MaxStreams), health: map[string]error{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.registerBuildInfo()
	a.ownDocuments = newOwnDocuments(a.registry)
	a.detection, err = LoadDetection(DetectionOf(&cfg))
	if err != nil {
		return nil, err
	}
	if err := a.keepState(); err != nil {
		return nil, err
	}
	if err := a.joinFleet(); err != nil {
		return nil, err
	}
	if err := a.keepCanaries(); err != nil {
		return nil, err
	}
	a.rules = newLiveRules(a.detection, DetectionOf(&cfg), a.log, a.registry)
	a.mappings = newLiveMappings(a.detection, DetectionOf(&cfg), a.log, a.registry)
	a.registry.MustRegister(newRuleMetrics(a.rules.current.Load))
	if a.processors, err = NewProcessors(&a.cfg, a.detection.Dictionary, a.log, a.registry); err != nil {
		return nil, err
	}
	a.fleet.Know(a.processors.Registry)
	if err := a.buildPipeline(); err != nil {
		return nil, err
	}
	if err := a.buildSources(); err != nil {
		return nil, err
	}
	a.servers, err = a.listen()
	return a, err
}

func (a *App) registerBuildInfo() {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "edrwatch", Name: "build_info", Help: "Always 1; the labels name the build that runs: its tag or pseudo-version, its commit, its compiler.",
	}, []string{"version", "revision", "go"})
	build := a.opts.Build
	info.WithLabelValues(build.Version, build.Revision, build.Go).Set(1)
	a.registry.MustRegister(info)
}

func (a *App) builder() *builder {
	return &builder{
		cfg: &a.cfg, log: a.log, reg: a.registry, dict: a.detection.Dictionary, roots: a.detection.Mappings.Vendors(),
		horizon: func() time.Duration { return a.rules.current.Load().Horizon() }, health: a.setSourceHealth, stdout: a.opts.Stdout,
	}
}

// buildPipeline makes the sinks and the runner that feeds them.
func (a *App) buildPipeline() error {
	b := a.builder()
	var outputs []pipeline.Output
	for _, s := range a.cfg.Sinks {
		sink, err := b.sink(s)
		if err != nil {
			return fmt.Errorf("building sink %s: %w", s.Name, err)
		}
		a.own(sink)
		a.sinks = append(a.sinks, sink)
		if st, ok := sink.(*store.Store); ok && a.store == nil {
			a.store = st
		}
		outputs = append(outputs, pipeline.Output{Name: s.Name, Sink: sink, Required: s.Required, Route: s.Route})
	}
	if out, some, err := a.responses(); err != nil {
		return err
	} else if some {
		outputs = append(outputs, out)
	}
	var err error
	if a.dead, err = b.deadLetter(a.cfg.DeadLetter); err != nil {
		return fmt.Errorf("building dead letter: %w", err)
	}
	a.own(a.dead)
	a.runner, err = pipeline.NewRunner(a.cfg.Pipeline, pipeline.Settings{
		NewMapper: func() pipeline.Mapper { return &liveMapper{live: a.mappings} },
		NewDetector: func(p event.Partition) pipeline.Detector {
			return newLiveDetector(a.rules, &a.cfg, a.fleet, pipeline.PartitionName(p), a.canary)
		},
		Pacer:       a.pacer,
		Processors:  a.processors.List(),
		Outputs:     outputs,
		DeadLetter:  a.dead,
		Checkpoints: a.checkpoints(), CheckpointEvery: a.cfg.State.Interval,
		Observe: a.observe,
		Logger:  a.log,
		Metrics: a.registry,
	})
	if err == nil && a.exchange == nil {
		a.verdicts = newVerdicts(a.rules.current.Load, a.runner.NewBulletin("fleet"))
	}
	return err
}

func (a *App) buildSources() error {
	b := a.builder()
	for _, s := range a.cfg.Sources {
		source, err := b.source(s)
		if err != nil {
			return fmt.Errorf("building source %s: %w", s.Name, err)
		}
		if k, ok := s.Settings.(*kafkasource.Config); ok && k.MaxRewind < a.detection.Rules.Horizon() {
			a.log.Warn("rule state is not rebuilt completely after a restart: a rule looks back further than max_rewind; raise max_rewind or configure state",
				"source", s.Name, "max_rewind", k.MaxRewind, "needed", a.detection.Rules.Horizon())
		}
		a.own(source)
		k, isKafka := s.Settings.(*kafkasource.Config)
		open := pipeline.Opener(a.runner.Open)
		if isKafka {
			open = a.runner.OpenKept(k.Group)
		}
		if open, err = a.decoding(s, open); err != nil {
			return err
		}
		if isKafka {
			if open, err = a.withCanaries(k, open); err != nil {
				return err
			}
		}
		a.sources = append(a.sources, namedSource{s.Name, source, open})
		a.setSourceHealth(s.Name, nil)
	}
	return a.buildExchange()
}

// own remembers a component that has to be closed when the gateway ends.
func (a *App) own(component any) {
	if c, ok := component.(io.Closer); ok {
		a.closers = append(a.closers, c.Close)
	}
}

// Run serves and takes records until ctx ends or all inputs are exhausted. On
// the way out partitions drain before sinks close; the listeners are the last
// to go, so that probes and metrics tell about the shutdown.
func (a *App) Run(ctx context.Context) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	served := make(chan error, 1)
	go func() { served <- a.servers.serve(serving) }()
	a.log.Info("edrwatch is running", "version", a.opts.Build.Version, "console", a.servers.consoleURL(), "api", a.servers.apiURL(),
		"health", a.servers.healthURL(), "sources", len(a.sources), "sinks", len(a.cfg.Sinks),
		"rules", len(a.detection.Rules.Rules()))

	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		if err := <-served; err != nil {
			stop(fmt.Errorf("serving HTTP: %w", err))
		}
		close(served)
	}()
	var watching sync.WaitGroup
	reporting, stopReporting := context.WithCancel(running)
	defer stopReporting()
	stopped := a.writeSelfReports(reporting)
	watching.Go(func() { a.processors.Enricher.Run(serving) })
	watching.Go(func() { a.rules.run(serving) })
	watching.Go(func() { a.mappings.run(serving) })
	if a.exchange != nil {
		watching.Go(func() { a.exchange.Run(serving) })
	}
	if a.acts != nil {
		watching.Go(func() { a.readActs(reporting) })
	}
	if a.canary != nil {
		watching.Go(func() { a.canary.Run(serving) })
	}
	group, running := errgroup.WithContext(running)
	for _, s := range a.sources {
		group.Go(func() error {
			if err := s.Run(running, s.open); err != nil {
				return fmt.Errorf("source %s: %w", s.name, err)
			}
			return nil
		})
	}
	err := group.Wait()
	a.pacer.Stop()
	if cause := context.Cause(running); err == nil && ctx.Err() == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if ctx.Err() != nil {
		a.log.Info("edrwatch stops: everything read is delivered")
	}
	stopReporting()
	stopped(err)
	stopServing()
	for range served {
	}
	watching.Wait()
	return err
}

// Close releases sinks and sources, the last made first.
func (a *App) Close() error {
	var errs []error
	if a.servers != nil {
		errs = append(errs, a.servers.close())
	}
	for _, c := range slices.Backward(a.closers) {
		errs = append(errs, c())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// Check tries every component that can be tried and returns what is wrong, by
// component name.
func (a *App) Check(ctx context.Context) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	results := map[string]error{}
	check := func(name string, component any) {
		if c, ok := component.(checker); ok {
			results[name] = c.Check(ctx)
		}
	}
	for _, s := range a.sources {
		check("source "+s.name, s.Source)
	}
	for _, d := range a.decoders {
		check(d.name(), d)
	}
	for i, s := range a.cfg.Sinks {
		check("sink "+s.Name, a.sinks[i])
	}
	for _, r := range a.responders {
		check("responder "+r.Name, r.Responder)
	}
	check("dead letter", a.dead)
	return results
}

func (a *App) setSourceHealth(name string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.health[name] = err
}

func (a *App) sourceHealth(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.health[name]
}

// ConsoleURL is where the console answers; "" without one.
func (a *App) ConsoleURL() string { return a.servers.consoleURL() }

// APIURL is the base of /api/v1.
func (a *App) APIURL() string { return a.servers.apiURL() }

// HealthURL is the base of /livez, /readyz and /metrics.
func (a *App) HealthURL() string { return a.servers.healthURL() }

// Store is the embedded store, or nil when no sink is one.
func (a *App) Store() *store.Store { return a.store }

// Registry holds the metrics.
func (a *App) Registry() *prometheus.Registry { return a.registry }
