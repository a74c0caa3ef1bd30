package strict

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a file, at one position of it.
type Problem struct {
	File    string
	Line    int    // 1-based; 0 when the problem has no position in the file.
	Column  int    // 1-based, counted in characters; 0 when unknown.
	Message string // What is wrong: what was expected and what was found.
	Hint    string // What to do about it; may be empty.
}

// String returns "file:line:column: message (hint)", leaving out what is unknown.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
	}
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, "%d:", p.Column)
		}
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Error holds every problem that was found, so that a user mends a file in one round.
type Error struct {
	Problems []Problem // Sorted by file, line, column and message.
}

// Error returns all problems, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// NewError returns an *Error with the given problems sorted and without repetitions, or nil when there are none.
func NewError(problems ...Problem) error {
	if len(problems) == 0 {
		return nil
	}
	sorted := slices.Clone(problems)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return &Error{Problems: slices.Compact(sorted)}
}

// Merge joins the problems of several errors into one *Error. An error that is not an *Error becomes a problem
// without a position. Merge returns nil when every error is nil.
func Merge(errs ...error) error {
	var problems []Problem
	for _, err := range errs {
		problems = append(problems, problemsOf(err)...)
	}
	return NewError(problems...)
}

func problemsOf(err error) []Problem {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return known.Problems
	}
	return []Problem{{Message: err.Error()}}
}
