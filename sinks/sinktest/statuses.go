package sinktest

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Status is what an answer's HTTP status must be classified as.
type Status struct {
	Code   int
	Class  fault.Class
	Reason fault.Reason
}

// Statuses tests how a sink classifies a whole request's HTTP status: write
// must write one document to a server that answers with code and return what
// Write returned. An operator's fault must say what to do.
func Statuses(t *testing.T, table []Status, write func(t *testing.T, code int) error) {
	t.Helper()
	for _, want := range table {
		t.Run(strconv.Itoa(want.Code)+" "+http.StatusText(want.Code), func(t *testing.T) {
			err := write(t, want.Code)
			if err == nil {
				t.Fatalf("HTTP status %d gave no error", want.Code)
			}
			got := fault.Of(err)
			if got.Class != want.Class || got.Reason != want.Reason {
				t.Errorf("HTTP status %d is %v, %s (%v); want %v, %s", want.Code, got.Class, got.Reason, err, want.Class, want.Reason)
			}
			if got.Class == fault.Operator && got.Hint == "" {
				t.Errorf("HTTP status %d is for the operator, but %q does not say what to do", want.Code, err)
			}
		})
	}
}
