package canary

import "github.com/prometheus/client_golang/prometheus"

// collector exports what is known of the canaries that the gateway owns: a
// feed that goes to another gateway leaves no state behind.
type collector struct{ c *Canary }

func description(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("edrwatch", "canary", name), help, labels, nil)
}

func descriptions() (heartbeat, state, roundTrip *prometheus.Desc) {
	return description("heartbeat_timestamp_seconds", "Time of the latest heartbeat of a feed's canary that came back through mapping and rules.", "feed"),
		description("state", "1 for the state of a feed's canary: waiting, heard, proving, proved, deaf, mute.", "feed", "state"),
		description("round_trip_seconds", "How long the latest heartbeat of a feed's canary took to come back.", "feed")
}

// Describe implements prometheus.Collector.
func (m *collector) Describe(ch chan<- *prometheus.Desc) {
	heartbeat, state, roundTrip := descriptions()
	ch <- heartbeat
	ch <- state
	ch <- roundTrip
}

// Collect implements prometheus.Collector.
func (m *collector) Collect(ch chan<- prometheus.Metric) {
	heartbeat, state, roundTrip := descriptions()
	for _, s := range m.c.Statuses() {
		for _, one := range States() {
			is := 0.0
			if s.State == one {
				is = 1
			}
			ch <- prometheus.MustNewConstMetric(state, prometheus.GaugeValue, is, s.Feed, string(one))
		}
		if !s.Heard.IsZero() {
			ch <- prometheus.MustNewConstMetric(heartbeat, prometheus.GaugeValue, float64(s.Heard.UnixMilli())/1000, s.Feed)
			ch <- prometheus.MustNewConstMetric(roundTrip, prometheus.GaugeValue, s.RoundTrip, s.Feed)
		}
	}
}
