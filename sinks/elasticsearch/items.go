package elasticsearch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// bulkAnswer is the answer to a bulk request as filter_path trims it. Items
// stand in the order of the request.
type bulkAnswer struct {
	Errors *bool      `json:"errors"`
	Items  []bulkItem `json:"items"`
}

// bulkItem has one entry: the result under the action's verb.
type bulkItem map[string]*itemResult

type itemResult struct {
	Status       int        `json:"status"`
	Error        *errorBody `json:"error"`
	FailureStore string     `json:"failure_store"`
	// Get is the document as it is, where an update asked for it.
	Get struct {
		Source json.RawMessage `json:"_source"`
	} `json:"get"`
}

// errorBody is an error as Elasticsearch describes it.
type errorBody struct {
	Type     string     `json:"type"`
	Reason   string     `json:"reason"`
	CausedBy *errorBody `json:"caused_by"`
}

// UnmarshalJSON reads the object, or the mere text of some old endpoints.
func (e *errorBody) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &e.Reason)
	}
	type plain errorBody
	return json.Unmarshal(text, (*plain)(e))
}

// Error returns type and reason down to the cause, safe to log.
func (e *errorBody) Error() string {
	text := e.Type + ": " + e.Reason
	if e.CausedBy != nil && e.CausedBy.Reason != "" {
		text += " (" + e.CausedBy.Type + ": " + e.CausedBy.Reason + ")"
	}
	return httpx.Excerpt([]byte(text))
}

// has reports whether the error or one of its causes is of the type.
func (e *errorBody) has(types ...string) bool {
	for ; e != nil; e = e.CausedBy {
		for _, t := range types {
			if e.Type == t {
				return true
			}
		}
	}
	return false
}

// says reports whether the reason of the error or of a cause contains text.
func (e *errorBody) says(text string) bool {
	for ; e != nil; e = e.CausedBy {
		if strings.Contains(e.Reason, text) {
			return true
		}
	}
	return false
}

// decodeBulk reads the outcomes of n documents. An answer that is not complete
// says nothing: the error means that all outcomes are unknown.
func decodeBulk(body []byte, verb string, n int) ([]event.Result, error) {
	if verb == "create" && allCreated(body, n) {
		results := make([]event.Result, n)
		for i := range results {
			results[i].Outcome = event.Indexed
		}
		return results, nil
	}
	items, err := decodeItems(body, verb, n)
	if err != nil {
		return nil, err
	}
	results := make([]event.Result, n)
	for i, item := range items {
		results[i] = classifyItem(item)
	}
	return results, nil
}

// decodeItems reads what an answer says about each of n actions.
func decodeItems(body []byte, verb string, n int) ([]*itemResult, error) {
	var a bulkAnswer
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&a); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	if a.Errors == nil {
		return nil, errors.New(`"errors" is missing`)
	}
	if len(a.Items) != n {
		return nil, fmt.Errorf("expected %d items, found %d", n, len(a.Items))
	}
	items := make([]*itemResult, n)
	for i := range a.Items {
		item := a.Items[i][verb]
		if item == nil || item.Status == 0 {
			return nil, fmt.Errorf("item %d has no status of %q", i, verb)
		}
		items[i] = item
	}
	return items, nil
}

// allCreated recognises, without parsing, the answer that nearly every request
// gets: n documents created and nothing else to say.
func allCreated(body []byte, n int) bool {
	const head, item, tail = `{"errors":false,"items":[`, `{"create":{"status":201}}`, `]}`
	if n == 0 || len(body) != len(head)+n*len(item)+n-1+len(tail) || !bytes.HasPrefix(body, []byte(head)) || !bytes.HasSuffix(body, []byte(tail)) {
		return false
	}
	items := body[len(head) : len(body)-len(tail)]
	for i := range n {
		at := i * (len(item) + 1)
		if string(items[at:at+len(item)]) != item || i > 0 && items[at-1] != ',' {
			return false
		}
	}
	return true
}

// classifyItem decides the outcome of one document.
func classifyItem(it *itemResult) event.Result {
	switch {
	case it.Status >= 200 && it.Status < 300:
		return classifySuccess(it)
	case it.FailureStore == "used":
		return event.Result{Outcome: event.Quarantined}
	}
	e := it.Error
	if e == nil {
		e = &errorBody{Type: "status", Reason: fmt.Sprintf("%d %s without an error", it.Status, http.StatusText(it.Status))}
	}
	if it.Status == http.StatusConflict && (it.Error == nil || e.has("version_conflict_engine_exception")) {
		return event.Result{Outcome: event.Duplicate}
	}
	f := classifyError(it.Status, e)
	if f.Class == fault.Permanent {
		return event.Result{Outcome: event.Refused, Err: f}
	}
	return event.Result{Err: f}
}

// classifySuccess looks behind a status of success: with the failure store it
// can mean "not in your stream" (elastic/elasticsearch#112816).
func classifySuccess(it *itemResult) event.Result {
	switch it.FailureStore {
	case "used":
		return event.Result{Outcome: event.Quarantined}
	case "failed", "not_enabled":
		return event.Result{Outcome: event.Refused, Err: fault.New(fault.Permanent, fault.Rejected,
			"status %d, but the document is in neither the stream nor the failure store (failure_store %s)", it.Status, it.FailureStore)}
	}
	return event.Result{Outcome: event.Indexed}
}

const (
	hintSetup   = "install the templates: edrwatch setup elasticsearch"
	hintDisk    = "free disk space or add nodes; Elasticsearch lifts the block by itself"
	hintCluster = "the cluster needs its administrator; documents wait meanwhile"
)

// classifyError decides what an error means, of one document or of a request.
func classifyError(status int, e *errorBody) *fault.Error {
	classed := func(class fault.Class, reason fault.Reason, hint string) *fault.Error {
		return &fault.Error{Class: class, Reason: reason, Hint: hint, Err: fmt.Errorf("status %d: %w", status, e)}
	}
	switch {
	case e.has("es_rejected_execution_exception", "circuit_breaking_exception"), status == http.StatusTooManyRequests && !e.has("cluster_block_exception"):
		return classed(fault.Transient, fault.Overloaded, "")
	case e.has("cluster_block_exception"):
		return classed(fault.Transient, fault.Unavailable, hintDisk)
	case status >= 500:
		return classed(fault.Transient, fault.Unavailable, "")
	case status == http.StatusUnauthorized:
		return classed(fault.Operator, fault.Unauthorized, "the API key or password is wrong, expired or revoked; replace it (a secret from a file is read again by itself)")
	case status == http.StatusForbidden:
		return classed(fault.Operator, fault.Unauthorized, "grant the privileges of deploy/elasticsearch/gateway-api-key.json: "+missingPrivilege(e.Reason))
	case e.has("index_not_found_exception"), status == http.StatusNotFound:
		return classed(fault.Operator, fault.Misconfigured, hintSetup)
	case e.has("index_closed_exception", "invalid_index_name_exception", "invalid_alias_name_exception"):
		return classed(fault.Operator, fault.Misconfigured, hintCluster)
	case e.says("this action would add"), e.says("pipeline with id"), e.says("unrecognized parameter"):
		// Too many shards, a missing ingest pipeline, a server older than
		// MinVersion: nothing that the document can help.
		return classed(fault.Operator, fault.Misconfigured, hintCluster)
	case status == http.StatusRequestEntityTooLarge:
		return classed(fault.Permanent, fault.TooLarge, "")
	case e.has("document_parsing_exception", "mapper_parsing_exception", "strict_dynamic_mapping_exception", "mapper_exception"), e.says("Limit of total fields"):
		return classed(fault.Permanent, fault.MappingRejected, "")
	case status == http.StatusConflict:
		return classed(fault.Transient, fault.Unavailable, "")
	case status >= 400:
		return classed(fault.Permanent, fault.Rejected, "")
	}
	return classed(fault.Transient, fault.Garbled, "")
}

// missingPrivilege finds in the reason of a security_exception what would have
// granted the action. Elasticsearch words it "… this action is granted by the
// index privileges [create_doc,create,index,write,all]".
func missingPrivilege(reason string) string {
	const before = "is granted by the "
	at := strings.LastIndex(reason, before)
	if at < 0 {
		return "cluster monitor, auto_configure and create_doc on the data streams, and index on the latest states"
	}
	text := reason[at+len(before):]
	if end := strings.IndexByte(text, ']'); end >= 0 {
		text = text[:end+1]
	}
	return "one of the " + httpx.Excerpt([]byte(text))
}

// classifyWhole decides what an answer means that is about the whole request.
func classifyWhole(a answer, now time.Time) *fault.Error {
	var body struct {
		Error *errorBody `json:"error"`
	}
	wait := httpx.RetryAfter(a.header, now)
	if a.status == http.StatusRequestEntityTooLarge {
		f := fault.New(fault.Permanent, fault.TooLarge, "HTTP 413: %s", httpx.Excerpt(a.body))
		return f.WithHint("http.max_content_length of Elasticsearch, or the limit of a proxy before it, is smaller than the document")
	}
	if err := json.Unmarshal(a.body, &body); err == nil && body.Error != nil {
		f := classifyError(a.status, body.Error)
		f.RetryAfter = wait
		return f
	}
	f := httpx.Classify(a.status, a.header, now, httpx.Excerpt(a.body))
	if f.Reason == fault.Unauthorized {
		f.Hint = "the credentials, or a proxy's, are refused; see deploy/elasticsearch/README.md"
	}
	if f.Class == fault.Permanent && f.Reason != fault.TooLarge {
		f.Reason = fault.Rejected
	}
	return f
}
