package api

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
)

// console holds the hand-written files of the console; there is no build step.
//
//go:embed console
var console embed.FS

// Settings are what the handlers are given by the program.
type Settings struct {
	Logger   *slog.Logger // nil discards
	Store    Store        // nil: neither console nor searches
	Gateway  Gateway
	Rollouts Rollouts
	Agents   Inventory
	Hub      *Hub
}

// Data is the handler of the data listener. It is safe for concurrent use.
type Data struct {
	cfg     DataConfig
	log     *slog.Logger
	store   Store
	gateway Gateway
	watched Rollouts
	agents  Inventory
	hub     *Hub
	handler http.Handler
}

// NewData returns the handler of the console and the JSON API.
func NewData(cfg DataConfig, set Settings) (*Data, error) {
	if set.Gateway == nil || set.Rollouts == nil || set.Agents == nil || set.Hub == nil {
		return nil, errors.New("making the data handler: expected a gateway, rollouts, agents and a hub")
	}
	d := &Data{cfg: cfg, log: set.Logger, store: set.Store, gateway: set.Gateway, watched: set.Rollouts, agents: set.Agents, hub: set.Hub}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	files, err := fs.Sub(console, "console")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, route := range d.routes() {
		mux.Handle("GET "+route.pattern, d.limited(route.serve))
	}
	mux.HandleFunc("GET /api/v1/stream", d.stream)
	mux.HandleFunc("GET /api/v1/fleet/inventory", d.inventory)
	mux.HandleFunc("GET /api/v1/rollouts/events", d.rolloutEvents)
	mux.HandleFunc("GET /api/", func(w http.ResponseWriter, r *http.Request) {
		message := "no such route: " + r.URL.Path
		if d.store == nil {
			message += "; events and alerts are searched where a sink is of type store"
		}
		fail(w, http.StatusNotFound, problem{Message: message})
	})
	if d.store != nil {
		mux.Handle("GET /", staticFiles(files))
	}
	d.handler = secured(cfg.Hosts, mux)
	return d, nil
}

// ServeHTTP answers a request.
func (d *Data) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }

type route struct {
	pattern string
	// serve returns what is encoded as JSON.
	serve func(r *http.Request) (any, error)
}

func (d *Data) routes() []route {
	always := []route{
		{"/api/v1/fleet/inventory/summary", d.inventorySummary},
		{"/api/v1/rollouts", d.rollouts},
		{"/api/v1/rollouts/{product}/{version}", d.rollout},
		{"/api/v1/rules", d.rules},
		{"/api/v1/status", d.status},
	}
	if d.store == nil {
		return always
	}
	return append(always, []route{
		{"/api/v1/alerts", d.alerts},
		{"/api/v1/alerts/summary", d.alertSummary},
		{"/api/v1/alerts/{id}", d.alert},
		{"/api/v1/events", d.events},
		{"/api/v1/events/histogram", d.histogram},
		{"/api/v1/events/{id}", d.event},
		{"/api/v1/fleet", d.fleet},
		{"/api/v1/fleet/summary", d.fleetSummary},
	}...)
}

// limited bounds the time of one question and answers with its result.
func (d *Data) limited(serve func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), d.cfg.QueryTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		answer, err := serve(r)
		if err != nil {
			d.failure(w, r, err)
			return
		}
		respond(w, http.StatusOK, answer)
	})
}

// staticFiles serves the console. Its pages differ by the fragment, so
// that every path but / is a file.
func staticFiles(files fs.FS) http.Handler {
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") && r.URL.Path != "/" {
			http.NotFound(w, r) // No listing of directories.
			return
		}
		// A new version of edrwatch brings new files under the same names.
		w.Header().Set("Cache-Control", "no-cache")
		server.ServeHTTP(w, r)
	})
}
