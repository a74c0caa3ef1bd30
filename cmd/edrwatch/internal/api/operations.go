package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
)

// OperationsSettings are what the operations handler is given by the program.
type OperationsSettings struct {
	// Alive returns an error when the gateway's own loops no longer turn. It
	// must not depend on brokers or sinks: a restart does not bring those back.
	Alive func() error
	// Checks are the conditions of readiness.
	Checks  []Check
	Metrics prometheus.Gatherer
	Build   buildinfo.Info
}

// Operations is the handler of the operations listener. It is safe for
// concurrent use.
type Operations struct {
	set     OperationsSettings
	handler http.Handler

	mu      sync.Mutex // held while checks run: probes at once share one run
	checked time.Time
	results []checkResult
}

type checkResult struct {
	name string
	err  error
}

const (
	// checkTime is how long one condition of readiness may take to tell.
	checkTime = 3 * time.Second
	// checkAge is how long an answer about readiness is used again, so that
	// many probes do not become many requests to brokers and sinks.
	checkAge = time.Second
)

// NewOperations returns the handler of health and metrics.
func NewOperations(set OperationsSettings) (*Operations, error) {
	if set.Alive == nil || set.Metrics == nil {
		return nil, errors.New("making the operations handler: expected a liveness function and a metrics registry")
	}
	o := &Operations{set: set}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", o.live)
	mux.HandleFunc("GET /readyz", o.ready)
	mux.HandleFunc("GET /buildinfo", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, set.Build) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(set.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "/livez\n/readyz?verbose\n/metrics\n/buildinfo\n")
	})
	o.handler = readOnly(mux)
	return o, nil
}

// ServeHTTP answers a request.
func (o *Operations) ServeHTTP(w http.ResponseWriter, r *http.Request) { o.handler.ServeHTTP(w, r) }

func (o *Operations) live(w http.ResponseWriter, _ *http.Request) {
	if err := o.set.Alive(); err != nil {
		plain(w, http.StatusInternalServerError, "not alive: "+oneLine(err)+"\n")
		return
	}
	plain(w, http.StatusOK, "ok\n")
}

// ready answers in the form of the Kubernetes API server: one line a check
// with ?verbose, or as soon as one fails.
func (o *Operations) ready(w http.ResponseWriter, r *http.Request) {
	results := o.check(r.Context())
	status, verdict := http.StatusOK, "ok\n"
	var lines strings.Builder
	for _, res := range results {
		if res.err == nil {
			fmt.Fprintf(&lines, "[+]%s ok\n", res.name)
			continue
		}
		status, verdict = http.StatusServiceUnavailable, "readyz check failed\n"
		fmt.Fprintf(&lines, "[-]%s failed: %s\n", res.name, oneLine(res.err))
	}
	if r.URL.Query().Has("verbose") || status != http.StatusOK {
		verdict = lines.String() + verdict
	}
	plain(w, status, verdict)
}

// check runs all conditions at once, or returns the last results while they
// are fresh.
func (o *Operations) check(ctx context.Context) []checkResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.checked) < checkAge {
		return o.results
	}
	// One probe that gives up must not spoil the answer for the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
	defer cancel()
	results := make([]checkResult, len(o.set.Checks))
	var wait sync.WaitGroup
	for i, c := range o.set.Checks {
		wait.Go(func() { results[i] = checkResult{c.Name, c.Run(ctx)} })
	}
	wait.Wait()
	o.results, o.checked = results, time.Now()
	return results
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // A reader that went away is not our concern.
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
