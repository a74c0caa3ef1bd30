package app

import (
	"context"
	"fmt"
	"hash"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// rulesPoll is how often the directories of rules are looked at.
const rulesPoll = 15 * time.Second

// liveRules is the rule set that sessions work with, replaced as a whole when
// the files change: on SIGHUP, or when the directories do.
type liveRules struct {
	detection *Detection
	cfg       DetectionConfig
	log       *slog.Logger
	current   atomic.Pointer[rules.Ruleset]
	reloads   *prometheus.CounterVec
	loaded    prometheus.Gauge
	seen      uint64 // state of the files
}

func newLiveRules(d *Detection, cfg DetectionConfig, log *slog.Logger, reg prometheus.Registerer) *liveRules {
	l := &liveRules{
		detection: d, cfg: cfg, log: log,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "edrwatch", Name: "rules_reloads_total", Help: "Rule files read again after a change, by outcome: ok, failed (the rules before stay).",
		}, []string{"outcome"}),
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "edrwatch", Name: "rules_loaded_timestamp_seconds", Help: "When the rules in use were read.",
		}),
	}
	for _, outcome := range []string{"ok", "failed"} {
		l.reloads.WithLabelValues(outcome)
	}
	reg.MustRegister(l.reloads, l.loaded)
	l.current.Store(d.Rules)
	l.loaded.SetToCurrentTime()
	l.seen = filesState(cfg.RuleDirs)
	return l
}

// Ruleset is the set in use.
func (l *liveRules) Ruleset() *rules.Ruleset { return l.current.Load() }

// run reads the rules again when the directories change or SIGHUP comes, until
// ctx ends.
func (l *liveRules) run(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	tick := time.NewTicker(rulesPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			l.seen = filesState(l.cfg.RuleDirs)
			l.reload()
		case <-tick.C:
			if now := filesState(l.cfg.RuleDirs); now != l.seen {
				l.seen = now
				l.reload()
			}
		}
	}
}

// reload takes all the files up, or none of them.
func (l *liveRules) reload() {
	set, err := l.detection.loadRules(l.cfg)
	if err != nil {
		l.reloads.WithLabelValues("failed").Inc()
		l.log.Error("rules are not reloaded; those before stay in use", "error", err)
		return
	}
	next := set.Inherit(l.current.Load())
	l.current.Store(next)
	l.reloads.WithLabelValues("ok").Inc()
	l.loaded.SetToCurrentTime()
	l.log.Info("rules are reloaded", "rules", len(next.Rules()))
}

// loadRules reads the rule files again, over the same dictionary.
func (d *Detection) loadRules(cfg DetectionConfig) (*rules.Ruleset, error) {
	ruleTrees, err := trees(rules.Library(), cfg.Library || len(cfg.RuleDirs) == 0, cfg.RuleDirs)
	if err != nil {
		return nil, err
	}
	files, err := rules.Parse(ruleTrees...)
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

// newDetector returns the detection of one shard, which follows the reloads
// between two events.
func (l *liveRules) newDetector(lateness time.Duration, whole *fleet.Fleet) pipeline.Detector {
	set := l.current.Load()
	return &liveDetector{live: l, set: set, session: set.NewSession(rules.SessionOptions{Lateness: lateness, Fleet: whole})}
}

type liveDetector struct {
	live    *liveRules
	set     *rules.Ruleset
	session *rules.Session
}

// Detect implements pipeline.Detector.
func (d *liveDetector) Detect(now int64, e *event.Event, emit func(alert *event.Event)) {
	if set := d.live.current.Load(); set != d.set {
		d.set = set
		d.session.Reload(set)
	}
	d.session.Detect(now, e, emit)
}

// Close ends the session's accounts.
func (d *liveDetector) Close() { d.session.Close() }
