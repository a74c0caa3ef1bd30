package splunk

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

const token = "11111111-2222-3333-4444-canary000000"

// hecEvent is one event as the collector reads it.
type hecEvent struct {
	Time       json.Number     `json:"time"`
	Host       string          `json:"host"`
	Source     string          `json:"source"`
	SourceType string          `json:"sourcetype"`
	Index      string          `json:"index"`
	Event      json.RawMessage `json:"event"`
	Fields     struct {
		EventID string `json:"event_id"`
	} `json:"fields"`
}

// fake is a collector that is stricter than the real one: a request that is
// not exactly as it should be fails the test.
type fake struct {
	t      *testing.T
	server *httptest.Server
	done   chan struct{} // closed when the test ends, for answers that never come

	mu       sync.Mutex
	plan     sinktest.Plan
	respond  func(w http.ResponseWriter, r *http.Request, events []hecEvent) bool // true: answered
	ack      func(poll int, id int) bool                                          // nil: the token does not acknowledge
	noAckIDs bool
	stored   []sinktest.Stored
	events   []hecEvent
	requests int
	polls    int
	ackIDs   int
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, done: make(chan struct{})}
	f.server = httptest.NewServer(f)
	t.Cleanup(func() {
		close(f.done)
		f.server.Close()
	})
	return f
}

func (f *fake) open(change func(*Config)) *Sink {
	cfg := DefaultConfig()
	cfg.URLs = []string{f.server.URL}
	cfg.Token = secret.New(token)
	cfg.Ack.Interval = time.Millisecond
	cfg.RequestBytes = 64 << 10
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, Settings{Name: "splunk", Logger: slog.New(slog.DiscardHandler)})
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
	return slices.Clone(f.stored)
}

func (f *fake) script(respond func(w http.ResponseWriter, r *http.Request, events []hecEvent) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.respond = respond
}

func (f *fake) counts() (requests, polls int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests, f.polls
}

// say answers as the collector does.
func say(w http.ResponseWriter, status, code int, text string, more ...string) bool {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"text":%q,"code":%d%s}`, text, code, strings.Join(more, ""))
	return true
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if got := r.Header.Get("Authorization"); got != "Splunk "+token && !strings.Contains(got, "rotated") {
		f.t.Errorf("Authorization is %q", got)
	}
	switch r.URL.Path {
	case "/services/collector/health":
		say(w, 200, 17, "HEC is healthy")
	case "/services/collector/event":
		f.serveEvents(w, r)
	case "/services/collector/ack":
		f.serveAcks(w, r)
	default:
		f.t.Errorf("request to %s", r.URL.Path)
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *fake) serveEvents(w http.ResponseWriter, r *http.Request) {
	events := f.read(r)
	f.mu.Lock()
	f.requests++
	plan, respond, acks := f.plan, f.respond, f.ack != nil
	f.mu.Unlock()
	if acks && r.Header.Get("X-Splunk-Request-Channel") == "" {
		say(w, 400, 10, "Data channel is missing")
		return
	}
	if respond != nil && respond(w, r, events) {
		return
	}
	if len(events) == 0 {
		say(w, 400, 5, "No data")
		return
	}
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.Fields.EventID
	}
	answer, verdict := sinktest.Decide(plan, ids)
	switch answer {
	case sinktest.Unavailable:
		say(w, 503, 9, "Server is busy")
		return
	case sinktest.Silent:
		select {
		case <-r.Context().Done():
		case <-f.done:
		}
		return
	}
	for i, id := range ids {
		if verdict(id) == sinktest.Refuse {
			say(w, 400, 6, "Invalid data format", fmt.Sprintf(`,"invalid-event-number":%d`, i))
			return
		}
	}
	f.accept(w, events, answer == sinktest.Truncated)
}

// accept stores events and says so.
func (f *fake) accept(w http.ResponseWriter, events []hecEvent, truncated bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		f.stored = append(f.stored, sinktest.Stored{ID: e.Fields.EventID, Body: e.Event})
		f.events = append(f.events, e)
	}
	body := `{"text":"Success","code":0}`
	if f.ack != nil && !f.noAckIDs {
		body = fmt.Sprintf(`{"text":"Success","code":0,"ackId":%d}`, f.ackIDs)
		f.ackIDs++
	}
	if truncated {
		body = body[:len(body)/2]
	}
	_, _ = w.Write([]byte(body))
}

func (f *fake) serveAcks(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ack == nil {
		say(w, 400, 14, "ACK is disabled")
		return
	}
	if r.URL.Query().Get("channel") == "" {
		f.t.Error("the question for acknowledgements names no channel")
	}
	var question struct{ Acks []int }
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil || len(question.Acks) == 0 {
		f.t.Errorf("question for acknowledgements: %v", err)
	}
	acks := map[string]bool{}
	for _, id := range question.Acks {
		acks[fmt.Sprint(id)] = f.ack(f.polls, id)
	}
	f.polls++
	_ = json.NewEncoder(w).Encode(map[string]any{"acks": acks})
}

// read checks the request to the letter.
func (f *fake) read(r *http.Request) []hecEvent {
	var reader io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if reader, err = gzip.NewReader(r.Body); err != nil {
			f.t.Errorf("the body is not gzip: %v", err)
			return nil
		}
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		return nil // the client went away
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var events []hecEvent
	for {
		var e hecEvent
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return events
		} else if err != nil {
			f.t.Errorf("event %d: %v in %q", len(events), err, body)
			return nil
		}
		if strings.ContainsAny(e.Time.String(), "eE") || !strings.Contains(e.Time.String(), ".") {
			f.t.Errorf("time is %s, want seconds with decimals", e.Time)
		}
		if bytes.Contains(e.Event, []byte("##")) {
			f.t.Errorf("event %s was read after Write had returned", e.Fields.EventID)
		}
		if e.Fields.EventID == "" || e.Source != "edrwatch" || len(e.Event) == 0 || e.Event[0] != '{' {
			f.t.Errorf("event is %+v", e)
		}
		events = append(events, e)
	}
}

// writeN writes n documents and returns their results.
func writeN(t *testing.T, s *Sink, n int) ([]event.Result, error) {
	results := make([]event.Result, n)
	err := s.Write(t.Context(), sinktest.Documents("doc", n, 20), results)
	return results, err
}
