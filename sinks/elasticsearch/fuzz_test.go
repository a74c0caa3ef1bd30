package elasticsearch

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// FuzzDecodeBulk: whatever a server answers, each document gets an outcome
// with the error that belongs to it, or the answer is an error as a whole.
func FuzzDecodeBulk(f *testing.F) {
	for _, seed := range []string{
		`{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201,"failure_store":"used"}}]}`,
		`{"errors":true,"items":[` + errorItem(409, "version_conflict_engine_exception", "exists") + `,` + errorItem(429, "es_rejected_execution_exception", "no") + `]}`,
		`{"errors":true,"items":[{"create":{"status":400,"error":"text"}},{"create":{"status":400,"error":{"type":"a","caused_by":{"type":"b"}}}}]}`,
		`{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}`,
		`{"errors":true,"items":[null,{}]}`, `<html>`, ``, `{"errors":false,"items":[{"create":{"status":201}},{"cre`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const n = 2
		results, err := decodeBulk(body, "create", n)
		if allCreated(body, n) {
			// The parser agrees with the short cut: with white space in front
			// the same answer goes its way.
			parsed, parseErr := decodeBulk(append([]byte(" "), body...), "create", n)
			if err != nil || parseErr != nil || !slices.Equal(parsed, results) {
				t.Errorf("the short cut says %v, %v; the parser %v, %v", results, err, parsed, parseErr)
			}
		}
		if err != nil {
			if results != nil {
				t.Errorf("an error and %d results", len(results))
			}
			return
		}
		if len(results) != n {
			t.Fatalf("%d results for %d documents", len(results), n)
		}
		for _, r := range results {
			class := fault.Class(255)
			if r.Err != nil {
				class = fault.Of(r.Err).Class
			}
			switch r.Outcome {
			case event.Indexed, event.Duplicate, event.Quarantined:
				if r.Err != nil {
					t.Errorf("%v with error %v", r.Outcome, r.Err)
				}
			case event.Refused:
				if class != fault.Permanent {
					t.Errorf("refused with error %v", r.Err)
				}
			case event.Pending:
				if class != fault.Transient && class != fault.Operator {
					t.Errorf("pending with error %v", r.Err)
				}
			default:
				t.Errorf("outcome %v", r.Outcome)
			}
		}
	})
}

// FuzzClassifyWhole: every answer to a whole request is classified, and what
// is for the operator says what to do.
func FuzzClassifyWhole(f *testing.F) {
	f.Add(400, []byte(`{"error":{"type":"illegal_argument_exception","reason":"r"},"status":400}`))
	f.Add(403, []byte(`{"error":{"type":"security_exception","reason":"is granted by the index privileges [a"}}`))
	f.Add(503, []byte(`<html>`))
	f.Add(413, []byte{0xff})
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got := classifyWhole(answer{status: status, header: http.Header{}, body: body}, time.Time{})
		if got.Reason == "" || got.Err == nil {
			t.Errorf("status %d: %+v", status, got)
		}
		if got.Class == fault.Operator && got.Hint == "" {
			t.Errorf("status %d is for the operator without a hint: %v", status, got)
		}
	})
}
