package splunk

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	traits := sinktest.Traits{Scripted: true, Refuses: true}
	for name, change := range map[string]func(*Config){
		"gzip":  nil,
		"plain": func(c *Config) { c.Gzip = false },
		"ack":   func(c *Config) { c.Ack.Enabled = true },
	} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, traits, func(t *testing.T) (sinktest.Sink, sinktest.Destination) {
				f := newFake(t)
				if name == "ack" {
					f.ack = func(poll, id int) bool { return (poll+id)%3 == 0 }
				}
				return f.open(change), f
			})
		})
	}
}

func TestStatuses(t *testing.T) {
	sinktest.Statuses(t, []sinktest.Status{
		{Code: 301, Class: fault.Operator, Reason: fault.Misconfigured},
		{Code: 401, Class: fault.Operator, Reason: fault.Unauthorized},
		{Code: 403, Class: fault.Operator, Reason: fault.Unauthorized},
		{Code: 404, Class: fault.Operator, Reason: fault.Misconfigured},
		{Code: 429, Class: fault.Transient, Reason: fault.Overloaded},
		{Code: 500, Class: fault.Transient, Reason: fault.Unavailable},
		{Code: 502, Class: fault.Transient, Reason: fault.Unavailable},
		{Code: 503, Class: fault.Transient, Reason: fault.Unavailable},
		{Code: 504, Class: fault.Transient, Reason: fault.Unavailable},
		{Code: 200, Class: fault.Transient, Reason: fault.Garbled},
	}, func(t *testing.T, code int) error {
		f := newFake(t)
		f.script(func(w http.ResponseWriter, _ *http.Request, _ []hecEvent) bool {
			w.WriteHeader(code)
			_, _ = w.Write([]byte("<html>proxy</html>"))
			return true
		})
		results, err := writeN(t, f.open(nil), 3)
		for i, r := range results {
			if r.Outcome != event.Pending {
				t.Errorf("document %d is %v, want pending", i, r.Outcome)
			}
		}
		return err
	})
}

// TestCodes is the decision table of the collector's codes for a request of
// one event.
func TestCodes(t *testing.T) {
	type want struct {
		outcome event.Outcome
		class   fault.Class
		reason  fault.Reason
		hint    string
	}
	pending := func(class fault.Class, reason fault.Reason, hint string) want {
		return want{event.Pending, class, reason, hint}
	}
	refused := want{event.Refused, fault.Permanent, fault.Rejected, ""}
	for _, test := range []struct {
		status, code int
		text         string
		want         want
	}{
		{200, 0, "Success", want{outcome: event.Indexed}},
		{403, 1, "Token disabled", pending(fault.Operator, fault.Unauthorized, "enable the token")},
		{401, 2, "Token is required", pending(fault.Operator, fault.Unauthorized, "proxy")},
		{401, 3, "Invalid authorization", pending(fault.Operator, fault.Unauthorized, "proxy")},
		{403, 4, "Invalid token", pending(fault.Operator, fault.Unauthorized, "replace the token")},
		{400, 5, "No data", pending(fault.Transient, fault.Garbled, "")},
		{400, 6, "Invalid data format", refused},
		{400, 7, "Incorrect index", pending(fault.Operator, fault.Misconfigured, "fallback_index")},
		{500, 8, "Internal server error", pending(fault.Transient, fault.Unavailable, "")},
		{503, 9, "Server is busy", pending(fault.Transient, fault.Overloaded, "")},
		{400, 10, "Data channel is missing", pending(fault.Operator, fault.Misconfigured, "ack.enabled")},
		{400, 11, "Invalid data channel", pending(fault.Operator, fault.Misconfigured, "ack.enabled")},
		{400, 12, "Event field is required", refused},
		{400, 13, "Event field cannot be blank", refused},
		{400, 14, "ACK is disabled", pending(fault.Operator, fault.Misconfigured, "ack.enabled")},
		{400, 15, "Error in handling indexed fields", refused},
		{400, 16, "Query string authorization is not enabled", pending(fault.Operator, fault.Misconfigured, "Authorization")},
		{503, 18, "HEC is unhealthy, queues are full", pending(fault.Transient, fault.Unavailable, "")},
		{503, 19, "HEC is unhealthy, ack service unavailable", pending(fault.Transient, fault.Unavailable, "")},
		{503, 20, "HEC is unhealthy, queues are full, ack service unavailable", pending(fault.Transient, fault.Unavailable, "")},
		{503, 23, "Server is shutting down", pending(fault.Transient, fault.Unavailable, "")},
		{200, 24, "Queue is approaching capacity", want{outcome: event.Indexed}},
		{200, 25, "ACK is approaching capacity", want{outcome: event.Indexed}},
		{429, 26, "Queue at capacity", pending(fault.Transient, fault.Overloaded, "")},
		{429, 27, "ACK channel at capacity", pending(fault.Transient, fault.Overloaded, "")},
		{400, 99, "a code of the future", refused},
		{500, 99, "a code of the future", pending(fault.Transient, fault.Unavailable, "")},
		{200, 99, "a code of the future", pending(fault.Transient, fault.Garbled, "")},
	} {
		t.Run(fmt.Sprintf("HTTP %d code %d", test.status, test.code), func(t *testing.T) {
			f := newFake(t)
			f.script(func(w http.ResponseWriter, _ *http.Request, _ []hecEvent) bool {
				return say(w, test.status, test.code, test.text)
			})
			s := f.open(func(c *Config) { c.Concurrency = 8 })
			results, err := writeN(t, s, 1)
			got := results[0]
			if got.Outcome != test.want.outcome {
				t.Fatalf("outcome %v (%v, %v), want %v", got.Outcome, got.Err, err, test.want.outcome)
			}
			if (err != nil) != (got.Outcome == event.Pending) {
				t.Errorf("Write returned %v", err)
			}
			if requests, _ := f.counts(); requests != 1 {
				t.Errorf("%d requests were sent, want 1", requests)
			}
			slow := test.code >= 24 && test.code <= 27 || test.code == 9
			if w := s.limiter.Window(); slow != (w == 4) {
				t.Errorf("requests in flight are limited to %d", w)
			}
			if got.Outcome == event.Indexed {
				return
			}
			if got.Outcome == event.Pending {
				got.Err = err
			}
			c := fault.Of(got.Err)
			if c.Class != test.want.class || c.Reason != test.want.reason || !strings.Contains(c.Hint, test.want.hint) {
				t.Errorf("failure %v (%v, %s), want %+v", got.Err, c.Class, c.Reason, test.want)
			}
			if !strings.Contains(c.Error(), test.text) {
				t.Errorf("failure %v does not say %q", got.Err, test.text)
			}
		})
	}
}

// TestCutOut: exactly the bad events are refused, the others are stored once.
func TestCutOut(t *testing.T) {
	const n = 30
	for name, bad := range map[string][]int{"first": {0}, "middle": {14}, "last": {n - 1}, "several": {0, 7, 8, n - 1}} {
		for _, code := range []int{6, 12, 13, 15} {
			t.Run(fmt.Sprintf("%s, code %d", name, code), func(t *testing.T) {
				f := newFake(t)
				isBad := map[string]bool{}
				for _, i := range bad {
					isBad[fmt.Sprintf("doc-%d", i)] = true
				}
				f.script(func(w http.ResponseWriter, _ *http.Request, events []hecEvent) bool {
					for i, e := range events {
						if isBad[e.Fields.EventID] {
							return say(w, 400, code, "Invalid", fmt.Sprintf(`,"invalid-event-number":%d`, i))
						}
					}
					return false
				})
				results, err := writeN(t, f.open(nil), n)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range results {
					if (r.Outcome == event.Refused) != isBad[fmt.Sprintf("doc-%d", i)] {
						t.Errorf("document %d is %v", i, r.Outcome)
					}
				}
				if got := len(f.Contents()); got != n-len(bad) {
					t.Errorf("%d events were stored, want %d", got, n-len(bad))
				}
				if requests, _ := f.counts(); requests != len(bad)+1 {
					t.Errorf("%d requests were sent, want %d", requests, len(bad)+1)
				}
			})
		}
	}
}

// TestUnnamedBadEvent: without a usable number the request is halved.
func TestUnnamedBadEvent(t *testing.T) {
	for name, number := range map[string]string{"no number": "", "beyond the end": `,"invalid-event-number":30`, "negative": `,"invalid-event-number":-1`} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.script(func(w http.ResponseWriter, _ *http.Request, events []hecEvent) bool {
				for _, e := range events {
					if e.Fields.EventID == "doc-17" {
						return say(w, 400, 6, "Invalid data format", number)
					}
				}
				return false
			})
			results, err := writeN(t, f.open(nil), 30)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				if (r.Outcome == event.Refused) != (i == 17) {
					t.Errorf("document %d is %v", i, r.Outcome)
				}
			}
		})
	}
}

// TestIncorrectIndex: the number that comes with code 7 is not believed; all
// events of that index, and only they, go to the fallback.
func TestIncorrectIndex(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request, events []hecEvent) bool {
		for i, e := range events {
			if e.Index == "absent" {
				return say(w, 400, 7, "Incorrect index", fmt.Sprintf(`,"invalid-event-number":%d`, i+1))
			}
		}
		return false
	}
	f := newFake(t)
	f.script(refuse)
	settings := func(c *Config) {
		c.Index, c.Indexes, c.FallbackIndex = "main", map[string]string{"alerts": "absent"}, "spare"
	}
	results, err := writeN(t, f.open(settings), 16)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Outcome != event.Indexed {
			t.Errorf("document %d is %v", i, r.Outcome)
		}
	}
	for _, e := range f.events {
		if want := map[bool]string{true: "spare", false: "main"}[e.SourceType == "edrwatch:alert"]; e.Index != want {
			t.Errorf("an event of type %s is in index %s, want %s", e.SourceType, e.Index, want)
		}
	}

	f = newFake(t)
	f.script(refuse)
	results, err = writeN(t, f.open(func(c *Config) { settings(c); c.FallbackIndex = "absent" }), 16)
	if got := fault.Of(err); got == nil || got.Class != fault.Operator {
		t.Errorf("Write returned %v, want an operator's fault", err)
	}
	for i, r := range results {
		if want := map[bool]event.Outcome{true: event.Pending, false: event.Indexed}[i%4 == 2]; r.Outcome != want {
			t.Errorf("document %d is %v, want %v", i, r.Outcome, want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	f := newFake(t)
	f.script(func(w http.ResponseWriter, _ *http.Request, events []hecEvent) bool {
		for _, e := range events {
			if e.Fields.EventID == "doc-5" {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return true
			}
		}
		return false
	})
	results, err := writeN(t, f.open(nil), 64)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if (r.Outcome == event.Refused) != (i == 5) {
			t.Errorf("document %d is %v", i, r.Outcome)
		}
	}
	if got := fault.Of(results[5].Err).Reason; got != fault.TooLarge {
		t.Errorf("the large document is refused as %s", got)
	}
}

func TestEvent(t *testing.T) {
	f := newFake(t)
	s := f.open(func(c *Config) { c.Index = "edr" })
	docs := sinktest.Documents("doc", 1, 0)
	docs[0].Time, docs[0].Host = 1721361600007_999_999, `host "1"`
	if err := s.Write(t.Context(), docs, make([]event.Result, 1)); err != nil {
		t.Fatal(err)
	}
	e := f.events[0]
	if e.Time != "1721361600.007" || e.Host != `host "1"` || e.SourceType != "edrwatch:telemetry" || e.Index != "edr" {
		t.Errorf("event %+v", e)
	}
}

// TestRequestLimit: requests stay within the limit, which needs an estimate
// that is never too low; an event that alone is above it is sent alone.
func TestRequestLimit(t *testing.T) {
	f := newFake(t)
	s := f.open(func(c *Config) { c.RequestBytes, c.Gzip, c.Index = 6_000, false, "edr" })
	f.script(func(_ http.ResponseWriter, r *http.Request, events []hecEvent) bool {
		if len(events) > 1 && r.ContentLength > 6_000 {
			t.Errorf("a request has %d events in %d bytes", len(events), r.ContentLength)
		}
		return false
	})
	docs := append(sinktest.Documents("small", 100, 0), sinktest.Documents("large", 1, 20_000)...)
	for _, d := range docs {
		d.Host = strings.Repeat(`"`, 30)
	}
	if err := s.Write(t.Context(), docs, make([]event.Result, len(docs))); err != nil {
		t.Fatal(err)
	}
	if got := len(f.Contents()); got != len(docs) {
		t.Errorf("%d events are stored, want %d", got, len(docs))
	}
	for _, d := range docs {
		d.ID, d.Host = strings.Repeat("\x01", 9), strings.Repeat("\x01", 50)
		if line := s.encoder.appendEvent(nil, d, "edr"); len(line) > s.encoder.cost(d, "edr") {
			t.Fatalf("an event of %d bytes was estimated at %d", len(line), s.encoder.cost(d, "edr"))
		}
	}
}

func TestAcknowledgement(t *testing.T) {
	enabled := func(c *Config) { c.Ack.Enabled = true }
	t.Run("late", func(t *testing.T) {
		f := newFake(t)
		f.ack = func(poll, _ int) bool { return poll >= 3 }
		results, err := writeN(t, f.open(enabled), 5)
		if err != nil || results[4].Outcome != event.Indexed {
			t.Errorf("Write returned %v, document %v", err, results[4].Outcome)
		}
		if _, polls := f.counts(); polls != 4 {
			t.Errorf("asked %d times, want 4", polls)
		}
	})
	t.Run("never", func(t *testing.T) {
		f := newFake(t)
		f.ack = func(int, int) bool { return false }
		results, err := writeN(t, f.open(func(c *Config) { enabled(c); c.Ack.GiveUp = 30 * time.Millisecond }), 5)
		if got := fault.Of(err); got == nil || got.Class != fault.Transient || results[0].Outcome != event.Pending {
			t.Errorf("Write returned %v, document %v; want transient, pending", err, results[0].Outcome)
		}
	})
	t.Run("disabled in the token", func(t *testing.T) {
		for _, withID := range []bool{true, false} {
			f := newFake(t)
			if withID {
				f.script(func(w http.ResponseWriter, _ *http.Request, _ []hecEvent) bool {
					return say(w, 200, 0, "Success", `,"ackId":0`) // and then /ack says 14
				})
			}
			s := f.open(enabled)
			for range 2 {
				if results, err := writeN(t, s, 2); err != nil || results[1].Outcome != event.Indexed {
					t.Errorf("Write returned %v, document %v", err, results[1].Outcome)
				}
			}
			results, err := writeN(t, f.open(func(c *Config) { enabled(c); c.Ack.Required = true }), 2)
			if got := fault.Of(err); got == nil || got.Class != fault.Operator || results[0].Outcome != event.Pending {
				t.Errorf("with ack.required Write returned %v, document %v", err, results[0].Outcome)
			}
		}
	})
	t.Run("garbled", func(t *testing.T) {
		f := newFake(t)
		f.ack = func(int, int) bool { return false }
		f.script(func(w http.ResponseWriter, _ *http.Request, _ []hecEvent) bool {
			return say(w, 200, 0, "Success", `,"ackId":"zero"`)
		})
		_, err := writeN(t, f.open(enabled), 2)
		if got := fault.Of(err); got == nil || got.Reason != fault.Garbled {
			t.Errorf("Write returned %v, want garbled", err)
		}
	})
}

func TestFailOver(t *testing.T) {
	busy := newFake(t)
	busy.script(func(w http.ResponseWriter, _ *http.Request, _ []hecEvent) bool {
		return say(w, 503, 9, "Server is busy")
	})
	gone := httptest.NewServer(nil)
	gone.Close()
	f := newFake(t)
	s := f.open(func(c *Config) { c.URLs = []string{busy.server.URL, gone.URL, f.server.URL} })
	for range 3 {
		if _, err := writeN(t, s, 4); err != nil {
			t.Errorf("one collector of three takes events, but Write returned %v", err)
		}
	}
	if requests, _ := busy.counts(); requests != 1 {
		t.Errorf("the busy collector was asked %d times, want 1", requests)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func TestRotatedToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	from, err := secret.FromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	f.script(func(w http.ResponseWriter, r *http.Request, _ []hecEvent) bool {
		return r.Header.Get("Authorization") != "Splunk rotated" && say(w, 403, 4, "Invalid token")
	})
	s := f.open(func(c *Config) { c.Token = from })
	if err := os.WriteFile(file, []byte("rotated"), 0o600); err != nil {
		t.Fatal(err)
	}
	results, err := writeN(t, s, 1)
	if got := fault.Of(err); got == nil || got.Class != fault.Operator || results[0].Outcome != event.Pending || strings.Contains(err.Error(), "canary") {
		t.Errorf("the first write returned %v, document %v", err, results[0].Outcome)
	}
	if _, err := writeN(t, s, 1); err != nil {
		t.Errorf("the write after the rotation returned %v", err)
	}
}

func TestCheck(t *testing.T) {
	f := newFake(t)
	s := f.open(nil)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check of a collector that works: %v", err)
	}
	if len(f.Contents()) != 0 {
		t.Error("Check wrote something")
	}
	f.script(func(w http.ResponseWriter, _ *http.Request, _ []hecEvent) bool {
		return say(w, 403, 4, "Invalid token")
	})
	if got := fault.Of(s.Check(t.Context())); got == nil || got.Reason != fault.Unauthorized {
		t.Errorf("Check with a wrong token: %v", got)
	}
	f.server.Close()
	if got := fault.Of(s.Check(t.Context())); got == nil || got.Class != fault.Transient {
		t.Errorf("Check without a collector: %v", got)
	}
}

func TestConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"valid":          {func(*Config) {}, ""},
		"no token":       {func(c *Config) { c.Token = secret.String{} }, "token: expected"},
		"no address":     {func(c *Config) { c.URLs = nil }, "urls: no address"},
		"unknown stream": {func(c *Config) { c.Indexes = map[string]string{"alert": "x"} }, `found "alert"`},
		"no ack pause":   {func(c *Config) { c.Ack.Interval = 0 }, "ack.interval"},
	} {
		cfg := DefaultConfig()
		cfg.Token = secret.New(token)
		test.change(&cfg)
		err := cfg.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
