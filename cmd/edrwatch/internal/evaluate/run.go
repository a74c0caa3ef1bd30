package evaluate

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// Feed gives the records of a fleet in the order in which they reach the
// broker, and tells when it has ended what happened to the fleet.
type Feed interface {
	Next() (simulator.Emission, bool)
	Truth() simulator.Truth
}

// Alert is an alert document as far as it is judged.
type Alert struct {
	simulator.Alert
	ID, Severity, Status, Rule, Message string
	Verdict                             string // of an alert about a rollout: hold or rollback
	Version                             string // content or agent version that it names
	Count                               int
}

// Run takes the feed through as many fresh shards as its topics are to have
// partitions and returns the alert documents in the order in which they were
// raised. The feed is read to its end.
func Run(ctx context.Context, partitions int, judge Judging, feed Feed) ([]Alert, Load, error) {
	var alerts []Alert
	shards := newShards(partitions, judge, func(s *pipeline.Shard) error {
		for _, doc := range s.Documents() {
			if doc.Stream != event.Alerts {
				continue
			}
			a, err := parseAlert(doc.Body)
			if err != nil {
				return fmt.Errorf("reading an alert: %w: %s", err, doc.Body)
			}
			alerts = append(alerts, a)
		}
		return nil
	})
	var load Load
	began := time.Now()
	for {
		e, ok := feed.Next()
		if !ok {
			load.Took = time.Since(began)
			return alerts, load, shards.finish()
		}
		if load.Records++; load.Records%20_000 == 0 && ctx.Err() != nil {
			return nil, load, context.Cause(ctx)
		}
		outcome, err := shards.process(&e)
		if err != nil {
			return nil, load, err
		}
		if outcome == pipeline.Other {
			load.Other++
		}
	}
}

// Load is what a run had to do.
type Load struct {
	Records int
	Other   int // records that no mapping takes
	Took    time.Duration
}

func parseAlert(body []byte) (Alert, error) {
	var doc struct {
		Timestamp time.Time `json:"@timestamp"`
		Message   string    `json:"message"`
		Rule      struct {
			Name string `json:"name"`
		} `json:"rule"`
		Agent struct {
			Version string `json:"version"`
		} `json:"agent"`
		EDR struct {
			Content struct {
				Version string `json:"version"`
				File    string `json:"file"`
			} `json:"content"`
			Alert struct {
				ID, Kind, Scope, Status, Severity string
				Key                               json.RawMessage
				Hosts                             []string
				Count                             float64
				Verdict                           string
				Evidence                          struct{ Verdict json.RawMessage }
			} `json:"alert"`
		} `json:"edr"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return Alert{}, err
	}
	a := doc.EDR.Alert
	out := Alert{
		Alert: simulator.Alert{Kind: a.Kind, Scope: a.Scope, Time: doc.Timestamp, Hosts: a.Hosts},
		ID:    a.ID, Severity: a.Severity, Status: a.Status, Rule: doc.Rule.Name, Message: doc.Message, Count: int(a.Count),
		Version: doc.EDR.Content.Version + " " + doc.EDR.Content.File + " " + doc.Agent.Version + " " + string(a.Key),
		Verdict: a.Verdict,
	}
	if out.Verdict == "" {
		// Evidence holds a text or a list with one.
		var list []string
		if json.Unmarshal(a.Evidence.Verdict, &out.Verdict) != nil && json.Unmarshal(a.Evidence.Verdict, &list) == nil && len(list) > 0 {
			out.Verdict = list[0]
		}
	}
	return out, nil
}
