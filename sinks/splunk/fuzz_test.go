package splunk

import (
	"net/http"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// FuzzJudge: whatever a collector or a proxy answers, there is a decision, and
// nothing but a clear success counts as one.
func FuzzJudge(f *testing.F) {
	f.Add(200, []byte(`{"text":"Success","code":0,"ackId":7}`))
	f.Add(200, []byte(`{"text":"Queue is approaching capacity","code":24}`))
	f.Add(400, []byte(`{"text":"Invalid data format","code":6,"invalid-event-number":3}`))
	f.Add(400, []byte(`{"text":"x","code":7}`))
	f.Add(503, []byte(`{"text":"Server is busy","code":9}`))
	f.Add(413, []byte(``))
	f.Add(200, []byte(`<html>`))
	f.Add(400, []byte(`{"code":14}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		v := judge(status, http.Header{}, body, time.Time{})
		if v.action == accepted || v.action == slowDown {
			if status < 200 || status > 299 {
				t.Errorf("status %d with %q counts as success", status, body)
			}
			return
		}
		if v.failure == nil || v.failure.Err == nil || v.failure.Reason == "" {
			t.Fatalf("status %d with %q: %+v", status, body, v)
		}
		if v.action == failed && v.failure.Class == fault.Permanent {
			t.Errorf("status %d with %q is permanent, but no event is cut: %v", status, body, v.failure)
		}
		if v.action == cut && v.failure.Class != fault.Permanent {
			t.Errorf("status %d with %q cuts an event for %v", status, body, v.failure.Class)
		}
		if v.failure.Class == fault.Operator && v.failure.Hint == "" {
			t.Errorf("status %d with %q is for the operator without a hint: %v", status, body, v.failure)
		}
	})
}

// FuzzDecodeAcks: an answer that is not understood acknowledges nothing.
func FuzzDecodeAcks(f *testing.F) {
	f.Add([]byte(`{"acks":{"0":true,"1":false}}`))
	f.Add([]byte(`{"acks":{"x":true}}`))
	f.Add([]byte(`{"acks":{"0":true}} {`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if acked, err := decodeAcks(body); err != nil && acked != nil {
			t.Errorf("an error and acknowledgements: %v, %v", err, acked)
		}
	})
}
