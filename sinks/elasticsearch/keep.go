package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// A rule says that an alert is resolved, and no more why it fired. The newest
// state of the alert keeps that: what it said while it fired stays where the
// resolution says nothing, and the hosts that it was about stay in any case.
//
// What was said is either in the same Write or asked of the cluster, by an update
// that changes nothing and returns the document: the right to write states
// includes it, so that the gateway's key needs no right to search.

// keptFilter are the parts of an answer about what is kept.
var keptFilter = [...]string{"errors", "items.*.status", "items.*.error", "items.*.get._source"}

func newKeptEncoder(namespace string, compress bool) encoder {
	return newStateEncoder("update", namespace, compress, keptFilter[:], false)
}

// noChange is the update that returns a document as it is.
const noChange = `{"doc":{},"_source":true}`

// keepEvidence completes the states of alerts that are resolved, and reports those
// of which it is not known what they said before: they are pending.
func (s *Sink) keepEvidence(ctx context.Context, states []state, docs []*event.Document, failures *httpx.Worst) (pending []bool) {
	pending = make([]bool, len(states))
	var asked part
	var places []int
	for i := range states {
		if !states[i].newest.Latest.Final() || states[i].stream != event.Alerts {
			continue
		}
		if earlier := states[i].earlier; earlier != nil {
			docs[i].Body = withEarlier(docs[i].Body, earlier.Body)
			continue
		}
		places = append(places, i)
		asked.docs = append(asked.docs, &event.Document{ID: docs[i].ID, Stream: event.Alerts, Body: []byte(noChange)})
	}
	const most = 500 // documents asked for in one request: the answer holds them
	for from := 0; from < len(places); from += most {
		to := min(from+most, len(places))
		sources, err := s.askKept(ctx, asked.docs[from:to])
		failures.Add(err)
		for n, i := range places[from:to] {
			switch {
			case sources == nil || sources[n] == nil:
				pending[i] = true
			case len(sources[n]) > 0:
				docs[i].Body = withEarlier(docs[i].Body, sources[n])
			}
		}
	}
	return pending
}

// askKept returns the documents as they are in the cluster: empty for one that is
// not there, nil for one of which that is not known.
func (s *Sink) askKept(ctx context.Context, docs []*event.Document) ([]json.RawMessage, error) {
	permit, err := s.limiter.Acquire(ctx, s.kept.size(docs))
	if err != nil {
		return nil, context.Cause(ctx)
	}
	a, err := s.client.do(ctx, s.kept.request(docs))
	permit.Done()
	if err != nil {
		return nil, err
	}
	if a.status < 200 || a.status > 299 {
		f := classifyWhole(a, time.Now())
		if f.Class == fault.Permanent { // It is the same for every alert: nothing that a document can help.
			f.Class = fault.Operator
		}
		return nil, f
	}
	items, err := decodeItems(a.body, s.kept.verb, len(docs))
	if err != nil {
		return nil, fault.New(fault.Transient, fault.Garbled, "reading the latest state of alerts: %w: %s", err, httpx.Excerpt(a.body))
	}
	sources := make([]json.RawMessage, len(docs))
	var failures httpx.Worst
	for i, item := range items {
		switch {
		case item.Status == http.StatusNotFound && item.Error.has("document_missing_exception"):
			sources[i] = json.RawMessage{}
		case item.Status == http.StatusOK && len(item.Get.Source) > 0:
			sources[i] = item.Get.Source
		case item.Error != nil:
			failures.Add(classifyError(item.Status, item.Error))
		default:
			failures.Add(fault.New(fault.Transient, fault.Garbled, "reading the latest state of alerts: item %d has neither document nor error", i))
		}
	}
	if f := fault.Of(failures.Err()); f != nil && f.Class == fault.Permanent {
		f.Class = fault.Operator
		return sources, f
	}
	return sources, failures.Err()
}

// withEarlier returns a document with what an earlier one said besides. Of a body
// that is no JSON object nothing is taken.
func withEarlier(body, earlier []byte) []byte {
	now, before := decodeObject(body), decodeObject(earlier)
	if now == nil || before == nil {
		return body
	}
	complete(now, before)
	for _, path := range [...][]string{{"edr", "alert", "hosts"}, {"related", "hosts"}} {
		keepList(now, before, path)
	}
	merged, err := json.Marshal(now)
	if err != nil {
		return body
	}
	return merged
}

func decodeObject(text []byte) object {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // 2^53 and more stay what they are.
	var o object
	if dec.Decode(&o) != nil {
		return nil
	}
	return o
}

// complete adds what to does not have.
func complete(to, from object) {
	for name, was := range from {
		is, has := to[name]
		if !has {
			to[name] = was
			continue
		}
		inner, isObject := is.(object)
		if before, wasObject := was.(object); isObject && wasObject {
			complete(inner, before)
		}
	}
}

// keepList puts the earlier list at the path where there is one.
func keepList(now, before object, path []string) {
	last := path[len(path)-1]
	for _, name := range path[:len(path)-1] {
		before, _ = before[name].(object)
		now, _ = now[name].(object)
	}
	if list, ok := before[last].([]any); ok && len(list) > 0 && now != nil {
		now[last] = list
	}
}
