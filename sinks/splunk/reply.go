package splunk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// reply is the collector's answer. Codes: Splunk Enterprise, "Troubleshoot
// HTTP Event Collector".
type reply struct {
	Text string `json:"text"`
	Code *int   `json:"code"`
	// Invalid is the zero-based number of the event that made the collector
	// refuse the request.
	Invalid *int   `json:"invalid-event-number"`
	AckID   *int64 `json:"ackId"`
}

// decodeReply reads an answer's body.
func decodeReply(body []byte) (reply, error) {
	var r reply
	if err := decodeOne(body, &r); err != nil {
		return reply{}, err
	}
	if r.Code == nil {
		return reply{}, errors.New(`"code" is missing`)
	}
	return r, nil
}

// decodeOne decodes a body that is exactly one JSON value.
func decodeOne(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// action is what to do about an answer.
type action uint8

const (
	accepted action = iota // the events are with Splunk
	slowDown               // so they are, but the queue is filling up
	cut                    // one event is bad, none was taken
	reroute                // the index is wrong, none was taken
	noAck                  // the token does not acknowledge
	split                  // the request is too large, none was taken
	failed                 // see the failure
)

// verdict is an answer understood.
type verdict struct {
	action  action
	failure *fault.Error // for all but accepted and slowDown
	invalid int          // for cut; -1 where the answer does not tell
	ackID   int64        // for accepted and slowDown; -1 without one
	next    bool         // another collector may take it now
}

// judge decides what an answer means.
func judge(status int, header http.Header, body []byte, now time.Time) verdict {
	r, err := decodeReply(body)
	success := status >= 200 && status < 300
	switch {
	case status == http.StatusRequestEntityTooLarge:
		f := fault.New(fault.Permanent, fault.TooLarge, "HTTP 413: %s", httpx.Excerpt(body))
		return verdict{action: split, failure: f.WithHint("max_content_length in limits.conf [http_input], or the limit of a proxy, is smaller than the event")}
	case err != nil && success:
		return verdict{action: failed, failure: fault.New(fault.Transient, fault.Garbled, "reading the collector's answer: %w: %s", err, httpx.Excerpt(body))}
	case err != nil:
		f := httpx.Classify(status, header, now, httpx.Excerpt(body))
		if f.Class == fault.Permanent {
			// No answer of the collector's: something in between refuses the
			// request. Which event it is about shows by halving.
			return verdict{action: cut, failure: f, invalid: -1}
		}
		if f.Class == fault.Operator && f.Hint == "" {
			f.Hint = "the token or a proxy's credentials are refused"
		}
		return verdict{action: failed, failure: f, next: status == http.StatusServiceUnavailable || status == http.StatusBadGateway}
	}
	v := judgeCode(*r.Code, success)
	v.invalid, v.ackID = -1, -1
	if r.Invalid != nil {
		v.invalid = *r.Invalid
	}
	if r.AckID != nil {
		v.ackID = *r.AckID
	}
	if v.action == accepted || v.action == slowDown {
		return v
	}
	if v.failure == nil {
		v.failure = httpx.Classify(status, header, now, "")
		if v.failure.Class == fault.Permanent {
			v.action = cut // a code that we do not know, about an event
		}
	}
	v.failure.Err = fmt.Errorf("HTTP %d, code %d: %s", status, *r.Code, httpx.Excerpt([]byte(r.Text)))
	v.failure.RetryAfter = httpx.RetryAfter(header, now)
	return v
}

// judgeCode decides by the collector's code.
func judgeCode(code int, success bool) verdict {
	fail := func(class fault.Class, reason fault.Reason, hint string) verdict {
		return verdict{action: failed, failure: &fault.Error{Class: class, Reason: reason, Hint: hint}}
	}
	operator := func(reason fault.Reason, hint string) verdict { return fail(fault.Operator, reason, hint) }
	elsewhere := func(reason fault.Reason) verdict {
		v := fail(fault.Transient, reason, "")
		v.next = true
		return v
	}
	switch code {
	case 0: // Success
		if success {
			return verdict{action: accepted}
		}
	case 24, 25: // queue, acknowledgements approach their capacity
		if success {
			return verdict{action: slowDown}
		}
		return fail(fault.Transient, fault.Overloaded, "")
	case 1: // Token disabled
		return operator(fault.Unauthorized, "enable the token in Splunk: Settings, Data inputs, HTTP Event Collector")
	case 2, 3: // Token is required, Invalid authorization
		return operator(fault.Unauthorized, "the token did not arrive; look for a proxy that removes the Authorization header")
	case 4: // Invalid token
		return operator(fault.Unauthorized, "replace the token (one from a file is read again by itself)")
	case 5: // No data: never sent by us, so it was lost on the way
		return fail(fault.Transient, fault.Garbled, "")
	case 6, 12, 13, 15: // Invalid data format, Event field is required, blank, indexed fields
		return verdict{action: cut, failure: &fault.Error{Class: fault.Permanent, Reason: fault.Rejected}}
	case 7: // Incorrect index
		return verdict{action: reroute, failure: &fault.Error{Class: fault.Operator, Reason: fault.Misconfigured,
			Hint: "create the index and allow it for the token, or set fallback_index"}}
	case 8: // Internal server error
		return fail(fault.Transient, fault.Unavailable, "")
	case 9: // Server is busy
		return elsewhere(fault.Overloaded)
	case 18, 19, 20, 23: // unhealthy (queues full, acks unavailable, both), shutting down
		return elsewhere(fault.Unavailable)
	case 10, 11: // Data channel is missing, invalid
		return operator(fault.Misconfigured, "the token wants indexer acknowledgement: set ack.enabled, or switch it off for the token")
	case 14: // ACK is disabled
		return verdict{action: noAck, failure: &fault.Error{Class: fault.Operator, Reason: fault.Misconfigured,
			Hint: "switch on indexer acknowledgement for the token, or set ack.enabled to false"}}
	case 16: // Query string authorization is not enabled
		return operator(fault.Misconfigured, "a proxy moves the token into the address; let it pass the Authorization header")
	case 26, 27: // queue, acknowledgements at capacity
		return elsewhere(fault.Overloaded)
	}
	if success {
		return fail(fault.Transient, fault.Garbled, "")
	}
	return verdict{action: failed}
}
