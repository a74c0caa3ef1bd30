//go:build unix

package testbed

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Shared holds servers that several tests of one process use. The first test that
// asks for a server starts it; [Shared.Run] stops it after the last test.
//
//	var shared testbed.Shared
//
//	func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }
//
// The zero value is ready; all methods can be called at the same time.
type Shared struct {
	mu    sync.Mutex
	dirs  []string
	stops []func()

	kafka         once[*KafkaServer]
	elasticsearch once[*ESServer]
	hec           once[*HECServer]
}

// once keeps the result of the first call.
type once[T any] struct {
	sync.Once
	server T
	err    error
}

// Run runs the tests of m, stops the servers and returns the exit code of the tests.
func (s *Shared) Run(m *testing.M) int {
	defer s.Close()
	return m.Run()
}

// Kafka returns the shared cluster. Options count only for the call that starts it.
func (s *Shared) Kafka(t testing.TB, options ...KafkaOption) *KafkaServer {
	t.Helper()
	server := get(t, s, &s.kafka, func(ctx context.Context, cache *Cache, dir string) (*KafkaServer, error) {
		return startKafka(ctx, cache, dir, options...)
	}, (*KafkaServer).killAll)
	explain(t, server.logTails)
	return server
}

// Elasticsearch returns the shared node. Options count only for the call that starts it.
func (s *Shared) Elasticsearch(t testing.TB, options ...ESOption) *ESServer {
	t.Helper()
	server := get(t, s, &s.elasticsearch, func(ctx context.Context, cache *Cache, dir string) (*ESServer, error) {
		return startElasticsearch(ctx, cache, dir, options...)
	}, (*ESServer).kill)
	explain(t, server.logTails)
	return server
}

// HEC returns the shared receiver. Options count only for the call that starts it.
func (s *Shared) HEC(t testing.TB, options ...HECOption) *HECServer {
	t.Helper()
	server := get(t, s, &s.hec, func(ctx context.Context, cache *Cache, dir string) (*HECServer, error) {
		return startHEC(ctx, cache, dir, options...)
	}, (*HECServer).kill)
	explain(t, server.logTails)
	return server
}

// Close kills the servers and deletes their data.
func (s *Shared) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stop := range s.stops {
		stop()
	}
	for _, dir := range s.dirs {
		_ = os.RemoveAll(dir)
	}
	s.stops, s.dirs = nil, nil
}

// get starts a server on the first call and fails the test when it did not start.
func get[T any](t testing.TB, s *Shared, o *once[T], start func(context.Context, *Cache, string) (T, error), stop func(T)) T {
	t.Helper()
	o.Do(func() {
		var cache *Cache
		var dir string
		if cache, o.err = DefaultCache(); o.err != nil {
			return
		}
		if dir, o.err = s.tempDir(); o.err != nil {
			return
		}
		if o.server, o.err = start(t.Context(), cache, dir); o.err != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stops = append(s.stops, func() { stop(o.server) })
	})
	if o.err != nil {
		t.Fatalf("testbed: %v", o.err)
	}
	return o.server
}

// tempDir makes a directory for one server. It does not come from testing.TB
// because another user must be able to enter it.
func (s *Shared) tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "edrwatch-testbed-")
	if err != nil {
		return "", fmt.Errorf("creating server directory: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs = append(s.dirs, dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("opening server directory: %w", err)
	}
	return dir, nil
}

// explain logs the end of the server's logs when the test fails.
func explain(t testing.TB, logTails func() []string) {
	t.Cleanup(func() {
		if t.Failed() {
			for _, tail := range logTails() {
				t.Log(tail)
			}
		}
	})
}
