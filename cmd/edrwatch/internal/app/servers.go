package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// servers are the two listeners. That of data has the console only where an
// embedded store can answer it.
type servers struct {
	operations *api.Server
	data       *api.Server
	console    bool
}

// operationsConnections bounds the connections of probes and scrapers.
const operationsConnections = 64

// listen binds both listeners, so that an address in use stops the start.
func (a *App) listen() (*servers, error) {
	cfg := api.DefaultConfig()
	cfg.Data.Hosts = a.cfg.HTTP.Hosts
	operations, err := api.NewOperations(api.OperationsSettings{
		Alive: a.alive, Checks: a.readiness(), Metrics: a.registry,
		Build: a.opts.Build,
	})
	if err != nil {
		return nil, err
	}
	s := &servers{console: a.store != nil}
	if s.operations, err = api.Listen(a.cfg.HTTP.HealthListen, operationsConnections, operations, a.log); err != nil {
		return nil, addressHint(err, "http.health_listen")
	}
	set := api.Settings{Logger: a.log, Gateway: a, Rollouts: a, Agents: inventory{a.fleet, a}, Hub: a.hub}
	if a.store != nil {
		set.Store = a.store
	}
	var handler http.Handler
	handler, err = api.NewData(cfg.Data, set)
	if err == nil {
		s.data, err = api.Listen(a.cfg.HTTP.Listen, cfg.Data.MaxConnections, handler, a.log, a.hub.Close)
		err = addressHint(err, "http.listen")
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// addressHint says which setting to change when an address cannot be had.
func addressHint(err error, setting string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: choose another address with %s", err, setting)
}

// serve answers until ctx ends.
func (s *servers) serve(ctx context.Context) error {
	var group errgroup.Group
	for _, server := range s.all() {
		group.Go(server.Serve)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.close() })
	defer stop()
	return group.Wait()
}

// close stops both listeners; requests in progress get a few seconds.
func (s *servers) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var errs []error
	for _, server := range s.all() {
		errs = append(errs, server.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

func (s *servers) all() []*api.Server {
	if s.data == nil { // Its listener could not be had.
		return []*api.Server{s.operations}
	}
	return []*api.Server{s.operations, s.data}
}

func (s *servers) consoleURL() string {
	if !s.console {
		return ""
	}
	return s.apiURL()
}

func (s *servers) apiURL() string { return url(s.data.Addr()) }

func (s *servers) healthURL() string { return url(s.operations.Addr()) }

// url is an address as a browser on this machine reaches it.
func url(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Rollouts tells what is known of the versions that agents get, and what the
// policy makes of it.
func (a *App) Rollouts() []fleet.Rollout { return a.fleet.Rollouts(a.cfg.RolloutPolicy) }

// observe sees the documents that all required sinks have.
func (a *App) observe(docs []*event.Document) { a.hub.Publish(docs) }
