package sinktest

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Memory is the reference: a sink and its destination in one, in memory. It is
// also the sink to use in tests of whoever calls sinks.
type Memory struct {
	mu     sync.Mutex
	plan   Plan
	stored []Stored
	seen   map[string]bool
}

// NewMemory returns an empty one that stores everything.
func NewMemory() *Memory { return &Memory{seen: make(map[string]bool)} }

// Traits returns what Memory can do: everything.
func (*Memory) Traits() Traits {
	return Traits{Scripted: true, Refuses: true, Defers: true, Idempotent: true}
}

// Follow replaces the plan.
func (m *Memory) Follow(plan Plan) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.plan = plan
}

// Contents returns what is stored, in the order of arrival.
func (m *Memory) Contents() []Stored {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.stored)
}

// Write stores what the plan lets it store.
func (m *Memory) Write(ctx context.Context, docs []*event.Document, results []event.Result) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(docs) == 0 {
		return nil
	}
	m.mu.Lock()
	plan := m.plan
	m.mu.Unlock()
	answer, verdict := Decide(plan, ids(docs))
	switch answer {
	case Unavailable:
		return fault.New(fault.Transient, fault.Unavailable, "writing to memory: told to fail")
	case Silent:
		<-ctx.Done()
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	later := 0
	for i, d := range docs {
		result := m.store(d, verdict(d.ID))
		if result.Outcome == event.Pending {
			later++
		}
		if answer == Whole {
			results[i] = result
		}
	}
	if answer == Truncated {
		return fault.New(fault.Transient, fault.Garbled, "writing to memory: the answer was cut off")
	}
	if later > 0 {
		return fault.New(fault.Transient, fault.Overloaded, "writing to memory: %d of %d documents were put off", later, len(docs))
	}
	return nil
}

func (m *Memory) store(d *event.Document, verdict Verdict) event.Result {
	switch {
	case verdict == Refuse:
		return event.Result{Outcome: event.Refused, Err: fault.New(fault.Permanent, fault.Rejected, "document %s is refused", d.ID)}
	case verdict == Later:
		return event.Result{Err: fault.New(fault.Transient, fault.Overloaded, "document %s is put off", d.ID)}
	case m.seen[d.ID]:
		return event.Result{Outcome: event.Duplicate}
	}
	m.seen[d.ID] = true
	m.stored = append(m.stored, Stored{ID: d.ID, Body: bytes.Clone(d.Body)})
	return event.Result{Outcome: event.Indexed}
}

// Decide asks plan about a request and completes what it leaves open, for
// fakes that follow plans.
func Decide(plan Plan, ids []string) (Answer, func(id string) Verdict) {
	everything := func(string) Verdict { return Store }
	if plan == nil {
		return Whole, everything
	}
	answer, verdict := plan(ids)
	if verdict == nil {
		verdict = everything
	}
	return answer, verdict
}

func ids(docs []*event.Document) []string {
	list := make([]string, len(docs))
	for i, d := range docs {
		list[i] = d.ID
	}
	return list
}
