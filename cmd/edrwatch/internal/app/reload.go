package app

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/canary"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/mappings"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// filesPoll is how often the directories of rules and mappings are looked at.
const filesPoll = 15 * time.Second

// live is what was made from files, a rule set or a mapping plan, replaced as
// a whole when they change: on SIGHUP, or when their directories do.
type live[T any] struct {
	what     string // in the log
	dirs     []string
	load     func(before *T) (*T, error)
	log      *slog.Logger
	current  atomic.Pointer[T]
	reloads  *prometheus.CounterVec
	loaded   prometheus.Gauge
	seen     uint64                       // state of the files
	reloaded func(what string, err error) // called after each reload; may be nil
}

func newLive[T any](what string, dirs []string, first *T, load func(before *T) (*T, error), log *slog.Logger, reg prometheus.Registerer) *live[T] {
	l := &live[T]{
		what: what, dirs: dirs, load: load, log: log,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "edrwatch", Subsystem: what, Name: "reloads_total", Help: "Files of " + what + " read again after a change, by outcome: ok, failed (those before stay in use).",
		}, []string{"outcome"}),
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "edrwatch", Subsystem: what, Name: "loaded_timestamp_seconds", Help: "When the " + what + " in use were read.",
		}),
	}
	for _, outcome := range []string{"ok", "failed"} {
		l.reloads.WithLabelValues(outcome)
	}
	reg.MustRegister(l.reloads, l.loaded)
	l.current.Store(first)
	l.loaded.SetToCurrentTime()
	l.seen = filesState(dirs)
	return l
}

// run reads the files again when the directories change or SIGHUP comes, until
// ctx ends.
func (l *live[T]) run(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	tick := time.NewTicker(filesPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			l.seen = filesState(l.dirs)
			l.reload()
		case <-tick.C:
			if now := filesState(l.dirs); now != l.seen {
				l.seen = now
				l.reload()
			}
		}
	}
}

// reload swaps in all the files, or none of them.
func (l *live[T]) reload() {
	next, err := l.load(l.current.Load())
	if l.reloaded != nil {
		defer l.reloaded(l.what, err)
	}
	if err != nil {
		l.reloads.WithLabelValues("failed").Inc()
		l.log.Error(l.what+" not reloaded: the files have an error; the previous ones stay in use", "error", err)
		return
	}
	l.current.Store(next)
	l.reloads.WithLabelValues("ok").Inc()
	l.loaded.SetToCurrentTime()
	l.log.Info(l.what + " reloaded")
}

func newLiveRules(d *Detection, cfg DetectionConfig, log *slog.Logger, reg prometheus.Registerer) *live[rules.Ruleset] {
	return newLive("rules", cfg.RuleDirs, d.Rules, func(before *rules.Ruleset) (*rules.Ruleset, error) {
		set, err := d.loadRules(cfg)
		if err != nil {
			return nil, err
		}
		return set.Inherit(before), nil
	}, log, reg)
}

func newLiveMappings(d *Detection, cfg DetectionConfig, log *slog.Logger, reg prometheus.Registerer) *live[mappings.Plan] {
	return newLive("mappings", cfg.MappingDirs, d.Mappings, func(before *mappings.Plan) (*mappings.Plan, error) {
		mapped, _, err := dictionaryOf(cfg.MappingDirs)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(mapped.Fields(), d.fields) {
			return nil, errors.New("the files declare other fields than at the start: restart the gateway to use them")
		}
		plan, err := mapped.Compile(d.Dictionary)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(plan.Vendors(), before.Vendors()) {
			return nil, fmt.Errorf("the files name other vendors than at the start (%v instead of %v): run edrwatch setup for their fields and restart the gateway", plan.Vendors(), before.Vendors())
		}
		return plan, nil
	}, log, reg)
}

// loadRules reads the rule files again, over the same dictionary.
func (d *Detection) loadRules(cfg DetectionConfig) (*rules.Ruleset, error) {
	files, err := parseRules(cfg)
	if err != nil {
		return nil, err
	}
	return files.Compile(d.Dictionary)
}

// filesState changes when a file in one of the directories does.
func filesState(dirs []string) uint64 {
	sum := xxhash.New()
	for _, dir := range dirs {
		// What cannot be read now is found out when it is loaded.
		_ = fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				writeText(sum, err.Error())
				return nil //nolint:nilerr // It is part of the state.
			}
			if info, err := entry.Info(); err == nil && !entry.IsDir() {
				writeText(sum, path+" "+strconv.FormatInt(info.Size(), 10)+" "+strconv.FormatInt(info.ModTime().UnixNano(), 10))
			}
			return nil
		})
	}
	return sum.Sum64()
}

func writeText(h hash.Hash, text string) { fmt.Fprintln(h, text) }

// liveDetector is the detection of one shard, which follows the reloads between
// two events.
type liveDetector struct {
	live    *live[rules.Ruleset]
	set     *rules.Ruleset
	session *rules.Session
	canary  *canary.Canary // nil: nobody minds canaries
	heard   *rules.Ruleset // by which the canary was judged
}

func newLiveDetector(l *live[rules.Ruleset], cfg *config.Config, whole *fleet.Fleet, partition string, canaries *canary.Canary) *liveDetector {
	set := l.current.Load()
	return &liveDetector{live: l, set: set, canary: canaries, heard: set, session: set.NewSession(rules.SessionOptions{
		Lateness: cfg.Pipeline.Lateness, MaxKeys: cfg.Rules.MaxKeys, MaxState: int64(cfg.Rules.MaxState), Fleet: whole, Partition: partition, Clock: time.Now, Budget: cfg.Rules.Budget,
	})}
}

// Canary implements pipeline.CanaryDetector. The session follows a reload with
// the next event of the feed, which may be long to come; the canary does at once.
func (d *liveDetector) Canary(now int64, e *event.Event) {
	if d.canary == nil {
		return
	}
	set := d.live.current.Load()
	if set != d.heard {
		d.heard = set
		d.canary.Anew()
	}
	d.session.Canary(set, now, e, d.canary.Hear)
}

// Detect implements pipeline.Detector.
func (d *liveDetector) Detect(now int64, e *event.Event, emit func(alert *event.Event)) {
	if set := d.live.current.Load(); set != d.set {
		d.set = set
		d.session.Reload(set, emit)
	}
	d.session.Detect(now, e, emit)
}

// AppendSnapshot implements pipeline.Snapshotter.
func (d *liveDetector) AppendSnapshot(to []byte) ([]byte, bool) { return d.session.AppendSnapshot(to) }

// Restore implements pipeline.Snapshotter. State of rules that are new or
// changed is dropped, and each of them is logged: reading far enough back for
// them would set back the state of the others.
func (d *liveDetector) Restore(snapshot []byte) error {
	if err := d.session.Restore(snapshot); err != nil {
		return err
	}
	r := d.session.Restored()
	for _, rule := range r.Anew {
		d.live.log.Warn("rule state not restored: the rule is new or changed; alerts that need history are delayed by look_back",
			"rule", rule.Name, "id", rule.ID, "look_back", rule.LookBack())
	}
	if len(r.Anew) > 0 || r.Dropped > 0 {
		d.live.log.Info("rule state restored", "restored", r.Restored, "without_history", len(r.Anew), "dropped", r.Dropped)
	}
	return nil
}

// Rebuild implements pipeline.Rebuilder.
func (d *liveDetector) Rebuild(on bool) { d.session.Rebuild(on) }

// Close ends the session's accounts.
func (d *liveDetector) Close() { d.session.Close() }

// liveMapper is the mapper of one shard, which follows the reloads between two
// records.
type liveMapper struct {
	live   *live[mappings.Plan]
	plan   *mappings.Plan
	mapper *mappings.Mapper
}

// Map implements pipeline.Mapper.
func (m *liveMapper) Map(p *event.Partition, r *event.Record, emit func(*event.Event)) error {
	if plan := m.live.current.Load(); plan != m.plan {
		m.plan, m.mapper = plan, plan.NewMapper()
	}
	return m.mapper.Map(p, r, emit)
}
