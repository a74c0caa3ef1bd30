package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Counts is what became of everything since the runner was made: the numbers
// that its metrics export, for those who report without asking for names.
type Counts struct {
	// Records by outcome: mapped, dead, filtered, duplicate.
	Records map[string]uint64
	// InFlight are the records that have no outcome yet; Unmapped those of the
	// mapped that no mapping takes.
	InFlight, Unmapped uint64
	// Documents by sink and outcome.
	Documents map[string]map[string]uint64
	// DeadLetters are records and documents that were buried, Late the events
	// beyond the permitted lateness.
	DeadLetters, Late uint64
	// Newest is the highest clock of a partition; zero before the first record.
	Newest time.Time
}

// Done is the number of records that have their outcome.
func (c *Counts) Done() (n uint64) {
	for _, count := range c.Records {
		n += count
	}
	return n
}

// Indexed is the number of documents that sinks stored.
func (c *Counts) Indexed() (n uint64) {
	for _, outcomes := range c.Documents {
		n += outcomes[event.Indexed.String()]
	}
	return n
}

// Counts returns what the runner has counted; safe for concurrent use.
func (r *Runner) Counts() Counts {
	m := r.metrics
	c := Counts{Records: map[string]uint64{}, Documents: map[string]map[string]uint64{}}
	each(m.records, func(label func(string) string, value float64) { c.Records[label("outcome")] += uint64(value) })
	each(m.recordsInFlight, func(_ func(string) string, value float64) { c.InFlight += uint64(value) })
	each(m.unmapped, func(_ func(string) string, value float64) { c.Unmapped += uint64(value) })
	each(m.docs, func(label func(string) string, value float64) {
		if c.Documents[label("sink")] == nil {
			c.Documents[label("sink")] = map[string]uint64{}
		}
		c.Documents[label("sink")][label("outcome")] += uint64(value)
	})
	each(m.deadLetters, func(_ func(string) string, value float64) { c.DeadLetters += uint64(value) })
	each(m.late, func(_ func(string) string, value float64) { c.Late += uint64(value) })
	newest := 0.0
	each(m.watermark, func(_ func(string) string, value float64) { newest = max(newest, value) })
	if newest > 0 {
		c.Newest = time.UnixMilli(int64(newest * 1000))
	}
	return c
}

// each calls visit for every series of a counter or a gauge.
func each(of prometheus.Collector, visit func(label func(name string) string, value float64)) {
	series := make(chan prometheus.Metric)
	go func() {
		of.Collect(series)
		close(series)
	}()
	for s := range series {
		var m dto.Metric
		if s.Write(&m) != nil {
			continue // Only a broken metric can fail, and ours are made here.
		}
		visit(func(name string) string {
			for _, l := range m.GetLabel() {
				if l.GetName() == name {
					return l.GetValue()
				}
			}
			return ""
		}, m.GetCounter().GetValue()+m.GetGauge().GetValue())
	}
}
