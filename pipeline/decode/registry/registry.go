package registry

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Settings are what the composition root gives a Registry.
type Settings struct {
	Source  string // whose records name the schemas
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: nothing is counted
	Now     func() time.Time      // default time.Now
}

// Registry gives schemas, compiled to a T, by their id. It asks for each once,
// however many partitions wait for it, and keeps it. It is safe for concurrent use.
type Registry[T any] struct {
	client  *client
	compile func(*Definition) (T, error)
	set     Settings
	known   *cache[T]
	unknown *cache[error] // ids that the registry does not know, or that make no schema
	flights singleflight.Group

	// Requests outlive the record that began them, which others wait for, too.
	ctx  context.Context
	stop context.CancelFunc

	mu       sync.Mutex
	waiting  map[int32]error // schemas that could not be asked for: records wait for them
	requests *prometheus.CounterVec
	up       prometheus.Gauge
}

// New returns a registry; it connects to nothing. An error of compile is about
// the schema, which is then as good as unknown.
func New[T any](cfg Config, compile func(*Definition) (T, error), set Settings) (*Registry[T], error) {
	if set.Logger == nil {
		set.Logger = slog.New(slog.DiscardHandler)
	}
	if set.Now == nil {
		set.Now = time.Now
	}
	c, err := newClient(cfg, set.Logger)
	if err != nil {
		return nil, fmt.Errorf("schema_registry: %w", err)
	}
	labels := prometheus.Labels{"source": set.Source}
	r := &Registry[T]{
		client: c, compile: compile, set: set, known: newCache[T](cfg.MaxSchemas), unknown: newCache[error](cfg.MaxSchemas), waiting: map[int32]error{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "edrwatch", Name: "schema_registry_lookups_total", ConstLabels: labels,
			Help: "Schemas that the schema registry was asked for, by outcome: found, unknown (it has none, or one that cannot be used), failed (it could not be asked; the partition waits).",
		}, []string{"outcome"}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "edrwatch", Name: "schema_registry_up", ConstLabels: labels, Help: "1 while no record waits for a schema that the schema registry could not be asked for.",
		}),
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	for _, outcome := range []string{"found", "unknown", "failed"} {
		r.requests.WithLabelValues(outcome)
	}
	r.up.Set(1)
	if set.Metrics != nil {
		for _, m := range []prometheus.Collector{r.requests, r.up} {
			if err := set.Metrics.Register(m); err != nil {
				return nil, fmt.Errorf("registering metrics of the schema registry: %w", err)
			}
		}
	}
	return r, nil
}

// Schema returns the schema of an id. A permanent *fault.Error condemns what
// names the id; any other error says that the registry cannot be asked now.
func (r *Registry[T]) Schema(ctx context.Context, id int32) (T, error) {
	if s, ok := r.known.get(id, r.set.Now); ok {
		return s, nil
	}
	var none T
	if err, ok := r.unknown.get(id, r.set.Now); ok {
		return none, err
	}
	flight := r.flights.DoChan(strconv.Itoa(int(id)), func() (any, error) { return r.fetch(id) })
	select {
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case res := <-flight:
		if res.Err != nil {
			return none, res.Err
		}
		return res.Val.(T), nil
	}
}

func (r *Registry[T]) fetch(id int32) (T, error) {
	var none T
	d, err := r.client.define(r.ctx, id)
	if err == nil {
		var s T
		if s, err = r.compile(d); err == nil {
			r.known.put(id, s, time.Time{})
			r.answered(id, "found", nil)
			return s, nil
		}
		f := fault.New(fault.Permanent, fault.UnknownSchema, "schema %d: %w", id, err)
		err = f
	}
	if fault.Of(err).Class != fault.Permanent {
		r.answered(id, "failed", err)
		return none, err
	}
	r.unknown.put(id, err, r.set.Now().Add(r.client.cfg.UnknownFor))
	r.answered(id, "unknown", nil)
	return none, err
}

// answered counts a lookup, and keeps whether the registry could be asked.
func (r *Registry[T]) answered(id int32, outcome string, err error) {
	if r.ctx.Err() != nil {
		return // It was closed meanwhile.
	}
	r.requests.WithLabelValues(outcome).Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.waiting, id)
	} else {
		r.waiting[id] = err
	}
	if len(r.waiting) == 0 {
		r.up.Set(1)
	} else {
		r.up.Set(0)
	}
}

// Health returns why some schema cannot be asked for, or nil. It asks for those
// that failed once more: the partition that waited may belong to another gateway by
// now, and no further lookup would tell.
func (r *Registry[T]) Health(ctx context.Context) error {
	r.mu.Lock()
	ids := slices.Sorted(maps.Keys(r.waiting))
	r.mu.Unlock()
	for _, id := range ids {
		if _, err := r.Schema(ctx, id); err != nil && fault.Of(err).Class != fault.Permanent {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.waiting[id]
		}
	}
	return nil
}

// Check reports whether the registry answers with these credentials.
func (r *Registry[T]) Check(ctx context.Context) error {
	var types []string
	return r.client.get(ctx, &types, "schemas", "types")
}

// Close ends requests in progress. Nothing may be asked for afterwards.
func (r *Registry[T]) Close() error {
	r.stop()
	r.client.close()
	return nil
}
