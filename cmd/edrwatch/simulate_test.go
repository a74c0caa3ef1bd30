package main

import (
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
)

func TestSimulateProducesWhatItWritesAsACapture(t *testing.T) {
	broker, err := app.StartBroker(app.BrokerConfig{Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	simulation := []string{"simulate", "--scenario", "quiet", "--agents", "40", "--duration", "30m"}
	capture, stderr, code := cli(t, "", simulation...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	_, stderr, code = cli(t, "", append(simulation, "--to-kafka", broker.Addr(), "--speed", "0")...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	produced, stderr, code := cli(t, "", "capture", "--brokers", broker.Addr(), "--idle", "300ms",
		"--topic", "edr.crowdstrike.fdr", "--topic", "edr.metrics")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, topic := range []string{`"topic":"edr.crowdstrike.fdr"`, `"topic":"edr.metrics"`} {
		if want, got := strings.Count(capture, topic), strings.Count(produced, topic); got != want || want < 100 {
			t.Errorf("%s: expected the %d records of the capture, found %d", topic, want, got)
		}
	}
}

func TestSimulateRefusesWhatItCannotDo(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"--start", "yesterday"}, "expected a time such as", exitUsage},
		{[]string{"--speed", "-1", "--to-kafka", "127.0.0.1:1"}, "--speed: expected at least 0", exitUsage},
		{[]string{"--to-kafka", "nowhere"}, "expected host:port", exitConfig},
		{[]string{"--to-kafka", "127.0.0.1:1", "--out", "x"}, "to-kafka", exitUsage},
	} {
		_, stderr, code := cli(t, "", append([]string{"simulate", "--scenario", "quiet", "--duration", "1m", "--agents", "20"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: expected %q and exit code %d, found %d: %s", c.args, c.want, c.code, code, stderr)
		}
	}
}
