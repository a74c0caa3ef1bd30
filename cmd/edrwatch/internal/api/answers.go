package api

import (
	"encoding/json"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sinks/store"
)

// stamp is nanoseconds since 1970 that is written as RFC 3339 in UTC, and as
// null when it is 0.
type stamp int64

func (s stamp) MarshalJSON() ([]byte, error) {
	if s == 0 {
		return []byte("null"), nil
	}
	return append(event.AppendTime([]byte{'"'}, int64(s)), '"'), nil
}

// document is a stored document in an answer.
type document struct {
	ID       string          `json:"id"`
	Stream   string          `json:"stream"`
	Time     stamp           `json:"time"`
	Action   string          `json:"action"`
	Host     string          `json:"host"`
	Agent    string          `json:"agent"`
	Severity string          `json:"severity,omitempty"`
	Kind     string          `json:"kind,omitempty"`
	AlertID  string          `json:"alert_id,omitempty"`
	Status   string          `json:"status,omitempty"`
	Rules    []string        `json:"rules"`
	Document json.RawMessage `json:"document"`
}

func documentOf(d *store.Doc) document {
	return document{
		ID: d.ID, Stream: d.Stream.String(), Time: stamp(d.Time), Action: d.Action, Host: d.Host, Agent: d.AgentID,
		Severity: d.Severity, Kind: d.Kind, AlertID: d.AlertID, Status: d.Status, Rules: orEmpty(d.Rules), Document: d.Body,
	}
}

func documentsOf(docs []store.Doc) []document {
	list := make([]document, len(docs))
	for i := range docs {
		list[i] = documentOf(&docs[i])
	}
	return list
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// found is how much a query selects.
type found struct {
	Total *int `json:"total"` // null on pages after the first
	// TotalIsLowerBound tells that there are more than Total.
	TotalIsLowerBound bool   `json:"total_is_lower_bound"`
	Next              string `json:"next,omitempty"` // cursor of the next page
}

func foundOf(total int, more bool, next store.Cursor) found {
	f := found{TotalIsLowerBound: more, Next: next.String()}
	if total >= 0 {
		f.Total = &total
	}
	return f
}

// episode is an alert in an answer: what its latest document says.
type episode struct {
	ID        string          `json:"id"`
	Started   stamp           `json:"started"`
	Updated   stamp           `json:"updated"`
	Documents int64           `json:"documents"`
	Status    string          `json:"status"`
	Severity  string          `json:"severity"`
	Kind      string          `json:"kind"`
	Host      string          `json:"host"`
	Rules     []string        `json:"rules"`
	Document  json.RawMessage `json:"document"`
}

func episodeOf(e *store.Episode) episode {
	d := &e.Latest
	return episode{
		ID: e.AlertID, Started: stamp(e.Started), Updated: stamp(e.Updated), Documents: e.Documents,
		Status: d.Status, Severity: d.Severity, Kind: d.Kind, Host: d.Host, Rules: orEmpty(d.Rules), Document: d.Body,
	}
}

type bucket struct {
	Time    stamp `json:"time"`
	Count   int64 `json:"count"`
	Alerts  int64 `json:"alerts"`
	Metrics int64 `json:"metrics"`
}

type histogram struct {
	From     stamp    `json:"from"`
	To       stamp    `json:"to"`
	Interval float64  `json:"interval_seconds"`
	Buckets  []bucket `json:"buckets"`
}

func histogramOf(h *store.Histogram) histogram {
	list := make([]bucket, len(h.Buckets))
	for i, b := range h.Buckets {
		list[i] = bucket{stamp(b.Start), b.Count, b.By[event.Alerts], b.By[event.Metrics]}
	}
	return histogram{stamp(h.From), stamp(h.To), h.Interval.Seconds(), list}
}

// statusAnswer is what /api/v1/status tells.
type statusAnswer struct {
	Now     time.Time    `json:"now"`
	Gateway Status       `json:"gateway"`
	Store   *storeStatus `json:"store"` // null without one
}

type storeStatus struct {
	store.Stats
	Oldest stamp `json:"oldest"`
	Newest stamp `json:"newest"`
}
