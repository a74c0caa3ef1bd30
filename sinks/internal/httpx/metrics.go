package httpx

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the metrics of one sink's requests.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
	bytes    *prometheus.CounterVec
}

// NewMetrics registers the metrics of the sink called name. The window of
// limiter is exported when it is not nil.
func NewMetrics(registerer prometheus.Registerer, name string, limiter *Limiter) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "edrwatch", Name: "sink_requests_total",
			Help: "Requests to the destination by HTTP status; 0 when no answer came.",
		}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "edrwatch", Name: "sink_request_seconds",
			Help:    "Time from sending a request to having read its answer.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 10),
		}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "edrwatch", Name: "sink_request_bytes_total",
			Help: "Bytes of request bodies, before and after compression.",
		}, []string{"encoding"}),
	}
	collectors := []prometheus.Collector{m.requests, m.seconds, m.bytes}
	if limiter != nil {
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "edrwatch", Name: "sink_request_window",
			Help: "Requests that may be in flight at once; it shrinks when the destination is overloaded.",
		}, func() float64 { return float64(limiter.Window()) }))
	}
	if registerer == nil {
		return m, nil
	}
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"sink": name}, registerer)
	for _, c := range collectors {
		if err := labelled.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Request counts one request; status is 0 when no answer came.
func (m *Metrics) Request(status int, took time.Duration, plain, sent int) {
	m.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	m.seconds.Observe(took.Seconds())
	m.bytes.WithLabelValues("plain").Add(float64(plain))
	m.bytes.WithLabelValues("sent").Add(float64(sent))
}
