// Package fault classifies what can go wrong on a record's way, so that one
// place, the pipeline, can decide: try again, ask for help, or bury the record.
//
// Whoever meets a failure classifies it, where the knowledge is: a sink knows
// which status codes pass by themselves. Nobody else looks at error texts.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Class tells what can be done about a failure.
type Class uint8

const (
	// Transient failures pass by themselves; the same bytes are sent again.
	Transient Class = iota
	// Operator failures last until someone acts (a rejected key, a missing
	// index). Nothing is dropped meanwhile: the sink pauses and readiness fails.
	Operator
	// Permanent failures belong to the record. Trying again cannot help; the
	// record goes to the dead letter.
	Permanent
)

// String returns the name used in logs and metrics.
func (c Class) String() string { return [...]string{"transient", "operator", "permanent"}[c] }

// Reason is a value of a closed list, short enough to be a metric label.
type Reason string

// The reasons of failures.
const (
	Unparsable      Reason = "unparsable"       // not in the format that its source promised
	TooLarge        Reason = "too_large"        // over a configured or a server's limit
	Undecodable     Reason = "undecodable"      // a fetched batch or a value that cannot be decompressed or decoded
	UnknownSchema   Reason = "unknown_schema"   // the schema registry does not know the schema of a value
	MappingRejected Reason = "mapping_rejected" // the server refuses the document's shape
	Rejected        Reason = "rejected"         // the server refuses the document otherwise
	Unauthorized    Reason = "unauthorized"     // credentials refused or lacking a privilege
	Misconfigured   Reason = "misconfigured"    // a stream, index, token or channel is not set up
	Unavailable     Reason = "unavailable"      // no answer, or an answer that says later
	Overloaded      Reason = "overloaded"       // the server asks to slow down
	Garbled         Reason = "garbled"          // an answer that makes no sense; the outcome is unknown
	Internal        Reason = "internal"         // a defect of edrwatch itself
)

// Error is a classified failure.
type Error struct {
	Class  Class
	Reason Reason
	// Hint says what the operator can do; "" where there is nothing to do.
	Hint string
	// RetryAfter is how long the other side asked to wait; 0 if it did not.
	RetryAfter time.Duration
	Err        error
}

// New returns a classified failure with a formatted cause (%w wraps).
func New(class Class, reason Reason, format string, args ...any) *Error {
	return &Error{Class: class, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// WithHint sets what the operator can do and returns e.
func (e *Error) WithHint(hint string) *Error {
	e.Hint = hint
	return e
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + ": " + e.Hint
}

func (e *Error) Unwrap() error { return e.Err }

// Of returns the classification of err. An error that nobody classified is
// transient: trying again loses nothing.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Class: Transient, Reason: Unavailable, Err: err}
}
