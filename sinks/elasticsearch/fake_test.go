package elasticsearch

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

// fake is an Elasticsearch that is stricter than the real one: a request that
// is not exactly as it should be fails the test.
type fake struct {
	t      *testing.T
	server *httptest.Server
	done   chan struct{} // closed when the test ends, for answers that never come

	mu       sync.Mutex
	plan     sinktest.Plan
	respond  func(w http.ResponseWriter, r *http.Request, ids []string) bool // true: answered
	item     func(id string) string                                          // "": stored or duplicate
	stored   map[string][]byte
	order    []sinktest.Stored
	requests [][]string // ids of each bulk request
	auth     []string
	streams  map[string]int
	latest   latestIndexes
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, done: make(chan struct{}), stored: map[string][]byte{}, streams: map[string]int{}, latest: latestIndexes{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(func() {
		close(f.done)
		f.server.Close()
	})
	return f
}

// open returns a sink that writes to the fake.
func (f *fake) open(change func(*Config)) *Sink {
	cfg := DefaultConfig()
	cfg.URLs = []string{f.server.URL}
	cfg.RequestDocuments = 100
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, Settings{Name: "es", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (f *fake) Follow(plan sinktest.Plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = plan
}

func (f *fake) Contents() []sinktest.Stored {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.order)
}

func (f *fake) script(item func(id string) string, respond func(w http.ResponseWriter, r *http.Request, ids []string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.item, f.respond = item, respond
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	f.mu.Lock()
	f.auth = append(f.auth, r.Header.Get("Authorization"))
	respond := f.respond
	f.mu.Unlock()
	if r.URL.Path != "/_bulk" {
		if respond == nil || !respond(w, r, nil) {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	if r.URL.Query().Get("require_data_stream") == "" {
		f.serveLatest(w, r, respond)
		return
	}
	ids, bodies, streams := f.read(r, "create", map[string]string{
		"require_data_stream":     "true",
		"include_source_on_error": "false",
		"filter_path":             "errors,items.*.status,items.*.error,items.*.failure_store",
	})
	f.mu.Lock()
	f.requests = append(f.requests, ids)
	plan, item := f.plan, f.item
	f.mu.Unlock()
	if respond != nil && respond(w, r, ids) {
		return
	}
	answer, verdict := sinktest.Decide(plan, ids)
	switch answer {
	case sinktest.Unavailable:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case sinktest.Silent:
		select {
		case <-r.Context().Done():
		case <-f.done:
		}
		return
	}
	body := f.store(ids, bodies, streams, verdict, item)
	if answer == sinktest.Truncated {
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body)
}

// read checks the request to the letter: all that it asks for, and nothing else.
// Of actions with versions the ids are followed by "@" and the version.
func (f *fake) read(r *http.Request, verb string, parameters map[string]string) (ids []string, bodies [][]byte, indices []string) {
	query := r.URL.Query()
	if len(query) != len(parameters) {
		f.t.Errorf("query %s, want the parameters %v", r.URL.RawQuery, parameters)
	}
	for name, want := range parameters {
		if query.Get(name) != want {
			f.t.Errorf("query parameter %s = %q, want %q", name, query.Get(name), want)
		}
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-ndjson" {
		f.t.Errorf("%s with Content-Type %q, want POST with application/x-ndjson", r.Method, r.Header.Get("Content-Type"))
	}
	var reader io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if reader, err = gzip.NewReader(r.Body); err != nil {
			f.t.Errorf("the body is not gzip: %v", err)
			return nil, nil, nil
		}
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		return nil, nil, nil // the client went away
	}
	if !bytes.HasSuffix(body, []byte("\n")) {
		f.t.Errorf("the body does not end with a newline: %q", body)
	}
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	if len(lines)%2 != 0 {
		f.t.Errorf("the body has %d lines, want an even number", len(lines))
		return nil, nil, nil
	}
	for i := 0; i < len(lines); i += 2 {
		var actions map[string]struct {
			Index       string `json:"_index"`
			ID          string `json:"_id"`
			VersionType string `json:"version_type"`
			Version     int64  `json:"version"`
		}
		dec := json.NewDecoder(bytes.NewReader(lines[i]))
		dec.DisallowUnknownFields()
		err := dec.Decode(&actions)
		action, ok := actions[verb]
		if versioned := action.VersionType == "external" && action.Version > 0; err != nil || !ok || len(actions) != 1 || action.ID == "" || versioned != (verb == "index") {
			f.t.Errorf("action %s: %v", lines[i], err)
			continue
		}
		if bytes.Contains(lines[i+1], []byte("##")) {
			f.t.Errorf("document %s was read after Write had returned", action.ID)
		}
		if !json.Valid(lines[i+1]) {
			f.t.Errorf("document %s is not JSON: %s", action.ID, lines[i+1])
		}
		if verb == "index" {
			action.ID += fmt.Sprint("@", action.Version)
		}
		ids = append(ids, action.ID)
		bodies = append(bodies, lines[i+1])
		indices = append(indices, action.Index)
	}
	return ids, bodies, indices
}

// store keeps documents and returns the answer.
func (f *fake) store(ids []string, bodies [][]byte, streams []string, verdict func(string) sinktest.Verdict, item func(string) string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	items := make([]string, len(ids))
	for i, id := range ids {
		if item != nil {
			items[i] = item(id)
		}
		switch {
		case items[i] != "":
		case verdict(id) == sinktest.Refuse:
			items[i] = errorItem(400, "document_parsing_exception", "failed to parse field [x]")
		case verdict(id) == sinktest.Later:
			items[i] = errorItem(429, "es_rejected_execution_exception", "rejected execution of coordinating operation")
		case f.stored[id] != nil:
			items[i] = errorItem(409, "version_conflict_engine_exception", "["+id+"]: version conflict, document already exists")
		default:
			f.stored[id] = bodies[i]
			f.order = append(f.order, sinktest.Stored{ID: id, Body: bodies[i]})
			f.streams[streams[i]]++
			items[i] = `{"create":{"status":201}}`
		}
	}
	failed := slices.ContainsFunc(items, func(s string) bool { return strings.Contains(s, `"error"`) })
	return fmt.Appendf(nil, `{"errors":%v,"items":[%s]}`, failed, strings.Join(items, ","))
}

func errorItem(status int, typ, reason string) string {
	return fmt.Sprintf(`{"create":{"status":%d,"error":{"type":%q,"reason":%q}}}`, status, typ, reason)
}

func (f *fake) bulkRequests() [][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// write writes n documents and returns their results.
func write(t *testing.T, s *Sink, n int) ([]event.Result, error) {
	results := make([]event.Result, n)
	err := s.Write(t.Context(), sinktest.Documents("doc", n, 20), results)
	return results, err
}
