package sinktest

import (
	"context"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Sink is what is tested; it has the method of pipeline.Sink.
type Sink interface {
	Write(ctx context.Context, docs []*event.Document, results []event.Result) error
}

// Verdict is what a destination does with one document of a request.
type Verdict uint8

// The verdicts.
const (
	Store  Verdict = iota // keep it
	Later                 // do not keep it, ask for it again
	Refuse                // do not keep it, ever
)

// Answer is how a destination answers a request as a whole.
type Answer uint8

// The answers.
const (
	Whole       Answer = iota // each document gets its verdict and the answer arrives
	Truncated                 // each document gets its verdict but the answer arrives cut off
	Unavailable               // nothing is stored and the answer says later
	Silent                    // nothing is stored and no answer arrives until the client goes away
)

// Plan decides about one request from the ids of its documents; it may be
// called from several goroutines. The verdict is asked once per document, and
// only for the answers Whole and Truncated. A nil verdict stores everything.
type Plan func(ids []string) (Answer, func(id string) Verdict)

// Stored is one document that a destination holds.
type Stored struct {
	ID   string
	Body []byte
}

// Destination is the other side of the sink: usually a strict fake server.
type Destination interface {
	// Follow replaces the plan; at first everything is stored. A destination
	// that cannot be scripted (a file) ignores it and has no Traits.
	Follow(plan Plan)
	// Contents returns everything that is stored, repeats included.
	Contents() []Stored
}

// Traits tell what a destination can do; tests that need more are left out.
type Traits struct {
	Scripted   bool // follows plans: Unavailable, Truncated and Silent
	Refuses    bool // can refuse one document of a request
	Defers     bool // can answer Later for one document of a request
	Idempotent bool // stores an id once and reports a repeat as such
}
