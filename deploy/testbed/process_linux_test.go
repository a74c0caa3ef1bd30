package testbed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServersDieWithTheTestProcess kills a process that has started a server, which
// is this test in a process of its own.
func TestServersDieWithTheTestProcess(t *testing.T) {
	const variable = "EDRWATCH_TESTBED_DIE"
	if dir := os.Getenv(variable); dir != "" {
		p, err := command{name: "test server", path: "/bin/sleep", args: []string{"1000"}, dir: dir, logFile: filepath.Join(dir, "log")}.start()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("\nserver", p.pid)
		<-p.done
		return
	}

	self := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	self.Env = append(os.Environ(), variable+"="+t.TempDir())
	out, err := self.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = self.Process.Kill()
		_ = self.Wait()
	})
	var pid int
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "server %d", &pid)
	}
	if pid == 0 {
		t.Fatal("the process told no server")
	}

	if err := self.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := poll(ctx, func() error { return gone(pid) }); err != nil {
		t.Error(err)
	}
}

func TestStopKillsChildrenAndServersThatDoNotListen(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		killed bool
	}{
		"obedient":           {"sleep 1000 & echo child $!; trap 'exit 0' TERM; wait", false},
		"deaf to the signal": {"trap '' TERM; sleep 1000 & echo child $!; wait; wait", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := startShell(t, test.script)
			var child int
			err := p.await(t.Context(), time.Minute, func(context.Context) error {
				_, rest, _ := strings.Cut(p.logTail(), "child ")
				_, err := fmt.Sscan(rest, &child)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			err = p.stop(200 * time.Millisecond)
			if killed := err != nil; killed != test.killed {
				t.Errorf("killed: %t (%v), expected %t", killed, err, test.killed)
			}
			if p.running() {
				t.Error("still running")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := poll(ctx, func() error { return gone(child) }); err != nil {
				t.Error(err)
			}
		})
	}
}

// gone fails while a process runs; one that has ended but that its new parent has
// not collected counts as gone.
func gone(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	var id int
	var name, state string
	if _, err := fmt.Sscan(string(stat), &id, &name, &state); err != nil {
		return err
	}
	if state == "Z" {
		return nil
	}
	return fmt.Errorf("process %d %s is still there in state %s", pid, name, state)
}
