package elasticsearch

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	traits := sinktest.Traits{Scripted: true, Refuses: true, Defers: true, Idempotent: true}
	for _, gzip := range []bool{true, false} {
		t.Run(fmt.Sprintf("gzip %v", gzip), func(t *testing.T) {
			sinktest.Run(t, traits, func(t *testing.T) (sinktest.Sink, sinktest.Destination) {
				f := newFake(t)
				return f.open(func(c *Config) { c.Gzip = gzip }), f
			})
		})
	}
}

func TestStatuses(t *testing.T) {
	sinktest.Statuses(t, []sinktest.Status{
		{Code: 401, Class: fault.Operator, Reason: fault.Unauthorized},
		{Code: 403, Class: fault.Operator, Reason: fault.Unauthorized},
		{Code: 404, Class: fault.Operator, Reason: fault.Misconfigured},
		{Code: 405, Class: fault.Operator, Reason: fault.Misconfigured},
		{Code: 301, Class: fault.Operator, Reason: fault.Misconfigured},
		{Code: 408, Class: fault.Transient, Reason: fault.Unavailable},
		{Code: 429, Class: fault.Transient, Reason: fault.Overloaded},
		{Code: 500, Class: fault.Transient, Reason: fault.Unavailable},
		{Code: 502, Class: fault.Transient, Reason: fault.Unavailable},
		{Code: 503, Class: fault.Transient, Reason: fault.Unavailable},
		{Code: 504, Class: fault.Transient, Reason: fault.Unavailable},
	}, func(t *testing.T, code int) error {
		f := newFake(t)
		f.script(nil, func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
			w.WriteHeader(code)
			return true
		})
		results, err := write(t, f.open(nil), 3)
		for i, r := range results {
			if r.Outcome != event.Pending {
				t.Errorf("document %d is %v, want pending", i, r.Outcome)
			}
		}
		return err
	})
}

// TestItems is the decision table for one document of a bulk request.
func TestItems(t *testing.T) {
	pending, refused := event.Pending, event.Refused
	for _, test := range []struct {
		name, item string
		outcome    event.Outcome
		class      fault.Class // of the error, unless the outcome has none
		reason     fault.Reason
		hint       string
	}{
		{"created", `{"create":{"status":201}}`, event.Indexed, 0, "", ""},
		{"created with source of truth", `{"create":{"status":201,"failure_store":"not_applicable_or_unknown"}}`, event.Indexed, 0, "", ""},
		{"failure store took it", `{"create":{"status":201,"failure_store":"used"}}`, event.Quarantined, 0, "", ""},
		{"failure store took it, with an error", `{"create":{"status":400,"failure_store":"used","error":{"type":"document_parsing_exception","reason":"r"}}}`, event.Quarantined, 0, "", ""},
		{"success but kept nowhere", `{"create":{"status":201,"failure_store":"failed"}}`, refused, fault.Permanent, fault.Rejected, ""},
		{"failure store failed too", `{"create":{"status":400,"failure_store":"failed","error":{"type":"document_parsing_exception","reason":"r"}}}`, refused, fault.Permanent, fault.MappingRejected, ""},
		{"there already", errorItem(409, "version_conflict_engine_exception", "version conflict, document already exists"), event.Duplicate, 0, "", ""},
		{"queue full", errorItem(429, "es_rejected_execution_exception", "rejected"), pending, fault.Transient, fault.Overloaded, ""},
		{"queue full as 503", errorItem(503, "es_rejected_execution_exception", "rejected"), pending, fault.Transient, fault.Overloaded, ""},
		{"breaker", errorItem(429, "circuit_breaking_exception", "data too large"), pending, fault.Transient, fault.Overloaded, ""},
		{"no shard", errorItem(503, "unavailable_shards_exception", "primary shard is not active"), pending, fault.Transient, fault.Unavailable, ""},
		{"internal", errorItem(500, "exception", "boom"), pending, fault.Transient, fault.Unavailable, ""},
		{"mapping", errorItem(400, "document_parsing_exception", "failed to parse field [host.ip] of type [ip]"), refused, fault.Permanent, fault.MappingRejected, ""},
		{"older mapping", errorItem(400, "mapper_parsing_exception", "failed to parse"), refused, fault.Permanent, fault.MappingRejected, ""},
		{"strict mapping", errorItem(400, "strict_dynamic_mapping_exception", "introduction of [x]"), refused, fault.Permanent, fault.MappingRejected, ""},
		{"too many fields", errorItem(400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded"), refused, fault.Permanent, fault.MappingRejected, ""},
		{"time out of range", errorItem(400, "timestamp_error", "the document timestamp is outside of ranges"), refused, fault.Permanent, fault.Rejected, ""},
		{"other complaint", errorItem(400, "illegal_argument_exception", "immense term"), refused, fault.Permanent, fault.Rejected, ""},
		{"no stream", errorItem(404, "index_not_found_exception", "no such index and [require_data_stream] request flag is [true]"), pending, fault.Operator, fault.Misconfigured, "edrwatch setup elasticsearch"},
		{"closed", errorItem(400, "index_closed_exception", "closed"), pending, fault.Operator, fault.Misconfigured, "administrator"},
		{"shards used up", errorItem(400, "validation_exception", "Validation Failed: 1: this action would add [2] shards"), pending, fault.Operator, fault.Misconfigured, "administrator"},
		{"disk full", errorItem(403, "cluster_block_exception", "index blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"), pending, fault.Transient, fault.Unavailable, "disk"},
		{"disk full as 429", errorItem(429, "cluster_block_exception", "index blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"), pending, fault.Transient, fault.Unavailable, "disk"},
		{
			"privilege missing", errorItem(403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized for API key id [k] of user [u] on indices [logs-edr.alerts-default], this action is granted by the index privileges [create_doc,create,delete,index,write,all]"),
			pending, fault.Operator, fault.Unauthorized, "one of the index privileges [create_doc,create,delete,index,write,all]",
		},
		{"document too large", errorItem(413, "too_large", "document"), refused, fault.Permanent, fault.TooLarge, ""},
		{"error without a body", `{"create":{"status":503}}`, pending, fault.Transient, fault.Unavailable, ""},
		{"error as text", `{"create":{"status":400,"error":"something"}}`, refused, fault.Permanent, fault.Rejected, ""},
		{"status of nothing", `{"create":{"status":302}}`, pending, fault.Transient, fault.Garbled, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			f.script(func(id string) string {
				if id == "doc-1" {
					return test.item
				}
				return ""
			}, nil)
			results, err := write(t, f.open(nil), 3)
			if results[0].Outcome != event.Indexed || results[2].Outcome != event.Indexed {
				t.Errorf("the neighbours are %v and %v, want indexed", results[0].Outcome, results[2].Outcome)
			}
			got := results[1]
			if got.Outcome != test.outcome {
				t.Fatalf("outcome %v (%v), want %v", got.Outcome, got.Err, test.outcome)
			}
			if (err != nil) != (test.outcome == pending) {
				t.Errorf("Write returned %v", err)
			}
			if test.reason == "" {
				return
			}
			if got.Outcome == pending {
				got.Err = err
			}
			if c := fault.Of(got.Err); c == nil || c.Class != test.class || c.Reason != test.reason || !strings.Contains(c.Hint, test.hint) {
				t.Errorf("failure %v, want %v, %s with hint %q", got.Err, test.class, test.reason, test.hint)
			}
		})
	}
}

// TestMixedItems: the operator's fault wins, others keep their own class.
func TestMixedItems(t *testing.T) {
	f := newFake(t)
	f.script(func(id string) string {
		return map[string]string{
			"doc-1": errorItem(409, "version_conflict_engine_exception", "exists"),
			"doc-2": errorItem(429, "es_rejected_execution_exception", "rejected"),
			"doc-3": errorItem(400, "document_parsing_exception", "bad"),
			"doc-4": errorItem(503, "unavailable_shards_exception", "no"),
			"doc-5": errorItem(404, "index_not_found_exception", "no such index"),
		}[id]
	}, nil)
	results, err := write(t, f.open(nil), 7)
	want := []event.Outcome{event.Indexed, event.Duplicate, event.Pending, event.Refused, event.Pending, event.Pending, event.Indexed}
	for i, r := range results {
		if r.Outcome != want[i] {
			t.Errorf("document %d is %v, want %v", i, r.Outcome, want[i])
		}
	}
	if got := fault.Of(err); got.Class != fault.Operator || !strings.Contains(got.Error(), "3 of 7 documents") {
		t.Errorf("Write returned %v", err)
	}
}

// TestGarbledAnswers: what cannot be understood says nothing about anything.
func TestGarbledAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"empty":           "",
		"HTML":            "<html><body>Welcome</body></html>",
		"cut off":         `{"errors":false,"items":[{"create":{"status":201}},{"create":{"sta`,
		"items missing":   `{"errors":false}`,
		"too few items":   `{"errors":false,"items":[{"create":{"status":201}}]}`,
		"too many items":  `{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}`,
		"another action":  `{"errors":false,"items":[{"create":{"status":201}},{"index":{"status":201}},{"create":{"status":201}}]}`,
		"no status":       `{"errors":false,"items":[{"create":{"status":201}},{"create":{}},{"create":{"status":201}}]}`,
		"errors missing":  `{"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}`,
		"something after": `{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]} x`,
		"a list":          `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.script(nil, func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
				_, _ = w.Write([]byte(body))
				return true
			})
			results, err := write(t, f.open(nil), 3)
			if got := fault.Of(err); got == nil || got.Class != fault.Transient || got.Reason != fault.Garbled {
				t.Errorf("Write returned %v, want transient, garbled", err)
			}
			for i, r := range results {
				if r.Outcome != event.Pending {
					t.Errorf("document %d is %v, want pending", i, r.Outcome)
				}
			}
		})
	}
}

func TestAnotherProduct(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) }))
	defer server.Close()
	f := newFake(t)
	s := f.open(func(c *Config) { c.URLs = []string{server.URL} })
	if _, err := write(t, s, 1); fault.Of(err) == nil || fault.Of(err).Class != fault.Transient {
		t.Errorf("Write returned %v, want transient", err)
	}
}

// TestTooLarge: one large document among many costs few requests.
func TestTooLarge(t *testing.T) {
	const n, large = 500, 333
	f := newFake(t)
	f.script(nil, func(w http.ResponseWriter, _ *http.Request, ids []string) bool {
		for _, id := range ids {
			if id == fmt.Sprintf("doc-%d", large) {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return true
			}
		}
		return false
	})
	results, err := write(t, f.open(func(c *Config) { c.RequestDocuments = n }), n)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if want := map[bool]event.Outcome{true: event.Refused, false: event.Indexed}[i == large]; r.Outcome != want {
			t.Errorf("document %d is %v, want %v", i, r.Outcome, want)
		}
	}
	if f := fault.Of(results[large].Err); f.Reason != fault.TooLarge || f.Class != fault.Permanent {
		t.Errorf("the large document: %v", results[large].Err)
	}
	if got := len(f.bulkRequests()); got > 1+2*9 {
		t.Errorf("%d requests were sent, want at most %d", got, 1+2*9)
	}
}

// TestWholeRequestRefused: a request that is refused with 400 is halved until
// the document that is to blame stands alone; a server that refuses everything
// does not cost a request for every document, nor all documents at once.
func TestWholeRequestRefused(t *testing.T) {
	refuse := func(w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":{"type":"illegal_argument_exception","reason":"malformed"},"status":400}`))
		return true
	}
	t.Run("one document", func(t *testing.T) {
		f := newFake(t)
		f.script(nil, func(w http.ResponseWriter, _ *http.Request, ids []string) bool {
			for _, id := range ids {
				if id == "doc-42" {
					return refuse(w)
				}
			}
			return false
		})
		results, err := write(t, f.open(nil), 100)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if want := map[bool]event.Outcome{true: event.Refused, false: event.Indexed}[i == 42]; r.Outcome != want {
				t.Errorf("document %d is %v, want %v", i, r.Outcome, want)
			}
		}
	})
	t.Run("every document", func(t *testing.T) {
		f := newFake(t)
		f.script(nil, func(w http.ResponseWriter, _ *http.Request, _ []string) bool { return refuse(w) })
		results, err := write(t, f.open(nil), 100)
		if got := fault.Of(err); got == nil || got.Class != fault.Transient || got.Reason != fault.Rejected {
			t.Errorf("Write returned %v, want a transient fault about what is undecided", err)
		}
		// Only a document that was refused alone is dead: the others may be good.
		refused := 0
		for i, r := range results {
			switch {
			case r.Outcome == event.Refused && fault.Of(r.Err).Reason == fault.Rejected:
				refused++
			case r.Outcome != event.Pending:
				t.Errorf("document %d is %v (%v), want refused or pending", i, r.Outcome, r.Err)
			}
		}
		if refused == 0 || refused > 28 {
			t.Errorf("%d documents were refused alone, want some, so that it ends, and few, so that a proxy does not empty the topic", refused)
		}
		if got := len(f.bulkRequests()); got > 60 {
			t.Errorf("%d requests were sent for 100 documents", got)
		}
	})
	t.Run("a parameter that the server does not know", func(t *testing.T) {
		f := newFake(t)
		f.script(nil, func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":{"type":"illegal_argument_exception","reason":"request [/_bulk] contains unrecognized parameter: [include_source_on_error]"},"status":400}`))
			return true
		})
		if results, err := write(t, f.open(nil), 2); fault.Of(err) == nil || fault.Of(err).Class != fault.Operator || results[0].Outcome != event.Pending {
			t.Errorf("Write returned %v, document %v; want an operator's fault, pending", err, results[0].Outcome)
		}
	})
}

// TestWholeBodies: an answer about the whole request is understood by its
// error, not by its status alone, and costs no document.
func TestWholeBodies(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		typ, cause string
		class      fault.Class
		reason     fault.Reason
		hint       string
	}{
		"disk full":         {403, "cluster_block_exception", "index blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]", fault.Transient, fault.Unavailable, "disk"},
		"no master":         {503, "cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/2/no master]", fault.Transient, fault.Unavailable, ""},
		"privilege missing": {403, "security_exception", "action [indices:data/write/bulk] is unauthorized, this action is granted by the index privileges [create_doc,write]", fault.Operator, fault.Unauthorized, "[create_doc,write]"},
		"key expired":       {401, "security_exception", "api key is expired", fault.Operator, fault.Unauthorized, "replace it"},
		"no stream":         {404, "index_not_found_exception", "no such index", fault.Operator, fault.Misconfigured, "setup"},
		"pressure":          {429, "es_rejected_execution_exception", "rejected execution of coordinating operation", fault.Transient, fault.Overloaded, ""},
		"breaker":           {429, "circuit_breaking_exception", "[parent] Data too large", fault.Transient, fault.Overloaded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.script(nil, func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
				w.WriteHeader(test.status)
				_, _ = fmt.Fprintf(w, `{"error":{"type":%q,"reason":%q},"status":%d}`, test.typ, test.cause, test.status)
				return true
			})
			results, err := write(t, f.open(nil), 2)
			got := fault.Of(err)
			if got == nil || got.Class != test.class || got.Reason != test.reason || !strings.Contains(got.Hint, test.hint) || results[1].Outcome != event.Pending {
				t.Errorf("Write returned %v, document %v; want %v, %s with hint %q, pending", err, results[1].Outcome, test.class, test.reason, test.hint)
			}
		})
	}
}

// TestRequestLimits: requests stay within both limits; a document that alone
// is above one is sent alone.
func TestRequestLimits(t *testing.T) {
	f := newFake(t)
	s := f.open(func(c *Config) { c.RequestBytes, c.RequestDocuments, c.Gzip = 8_000, 20, false })
	var largest atomic.Int64
	f.script(nil, func(_ http.ResponseWriter, r *http.Request, ids []string) bool {
		if len(ids) > 20 || len(ids) > 1 && r.ContentLength > 8_000 {
			t.Errorf("a request has %d documents in %d bytes", len(ids), r.ContentLength)
		}
		largest.Store(max(largest.Load(), r.ContentLength))
		return false
	})
	docs := append(sinktest.Documents("small", 100, 10), sinktest.Documents("large", 1, 20_000)...)
	docs = append(docs, sinktest.Documents("medium", 30, 1000)...)
	results := make([]event.Result, len(docs))
	if err := s.Write(t.Context(), docs, results); err != nil {
		t.Fatal(err)
	}
	if got := len(f.Contents()); got != len(docs) || largest.Load() < 20_000 {
		t.Errorf("%d documents are stored, want %d; the largest request had %d bytes", got, len(docs), largest.Load())
	}
}

func TestRetryAfterAndWindow(t *testing.T) {
	f := newFake(t)
	f.script(nil, func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	s := f.open(func(c *Config) { c.Concurrency = 8 })
	_, err := write(t, s, 1)
	if got := fault.Of(err); got.RetryAfter.Seconds() != 3 {
		t.Errorf("RetryAfter = %v, want 3s", got.RetryAfter)
	}
	if got := s.limiter.Window(); got != 4 {
		t.Errorf("requests in flight are limited to %d, want 4", got)
	}
}

// TestRotatedCredentials: a refused key is read from its file again and the
// next attempt uses the new one; nothing is dropped and the key never shows.
func TestRotatedCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("canary-old"), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := secret.FromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	f.script(nil, func(w http.ResponseWriter, r *http.Request, _ []string) bool {
		if r.Header.Get("Authorization") == "ApiKey canary-new" {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":{"type":"security_exception","reason":"unable to authenticate with provided credentials"},"status":401}`))
		return true
	})
	s := f.open(func(c *Config) { c.APIKey = key })
	if err := os.WriteFile(file, []byte("canary-new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	results, err := write(t, s, 2)
	if got := fault.Of(err); got == nil || got.Class != fault.Operator || got.Hint == "" || strings.Contains(err.Error(), "canary") {
		t.Errorf("the first write returned %v", err)
	}
	if results[0].Outcome != event.Pending {
		t.Errorf("a document is %v after 401, want pending", results[0].Outcome)
	}
	if _, err := write(t, s, 2); err != nil {
		t.Errorf("the write after the rotation returned %v", err)
	}
}

func TestNextNode(t *testing.T) {
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer down.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	f := newFake(t)
	s := f.open(func(c *Config) { c.URLs = []string{down.URL, gone.URL, f.server.URL} })
	for range 6 {
		if _, err := write(t, s, 2); err != nil {
			t.Errorf("one node of three answers, but Write returned %v", err)
		}
	}
}

func TestStreams(t *testing.T) {
	f := newFake(t)
	if _, err := write(t, f.open(func(c *Config) { c.Namespace = "prod" }), 8); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"logs-edr.telemetry-prod", "metrics-edr.agent-prod", "logs-edr.alerts-prod", "logs-edr.gateway-prod"} {
		if f.streams[stream] != 2 {
			t.Errorf("%s holds %d documents, want 2 (all: %v)", stream, f.streams[stream], f.streams)
		}
	}
}

func TestConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"default":           {func(*Config) {}, ""},
		"no address":        {func(c *Config) { c.URLs = nil }, "urls: no address"},
		"password in URL":   {func(c *Config) { c.URLs = []string{"https://u:p@h:9200"} }, "carries credentials"},
		"namespace":         {func(c *Config) { c.Namespace = "Prod-1" }, `found "Prod-1"`},
		"two credentials":   {func(c *Config) { c.APIKey, c.Username, c.Password = secret.New("k"), "u", secret.New("p") }, "excludes"},
		"half a login":      {func(c *Config) { c.Username = "u" }, "belongs together"},
		"no concurrency":    {func(c *Config) { c.Concurrency = 0 }, "concurrency: expected at least 1"},
		"low priority":      {func(c *Config) { c.Templates.Priority = 100 }, "templates.priority"},
		"odd retention":     {func(c *Config) { c.Templates.Retention = map[string]string{"telemetry": "a month"} }, `found "a month"`},
		"unknown retention": {func(c *Config) { c.Templates.Retention["alert"] = "1d" }, `found "alert"`},
		"unknown deleter":   {func(c *Config) { c.Templates.RetainedBy = "cron" }, `found "cron"`},
		"half a key pair":   {func(c *Config) { c.TLS.KeyFile = "k.pem" }, "belong together"},
	} {
		cfg := DefaultConfig()
		test.change(&cfg)
		err := cfg.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := New(Config{}, Settings{}); err == nil {
		t.Error("an empty configuration was accepted")
	}
}
