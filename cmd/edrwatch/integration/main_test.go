//go:build integration && linux

package integration

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/deploy/testbed"
	"github.com/edrwatch/edrwatch/rules"
)

// bench is what the tests of the package share: the servers, the binary, the
// records and what must come out of them. Tests run one after the other.
type bench struct {
	servers testbed.Shared
	dir     string
	binary  string
	rules   string       // the library without the rules about the fleet
	records *corpus      // what the simulated fleet and its vandals sent
	want    *expectation // what must come out of it
	elastic *elastic     // set up on first use
}

var shared bench

func TestMain(m *testing.M) { os.Exit(shared.run(m)) }

func (b *bench) run(m *testing.M) int {
	flag.Parse()
	var err error
	if b.dir, err = os.MkdirTemp("", "edrwatch-integration-"); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	defer os.RemoveAll(b.dir)
	b.binary = filepath.Join(b.dir, "edrwatch")
	build := exec.Command("go", "build", "-o", b.binary, "github.com/edrwatch/edrwatch/cmd/edrwatch")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "integration: building edrwatch: %v\n%s", err, out)
		return 1
	}
	// What the judge of the fleet finds depends on how far the partitions are
	// at a time; here every document is compared with the replay of a partition.
	b.rules = filepath.Join(b.dir, "rules")
	if err := errors.Join(os.CopyFS(b.rules, rules.Library()), os.RemoveAll(filepath.Join(b.rules, "fleet"))); err != nil {
		fmt.Fprintln(os.Stderr, "integration: copying the rules:", err)
		return 1
	}
	return b.servers.Run(m)
}

// kafka is the shared broker, which has secured listeners, too.
func (b *bench) kafka(t testing.TB) *testbed.KafkaServer {
	t.Helper()
	return b.servers.Kafka(t, testbed.Secure())
}

// eventually polls try until it succeeds and fails the test when it does not
// within the limit.
func eventually(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		case <-tick.C:
		}
	}
}
