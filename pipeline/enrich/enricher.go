package enrich

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Config says what is known about hosts.
type Config struct {
	// Files are CSV files with a header, or YAML lists of rows. Each row names hosts in one of the columns agent (its
	// id), host (a name, or a pattern with * and ?), tag or network (CIDR of the agent's public address or the host's
	// own), and says some of site, ring, owner and criticality. Where rows disagree, agent goes before host, host before
	// pattern, tag and network, and the more exact before the wider.
	Files []string `yaml:"files"`
	// Refresh is how often the files are looked at for changes.
	Refresh time.Duration `yaml:"refresh"`
	// EgressSite makes the egress network (/24 or /56 of the agent's public address) the site where no file says one.
	EgressSite bool `yaml:"egress_site"`
}

// DefaultConfig returns the defaults: no files.
func DefaultConfig() Config { return Config{Refresh: 15 * time.Second, EgressSite: true} }

// Validate reports settings that make no sense.
func (c *Config) Validate() error {
	var errs []error
	if c.Refresh < time.Second {
		errs = append(errs, fmt.Errorf("refresh: expected at least 1s, found %s", c.Refresh))
	}
	for i, file := range c.Files {
		if strings.TrimSpace(file) == "" {
			errs = append(errs, fmt.Errorf("files[%d]: expected a path, found none", i))
		}
	}
	return errors.Join(errs...)
}

// Settings are what the composition root gives to an Enricher. Both may be nil.
type Settings struct {
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// Enricher adds what files say about hosts. It is safe for concurrent use.
type Enricher struct {
	cfg     Config
	log     *slog.Logger
	table   atomic.Pointer[table]
	seen    []fingerprint // of the files as they were last read; of reload alone
	rows    prometheus.Gauge
	reloads *prometheus.CounterVec
}

// fingerprint tells whether a file has changed.
type fingerprint struct {
	size     int64
	modified time.Time
	err      string
}

// New reads the files. A file that cannot be used is an error here; after a
// change it only leaves the rows as they were.
func New(cfg Config, set Settings) (*Enricher, error) {
	x := &Enricher{
		cfg: cfg, log: set.Logger,
		rows: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "edrwatch", Name: "enrichment_entries", Help: "Different sets of attributes in the enrichment files in use.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "edrwatch", Name: "enrichment_reloads_total", Help: "Enrichment files read again after a change, by outcome: ok, failed (the rows before stay).",
		}, []string{"outcome"}),
	}
	if x.log == nil {
		x.log = slog.New(slog.DiscardHandler)
	}
	x.reloads.WithLabelValues("ok")
	x.reloads.WithLabelValues("failed")
	if set.Metrics != nil {
		for _, c := range []prometheus.Collector{x.rows, x.reloads} {
			if err := set.Metrics.Register(c); err != nil {
				return nil, err
			}
		}
	}
	x.seen = x.fingerprints()
	return x, x.load()
}

func (x *Enricher) fingerprints() []fingerprint {
	all := make([]fingerprint, 0, len(x.cfg.Files))
	for _, file := range x.cfg.Files {
		info, err := os.Stat(file)
		if err != nil {
			all = append(all, fingerprint{err: err.Error()})
			continue
		}
		all = append(all, fingerprint{size: info.Size(), modified: info.ModTime()})
	}
	return all
}

// load reads all files and puts their rows in the place of those before.
func (x *Enricher) load() error {
	var rows []row
	var errs []error
	for _, file := range x.cfg.Files {
		more, err := readFile(file)
		errs = append(errs, err)
		rows = append(rows, more...)
	}
	if err := merge(errs); err != nil {
		return err
	}
	t, err := newTable(rows)
	if err != nil {
		return err
	}
	x.table.Store(t)
	x.rows.Set(float64(len(t.entries)))
	return nil
}

func merge(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	return strict.Merge(errs...)
}

// Reload reads the files again if one of them has changed since they were last
// read, and reports whether the rows are others now. It is for one goroutine.
func (x *Enricher) Reload() (changed bool, err error) {
	now := x.fingerprints()
	if slices.Equal(now, x.seen) {
		return false, nil
	}
	x.seen = now // What is wrong with a file is said once a change.
	if err := x.load(); err != nil {
		x.reloads.WithLabelValues("failed").Inc()
		return false, err
	}
	x.reloads.WithLabelValues("ok").Inc()
	return true, nil
}

// Run looks at the files every Refresh until ctx ends.
func (x *Enricher) Run(ctx context.Context) {
	if len(x.cfg.Files) == 0 {
		return
	}
	tick := time.NewTicker(x.cfg.Refresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := x.Reload()
		switch {
		case err != nil:
			x.log.Error("enrichment files not reloaded: they have an error; the previous rows stay in use", "error", err)
		case changed:
			x.log.Info("enrichment files reloaded", "entries", len(x.table.Load().entries))
		}
	}
}

// Process adds to an event what the files say of its host, and its egress
// network. It allocates nothing.
func (x *Enricher) Process(e *event.Event) {
	x.Enrich(e)
	x.Egress(e)
}

// Enrich adds to an event what the files say of its host, and returns by which
// rows. The ring of a file takes the place of the vendor's. It allocates nothing.
func (x *Enricher) Enrich(e *event.Event) By {
	f := x.table.Load().lookUp(e)
	for i, v := range f.values {
		if v != "" {
			e.SetString(fields[i], v)
		}
	}
	return f.by
}

// Egress sets edr.site_network to the network of the agent's public address, and
// makes it the site where there is none and the configuration says so.
func (x *Enricher) Egress(e *event.Event) {
	v := e.Get(ecs.ObserverIP)
	if v == nil {
		return
	}
	for i := range count(v) {
		address, err := netip.ParseAddr(item(v, i))
		address = address.Unmap()
		if err != nil || address.IsPrivate() || !address.IsGlobalUnicast() {
			continue
		}
		bits := 24
		if address.Is6() {
			bits = 56
		}
		if network, err := address.WithZone("").Prefix(bits); err == nil {
			text := event.CleanString(event.View(network.AppendTo(e.Scratch(64))))
			e.Set(ecs.EDRSiteNetwork, text)
			if x.cfg.EgressSite && !e.Has(ecs.EDRSite) {
				e.Set(ecs.EDRSite, text)
			}
			return
		}
	}
}
