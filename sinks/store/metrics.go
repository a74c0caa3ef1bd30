package store

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// metrics are the store's own; outcomes of documents are counted by the
// pipeline.
type metrics struct {
	registry   prometheus.Registerer
	registered []prometheus.Collector
	seconds    prometheus.Histogram
}

func newMetrics(s *Store, set Settings) (*metrics, error) {
	name := set.Name
	if name == "" {
		name = "store"
	}
	labels := prometheus.Labels{"sink": name}
	m := &metrics{registry: set.Metrics}
	m.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "edrwatch_store_write_seconds", Help: "Time of one write of the embedded store, from its turn to the flushed commit.",
		ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
	})
	all := []prometheus.Collector{
		m.seconds,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "edrwatch_store_evicted_total", Help: "Documents that the embedded store evicted to stay within its size, since its file was created.", ConstLabels: labels,
		}, func() float64 { return float64(s.evicts.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "edrwatch_store_bytes", Help: "Bytes of the embedded store's file that are in use.", ConstLabels: labels,
		}, func() float64 { return float64(s.bytes.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "edrwatch_store_max_bytes", Help: "Size over which the embedded store evicts.", ConstLabels: labels,
		}, func() float64 { return float64(s.cfg.MaxBytes) }),
	}
	for _, stream := range event.Streams() {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "edrwatch_store_documents", Help: "Documents that the embedded store holds, by stream.",
			ConstLabels: prometheus.Labels{"sink": name, "stream": stream.String()},
		}, func() float64 { return float64(s.counts[stream].Load()) }))
	}
	if m.registry == nil {
		return m, nil
	}
	for _, c := range all {
		if err := m.registry.Register(c); err != nil {
			m.unregister()
			return nil, err
		}
		m.registered = append(m.registered, c)
	}
	return m, nil
}

// unregister permits a store to be opened again in the same process.
func (m *metrics) unregister() {
	if m == nil {
		return
	}
	for _, c := range m.registered {
		m.registry.Unregister(c)
	}
	m.registered = nil
}
