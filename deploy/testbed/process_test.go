//go:build unix

package testbed

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAwaitShowsTheLogOfAServerThatEnds(t *testing.T) {
	p := startShell(t, "echo cannot bind; exit 3")
	err := p.await(t.Context(), time.Minute, func(context.Context) error { return errors.New("not yet") })
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"test server ended while starting", "exit status 3", "not yet", "cannot bind"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not contain %q: %v", want, err)
		}
	}
}

func TestAwaitGivesUpAtTheDeadline(t *testing.T) {
	p := startShell(t, "sleep 1000")
	err := p.await(t.Context(), 50*time.Millisecond, func(context.Context) error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "was not ready after 50ms: not yet") {
		t.Errorf("error %v", err)
	}
}

func startShell(t *testing.T, script string) *process {
	t.Helper()
	dir := t.TempDir()
	p, err := command{
		name: "test server", path: "/bin/sh", args: []string{"-c", script},
		dir: dir, logFile: filepath.Join(dir, "log"),
	}.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}
