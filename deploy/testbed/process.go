//go:build unix

package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// command tells how a server process is started; it can be started repeatedly.
type command struct {
	name       string // for messages
	path       string
	args       []string
	env        []string // added to the environment of the test process
	dir        string
	logFile    string // standard output and error are appended here
	credential *syscall.Credential
}

// process is a running server, or one that has ended.
type process struct {
	command
	pid  int
	done chan struct{} // closed when the process has ended
	err  error         // how it ended, to be read after done
}

// start starts the process in a group of its own.
func (c command) start() (*process, error) {
	log, err := os.OpenFile(c.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening log of %s: %w", c.name, err)
	}
	cmd := exec.Command(c.path, c.args...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Dir = c.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = sysProcAttr(c.credential)

	p := &process{command: c, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent-death signal is tied to the thread that forked: keep it until the server has ended.
		runtime.LockOSThread()
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			// Children that outlived it, now, while nobody else can have got the number of the group.
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// await polls ready until it succeeds. It gives up when the process ends or the
// deadline passes, and then the error holds the end of the server's log.
func (p *process) await(ctx context.Context, deadline time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended while starting: %w\n%s", p.name, errors.Join(p.err, err), p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready after %s: %w\n%s", p.name, deadline, err, p.logTail())
		case <-tick.C:
		}
	}
}

// kill ends the whole process group at once (SIGKILL) and waits for the end.
func (p *process) kill() {
	if p.running() {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	<-p.done
}

// stop asks the process to end (SIGTERM) and kills it when it has not after grace.
func (p *process) stop(grace time.Duration) error {
	if p.running() {
		_ = syscall.Kill(p.pid, syscall.SIGTERM)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		p.kill()
		return fmt.Errorf("%s did not stop within %s and was killed\n%s", p.name, grace, p.logTail())
	}
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// logTail returns the end of the server's log.
func (c command) logTail() string {
	content, err := os.ReadFile(c.logFile)
	if err != nil {
		return err.Error()
	}
	return "end of the log of " + c.name + ":\n" + lastLines(strings.TrimSpace(string(content)), 30)
}

func lastLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
