package main

// Exit codes. 78 is EX_CONFIG of sysexits.h.
const (
	exitOK       = 0
	exitFindings = 1  // the command worked and found something wrong
	exitUsage    = 2  // the command line is wrong, or the command failed
	exitHold     = 10 // rollout verdict: wait
	exitRollback = 11 // rollout verdict: go back
	exitConfig   = 78
)

// exitError is an error with the exit code that goes with it. Without a cause
// nothing more is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return "findings"
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// badConfig marks an error of configuration, mapping or rule files.
func badConfig(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitConfig, err}
}

// findings marks a result that a script should notice.
func findings() error { return &exitError{code: exitFindings} }
