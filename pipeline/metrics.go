package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// metrics are the conservation counters of the pipeline:
//
//	records_received = Σ records{outcome} + records_in_flight + records_abandoned
//	documents_received = Σ documents{sink, outcome} + documents_in_flight + documents_abandoned
//
// Labels are bounded by the configuration and by closed vocabularies.
type metrics struct {
	recordsReceived  *prometheus.CounterVec
	records          *prometheus.CounterVec
	recordsInFlight  *prometheus.GaugeVec
	recordsAbandoned *prometheus.CounterVec
	unmapped         *prometheus.CounterVec
	rebuilt          *prometheus.CounterVec
	watermark        *prometheus.GaugeVec
	docsReceived     *prometheus.CounterVec
	docs             *prometheus.CounterVec
	docsInFlight     *prometheus.GaugeVec
	docsAbandoned    *prometheus.CounterVec
	retries          *prometheus.CounterVec
	up               *prometheus.GaugeVec
	deadLetters      *prometheus.CounterVec
	events           *prometheus.CounterVec
	alerts           *prometheus.CounterVec
	late             prometheus.Counter
	clock            *prometheus.CounterVec
	stages           *prometheus.HistogramVec
	checkpoints      *prometheus.CounterVec
	restores         *prometheus.CounterVec
	snapshotBytes    prometheus.Histogram
	snapshotSeconds  prometheus.Histogram
	shapes           shapes // that unmapped has a label for
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "edrwatch", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "edrwatch", Name: name, Help: help}, labels)
	}
	m := &metrics{
		recordsReceived:  counter("records_received_total", "Records taken from the source.", "topic"),
		records:          counter("records_total", "Records by final outcome: mapped, dead, filtered, duplicate.", "topic", "outcome"),
		recordsInFlight:  gauge("records_in_flight", "Records taken and not yet acknowledged.", "topic"),
		recordsAbandoned: counter("records_abandoned_total", "Records given back unacknowledged when their partition moved or the gateway stopped; they are read again.", "topic"),
		unmapped:         counter("records_unmapped_total", "Mapped records that no mapping takes (event.action: other), by the names of their keys; at most 64 shapes, then more.", "topic", "shape"),
		rebuilt:          counter("records_rebuilt_total", "Acknowledged records read again to rebuild detection state.", "topic"),
		watermark:        gauge("watermark_seconds", "Clock of the partition last worked on, seconds since 1970.", "topic"),
		docsReceived:     counter("documents_received_total", "Documents handed to the sink.", "sink"),
		docs:             counter("documents_total", "Documents by final outcome: indexed, duplicate, quarantined, dead, filtered.", "sink", "outcome"),
		docsInFlight:     gauge("documents_in_flight", "Documents handed to the sink without a final outcome.", "sink"),
		docsAbandoned:    counter("documents_abandoned_total", "Documents given up undecided when their partition moved or the gateway stopped; they are made again.", "sink"),
		retries:          counter("sink_retries_total", "Writes that have to be repeated, by reason.", "sink", "reason"),
		up:               gauge("sink_up", "1 when the last write to the sink succeeded.", "sink"),
		deadLetters:      counter("dead_letters_total", "Records and documents written to the dead letter, by stage and reason.", "stage", "reason"),
		events:           counter("events_total", "Events by event.action.", "action"),
		alerts:           counter("alerts_total", "Alert documents by kind and severity.", "kind", "severity"),
		clock:            counter("clock_doubts_total", "Events whose time cannot be right: future, ancient, missing.", "doubt"),
		checkpoints:      counter("checkpoints_total", "Snapshots of the state of partitions, by outcome: saved, failed, impossible.", "outcome"),
		restores:         counter("checkpoint_restores_total", "Partitions taken over, by what their state was taken from: restored, none (of a snapshot), damaged (one of several), failed.", "outcome"),
		snapshotBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "edrwatch", Name: "checkpoint_bytes", Help: "Size of snapshots.", Buckets: prometheus.ExponentialBuckets(1024, 8, 7),
		}),
		snapshotSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "edrwatch", Name: "checkpoint_seconds", Help: "Time that a partition stands still for its snapshot, most of which is written while a batch is delivered.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 7),
		}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "edrwatch", Name: "late_events_total", Help: "Events further behind their partition's clock than the permitted lateness.",
		}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "edrwatch", Name: "batch_seconds", Help: "Time a batch spends judging (map, rules, encode) and delivering.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"stage"}),
	}
	for _, c := range []prometheus.Collector{m.recordsReceived, m.records, m.recordsInFlight, m.recordsAbandoned, m.unmapped,
		m.rebuilt, m.watermark, m.docsReceived, m.docs, m.docsInFlight, m.docsAbandoned, m.retries, m.up, m.deadLetters, m.events, m.alerts,
		m.clock, m.late, m.stages, m.checkpoints, m.restores, m.snapshotBytes, m.snapshotSeconds} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// prepare makes a sink's series exist from the start, so that a rate over
// them is right from the first document on.
func (m *metrics) prepare(sink string) {
	m.docsReceived.WithLabelValues(sink)
	m.docsInFlight.WithLabelValues(sink)
	m.docsAbandoned.WithLabelValues(sink)
	for o := event.Indexed; o <= event.Filtered; o++ {
		m.docs.WithLabelValues(sink, o.String())
	}
	m.up.WithLabelValues(sink).Set(1)
}

func (m *metrics) received(sink string, n int) {
	m.docsReceived.WithLabelValues(sink).Add(float64(n))
	m.docsInFlight.WithLabelValues(sink).Add(float64(n))
}

func (m *metrics) outcome(sink string, o event.Outcome, n int) {
	if n == 0 || o == event.Pending {
		return
	}
	m.docs.WithLabelValues(sink, o.String()).Add(float64(n))
	m.docsInFlight.WithLabelValues(sink).Sub(float64(n))
}

func (m *metrics) abandoned(sink string, n int) {
	m.docsAbandoned.WithLabelValues(sink).Add(float64(n))
	m.docsInFlight.WithLabelValues(sink).Sub(float64(n))
}

func (m *metrics) retry(sink string, reason fault.Reason) {
	m.retries.WithLabelValues(sink, string(reason)).Inc()
}

func (m *metrics) healthy(sink string, ok bool) {
	value := 0.0
	if ok {
		value = 1
	}
	m.up.WithLabelValues(sink).Set(value)
}

func (m *metrics) buried(stage, reason string) { m.deadLetters.WithLabelValues(stage, reason).Inc() }

func (m *metrics) batch(started, mapped time.Time) {
	m.stages.WithLabelValues("judge").Observe(mapped.Sub(started).Seconds())
	m.stages.WithLabelValues("deliver").Observe(time.Since(mapped).Seconds())
}

// partitionCounts are the series of one topic, looked up once per partition.
type partitionCounts struct {
	received, abandoned, rebuilt prometheus.Counter
	inFlight, watermark          prometheus.Gauge
	byOutcome                    [DuplicateRecord + 1]prometheus.Counter
}

func (m *metrics) partition(topic string) *partitionCounts {
	c := &partitionCounts{
		received:  m.recordsReceived.WithLabelValues(topic),
		abandoned: m.recordsAbandoned.WithLabelValues(topic),
		rebuilt:   m.rebuilt.WithLabelValues(topic),
		inFlight:  m.recordsInFlight.WithLabelValues(topic),
		watermark: m.watermark.WithLabelValues(topic),
	}
	for o := Mapped; o <= DuplicateRecord; o++ {
		c.byOutcome[o] = m.records.WithLabelValues(topic, o.String())
	}
	return c
}

func (c *partitionCounts) outcomes(n [DuplicateRecord + 1]int) {
	for o, count := range n {
		c.byOutcome[o].Add(float64(count))
	}
}
