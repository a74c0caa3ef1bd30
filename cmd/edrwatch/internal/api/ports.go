package api

import (
	"context"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/canary"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/sinks/store"
)

// Store answers the questions of the console. *store.Store implements it.
type Store interface {
	Search(ctx context.Context, q store.Query) (store.Page, error)
	Histogram(ctx context.Context, q store.Query, buckets int) (store.Histogram, error)
	Document(ctx context.Context, id string) (store.Doc, error)
	Alerts(ctx context.Context, q store.Query) (store.AlertPage, error)
	Alert(ctx context.Context, alertID string) (store.Episode, []store.Doc, error)
	AlertSummary(ctx context.Context, from, to int64) ([]store.AlertCount, error)
	Stats(ctx context.Context) (store.Stats, error)
}

// Gateway tells what the pipeline does. Its methods are called by many
// goroutines and must not block.
type Gateway interface {
	Status() Status
	Rules() []Rule
}

// Rollouts tells what is known of the versions that agents get. Its method is
// called by many goroutines.
type Rollouts interface {
	Rollouts() []fleet.Rollout
}

// Status is what the gateway says about itself. Counts are since its start.
type Status struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Input tells where records come from, in one line for a reader: topics
	// and brokers, or files. Never a secret.
	Input string `json:"input"`
	// Example is a command that sends one record to this gateway, for a reader
	// who looks at an empty console; "" shows a general one.
	Example string `json:"example,omitempty"`
	// Records counts input records by outcome: mapped, other, dead, filtered,
	// duplicate, in_flight.
	Records map[string]uint64 `json:"records"`
	// RecordsPerSecond is the recent rate.
	RecordsPerSecond float64 `json:"records_per_second"`
	// Lag is how many records the gateway is behind; nil when it is not known.
	Lag   *int64       `json:"lag"`
	Sinks []SinkStatus `json:"sinks"`
	// Fleet says how far in the log the fleet is judged, and what that waits for.
	Fleet FleetStatus `json:"fleet"`
	// Gateway is the name of this gateway among those of the cluster.
	Gateway string `json:"gateway"`
	// Canaries are the agents that this gateway plays in the feeds whose
	// partition 0 it owns; null where none are configured.
	Canaries []canary.Status `json:"canaries"`
}

// FleetStatus tells whether what is said across partitions is up to date.
type FleetStatus struct {
	// Judged is the time of the log, by the brokers' clocks, up to which the fleet
	// is judged; null before the first step was.
	Judged *time.Time `json:"judged"`
	// Waiting lists what the judgement waits for, or does without; empty when it is
	// up to date.
	Waiting []FleetWaiting `json:"waiting"`
	// Partial is true while partitions that could not be waited for are left out:
	// their agents stand as they were last known, and alerts say so.
	Partial bool `json:"partial"`
	// Text is all that in one line for a reader; "" when it is up to date.
	Text string `json:"text"`
}

// FleetWaiting is one reason and the partitions that it holds for.
type FleetWaiting struct {
	Reason     string   `json:"reason"` // catching_up, in_transit or left_out
	Partitions []string `json:"partitions"`
}

// SinkStatus counts the documents of one sink by outcome.
type SinkStatus struct {
	Name      string            `json:"name"`
	Documents map[string]uint64 `json:"documents"` // by outcome
	// Error is why the sink is not taking documents now; "" when it is.
	Error string `json:"error,omitempty"`
}

// Rule is a detection rule as an analyst reads it.
type Rule struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Version     int      `json:"version"`
	Type        string   `json:"type"`
	Kind        string   `json:"kind"`     // edr.alert.kind
	Severity    string   `json:"severity"` // edr.alert.severity
	Judged      string   `json:"judged"`   // by partition, or over the whole fleet: partition, fleet
	Stage       string   `json:"stage"`    // such as production or shadow
	Description string   `json:"description"`
	Note        string   `json:"note"` // what to do about an alert
	Techniques  []string `json:"techniques,omitempty"`
	File        string   `json:"file,omitempty"`
	// Cost is what the rule did since the gateway has run it; nil of rules that
	// do not run.
	Cost *RuleCost `json:"cost,omitempty"`
}

// RuleCost is what a rule did and takes in all partitions of a gateway.
type RuleCost struct {
	Candidates uint64 `json:"candidates"` // events for which its condition was evaluated
	Matches    uint64 `json:"matches"`
	Absent     uint64 `json:"absent"` // events for which it was unknown: a field was missing
	Errors     uint64 `json:"errors"` // evaluations that failed
	Late       uint64 `json:"late"`
	NoKey      uint64 `json:"no_key"`
	Excepted   uint64 `json:"excepted"`
	Alerts     uint64 `json:"alerts"` // documents
	Shadowed   uint64 `json:"shadowed"`
	OverBudget uint64 `json:"over_budget"` // partitions in which it turned shadow
	// Seconds that it took, and nanoseconds for a candidate, timers included;
	// from a sample.
	Seconds     float64 `json:"seconds"`
	Nanoseconds float64 `json:"nanoseconds_per_candidate"`
	Keys        int64   `json:"keys"`
	StateBytes  int64   `json:"state_bytes"` // estimated
	// Evicted because a limit was reached, by reason: keys, state, values.
	Evictions map[string]uint64 `json:"evictions"`
}

// Check is one condition of readiness.
type Check struct {
	Name string
	// Run returns nil when the condition holds. It observes ctx.
	Run func(ctx context.Context) error
}
