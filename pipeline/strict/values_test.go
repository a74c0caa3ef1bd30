package strict_test

import (
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "10s": 10 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond,
		"1d": 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1w1d1h": 193 * time.Hour, "-1d": -24 * time.Hour,
	} {
		got, err := strict.ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
		if again, err := strict.ParseDuration(strict.FormatDuration(got)); err != nil || again != got {
			t.Errorf("%q is written %q and read as %v, %v", text, strict.FormatDuration(got), again, err)
		}
	}
	for _, text := range []string{"", "10", "-", "d", "1dd", "1d-2h", "--1s", "1.5d", "9999999d", "106751d24h", "s", "1y"} {
		if got, err := strict.ParseDuration(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]strict.Bytes{
		"0": 0, "4096": 4096, "8MiB": 8 << 20, "8 mib": 8 << 20, "10MB": 10e6, "1.5GB": 15e8, "1kB": 1000, "100B": 100, "1TiB": 1 << 40,
	} {
		var got strict.Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
		var again strict.Bytes
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%d is written %q and read as %d, %v", got, got, again, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "-1MiB", "1.5", "1.5B", "8M", "8 MiBs", "9223372036854775807KiB", "1e30TB", "NaNMB", "0x1pMB", "1_000"} {
		var got strict.Bytes
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	candidates := []string{
		"severity", "risk_score", "agent.id", "agent.name", "agent.version", "host.id", "host.name", "host.os.name",
		"edr.resource.cpu_pct", "edr.state", "edr.mode", "process.name", "process.pid",
	}
	for name, want := range map[string]string{
		"sevrity": "severity", "Severity": "severity", "severtiy": "severity", "risk-score": "risk_score",
		"agent.nmae": "agent.name", "agent.idd": "agent.id", "hots.name": "host.name", "cpu_pct": "edr.resource.cpu_pct",
		"edr.cpu_pct": "edr.resource.cpu_pct", "edr.stat": "edr.state", "proces.pid": "process.pid",
		"x": "", "": "", "unrelated": "", "host": "",
	} {
		if got, ok := strict.Nearest(name, candidates); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
