package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sinks/store"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// Verdict compares the alerts in the store with what happened to the fleet.
type Verdict struct {
	Complete   bool // the whole scenario was played and judged
	Caught     []Catch
	Missed     []simulator.Incident
	Unexpected []simulator.Alert
	Alerts     int // alert documents in the store
	Dead       int // records in the dead letter
}

// Catch is an incident with the first alert about it and the last thing
// that this alert's episode said, where it said more as it went on.
type Catch struct {
	simulator.Incident
	Alert simulator.Alert
	Last  string
}

// settled waits until every produced record has its outcome.
func settled(ctx context.Context, gateway *app.App, produced int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settle, fmt.Errorf("the gateway did not finish its records within %s", settle))
	defer cancel()
	for {
		done := gateway.RecordsDone()
		if done >= produced {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d records, %d are done: %w", produced, done, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// judge reads all alert documents from the store and compares them.
func judge(ctx context.Context, gateway *app.App, truth simulator.Truth) (Verdict, error) {
	alerts, err := alertsOf(ctx, gateway.Store())
	if err != nil {
		return Verdict{}, err
	}
	firing := slices.DeleteFunc(slices.Clone(alerts), func(a storedAlert) bool { return a.status == "resolved" })
	claims := make([]simulator.Alert, 0, len(firing))
	for _, a := range firing {
		claims = append(claims, a.Alert)
	}
	v := Verdict{Complete: true, Alerts: len(alerts)}
	v.Missed, v.Unexpected = truth.Judge(claims)
	for _, h := range truth.Incidents {
		if len(h.Expect) == 0 || slices.ContainsFunc(v.Missed, func(m simulator.Incident) bool { return m.ID == h.ID }) {
			continue
		}
		if first, ok := earliest(truth, h, firing); ok {
			v.Caught = append(v.Caught, Catch{h, first.Alert, lastReason(firing, first.id)})
		}
	}
	v.Dead = gateway.DeadLetters()
	return v, nil
}

// earliest is the first of the alerts that tells of h.
func earliest(truth simulator.Truth, h simulator.Incident, alerts []storedAlert) (storedAlert, bool) {
	only := truth
	only.Incidents = []simulator.Incident{h}
	only.Incidents[0].Tolerate = nil
	for _, a := range alerts {
		if missed, _ := only.Judge([]simulator.Alert{a.Alert}); len(missed) == 0 {
			return a, true
		}
	}
	return storedAlert{}, false
}

// lastReason is what the newest of several documents of an episode says.
func lastReason(alerts []storedAlert, id string) string {
	last, documents := "", 0
	for _, a := range alerts {
		if a.id == id {
			last = a.reason
			documents++
		}
	}
	if documents < 2 {
		return ""
	}
	return last
}

// storedAlert is one alert document with its status.
type storedAlert struct {
	simulator.Alert
	id, status, severity, reason string
}

// alertsOf returns every alert document, the earliest first.
func alertsOf(ctx context.Context, s *store.Store) ([]storedAlert, error) {
	var all []storedAlert
	query := store.Query{Streams: []event.Stream{event.Alerts}, Limit: store.MaxLimit}
	for {
		page, err := s.Search(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("reading alerts: %w", err)
		}
		for _, d := range page.Docs {
			a, err := parseAlert(d.Body)
			if err != nil {
				return nil, fmt.Errorf("reading alert %s: %w", d.ID, err)
			}
			all = append(all, a)
		}
		if page.Next == (store.Cursor{}) {
			slices.Reverse(all)
			return all, nil
		}
		query.Before = page.Next
	}
}

func parseAlert(body []byte) (storedAlert, error) {
	var doc struct {
		Timestamp time.Time `json:"@timestamp"`
		Message   string    `json:"message"`
		EDR       struct {
			Alert struct {
				ID, Kind, Scope, Status, Severity, Reason string
				Hosts                                     []string
			} `json:"alert"`
		} `json:"edr"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return storedAlert{}, err
	}
	a := doc.EDR.Alert
	if a.Kind == "" {
		return storedAlert{}, errors.New("it has no edr.alert.kind")
	}
	return storedAlert{
		Alert: simulator.Alert{Kind: a.Kind, Scope: a.Scope, Time: doc.Timestamp, Hosts: a.Hosts},
		id:    a.ID, status: a.Status, severity: a.Severity, reason: a.Reason,
	}, nil
}
