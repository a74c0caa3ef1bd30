package kafka

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one source. Lag is computed when it is asked for, from the
// partitions that are owned at that moment.
type metrics struct {
	fetchedBytes *prometheus.CounterVec
	commits      *prometheus.CounterVec
	rebalances   prometheus.Counter
	gaps         *prometheus.CounterVec
	undecodable  *prometheus.CounterVec
	aborted      *prometheus.CounterVec
	missing      *prometheus.GaugeVec

	lagRecords, lagSeconds, inFlight *prometheus.Desc

	mu     sync.Mutex
	owned  map[*partition]struct{}
	budget *budget
	now    func() time.Time
}

func newMetrics(name string, b *budget, now func() time.Time, registerer prometheus.Registerer) (*metrics, error) {
	labels := prometheus.Labels{"source": name}
	counter := func(metric, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "edrwatch_kafka_" + metric, Help: help, ConstLabels: labels}, by)
	}
	desc := func(metric, help string, by ...string) *prometheus.Desc {
		return prometheus.NewDesc("edrwatch_kafka_"+metric, help, by, labels)
	}
	m := &metrics{
		fetchedBytes: counter("fetched_bytes_total", "Bytes of fetch answers, as they came.", "topic"),
		commits:      counter("commits_total", "Commits of offsets, by result: ok or error.", "result"),
		rebalances: prometheus.NewCounter(prometheus.CounterOpts{Name: "edrwatch_kafka_rebalances_total",
			Help: "Generations of the consumer group that this member took part in.", ConstLabels: labels}),
		gaps:        counter("gap_records_total", "Offsets that were gone before they were read (retention, truncation).", "topic"),
		undecodable: counter("undecodable_batches_total", "Record batches that were dead-lettered because they cannot be read.", "topic"),
		aborted:     counter("aborted_batches_total", "Record batches of aborted transactions, which are not delivered.", "topic"),
		missing: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "edrwatch_kafka_topic_missing",
			Help: "1 for a configured topic that does not exist.", ConstLabels: labels}, []string{"topic"}),
		lagRecords: desc("lag_records", "Records of an owned partition that are not acknowledged yet.", "topic", "partition"),
		lagSeconds: desc("lag_seconds", "Age of the last acknowledged record while there is lag, 0 otherwise.", "topic", "partition"),
		inFlight:   desc("in_flight_bytes", "Bytes held by the source, by kind: fetched or decompressed.", "kind"),
		owned:      make(map[*partition]struct{}), budget: b, now: now,
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.fetchedBytes, m.commits, m.rebalances, m.gaps, m.undecodable, m.aborted, m.missing, m} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.lagRecords
	ch <- m.lagSeconds
	ch <- m.inFlight
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p := range m.owned {
		number := strconv.Itoa(int(p.number))
		lag := max(p.end.Load()-p.acked.Load(), 0)
		seconds := 0.0
		if at := p.ackedTime.Load(); lag > 0 && at > 0 {
			seconds = max(m.now().Sub(time.UnixMilli(at)).Seconds(), 0)
		}
		ch <- prometheus.MustNewConstMetric(m.lagRecords, prometheus.GaugeValue, float64(lag), p.topic, number)
		ch <- prometheus.MustNewConstMetric(m.lagSeconds, prometheus.GaugeValue, seconds, p.topic, number)
	}
	ch <- prometheus.MustNewConstMetric(m.inFlight, prometheus.GaugeValue, float64(m.budget.fetched.held.Load()), "fetched")
	ch <- prometheus.MustNewConstMetric(m.inFlight, prometheus.GaugeValue, float64(m.budget.decompressed.held.Load()), "decompressed")
}

func (m *metrics) own(p *partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owned[p] = struct{}{}
}

func (m *metrics) disown(p *partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.owned, p)
}
