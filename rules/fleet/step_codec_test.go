package fleet

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

// sampleStep has every part that a step can have.
func sampleStep() *Step {
	key := Stratum{Product: "crowdstrike-falcon", OS: "windows", HostType: "server", Ring: "early"}
	s := newStep(1721362160e9)
	s.Strata[key] = &StratumStep{
		Alive: 940, Silent: 60, Returned: 1, NewlySilent: 9, Fell: 8, Failures: [classes + 1]int{7, 1, 0, 0, 0, 8},
		Casualties: []Casualty{{Host: "srv-0012", Site: "hall-1", Class: Crash, Heard: 1721362090e9}},
	}
	s.Strata[Stratum{Product: "osquery", OS: "linux"}] = &StratumStep{Alive: 12}
	s.Sites["hall-1"] = &SiteStep{Alive: 500, Silent: 50, NewlySilent: 3, Returned: 2, Hosts: []string{"srv-0012", "srv-0013", "srv-0003"}}
	s.Sites[""] = &SiteStep{Alive: 452}
	s.Feeds["edr.crowdstrike.fdr"] = &FeedStep{Records: 900, Beats: 80, Late: 4, Due: 83.25e6, Alive: 1000, First: 1721362150e9, Last: 1721362159e9, Least: 2e9}
	s.Versions[Version{"crowdstrike-falcon", Content, "291", "291.31"}] = &VersionStep{
		Exposed: 10, Rings: map[string]int{"early": 10}, Sites: map[string]int{"hall-1": 6, "hall-2": 4},
		Strata: map[Stratum]*ArmStep{key: {Alive: 100, Exposed: 9, Fell: 4, Failures: [classes + 1]int{4, 0, 0, 0, 0, 4}, Early: [classes + 1]int{3, 0, 0, 0, 0, 3},
			Casualties: []Casualty{{Host: "srv-0013", Model: "PowerEdge R750", Class: Silence, Heard: 1}}}},
		Models: map[string]*ModelArm{"PowerEdge R750": {Alive: 60, Exposed: 5, Failures: [classes + 1]int{3, 0, 0, 0, 0, 3}, Early: [classes + 1]int{2, 0, 0, 0, 0, 2}}},
	}
	s.Hosts = []HostIncident{{"srv-0012", hostCrashed, 1721362100e9, 1721362155e9}, {"lap-1", hostShutdown, 1721362150e9, 1721362151e9}}
	s.Models[ModelKey{"crowdstrike-falcon", "PowerEdge R750"}] = &ModelStep{Alive: 400, Failures: [classes + 1]int{5, 1, 0, 0, 0, 6}}
	v := &VersionStep{}
	v.init()
	s.Versions[Version{"crowdstrike-falcon", Sensor, "", "7.16"}] = v
	return s
}

func TestStepRoundTrip(t *testing.T) {
	long := newStep(20e9)
	long.Sites[strings.Repeat("x", 2000)+"1"] = &SiteStep{Alive: 1}
	long.Sites[strings.Repeat("x", 2000)+"2"] = &SiteStep{Alive: 2}
	if back, err := ParseStep(AppendStep(nil, long)); err != nil || len(back.Sites) != 2 {
		t.Errorf("two long names that begin alike: %v, %v", back, err)
	}
	for name, s := range map[string]*Step{"full": sampleStep(), "empty": newStep(10e9)} {
		b := AppendStep([]byte("before"), s)
		back, err := ParseStep(b[len("before"):])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(back, s) {
			t.Errorf("%s: came back as %+v, want %+v", name, back, s)
		}
	}
}

// The bytes are what other gateways read.
func TestStepGolden(t *testing.T) {
	quiet := sampleStep()
	quiet.Hosts = nil
	for name, step := range map[string]*Step{"step.hex": quiet, "step-hosts.hex": sampleStep()} {
		path := filepath.Join("testdata", name)
		got := AppendStep(nil, step)
		if goldentest.Update() {
			if err := os.WriteFile(path, []byte(hex.Dump(got)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if hex.Dump(got) != string(want) {
			t.Errorf("%s: the bytes of a step changed: raise its format and run with EDRWATCH_UPDATE=1\n%s", name, hex.Dump(got))
		}
	}
}

func TestParseStepRefuses(t *testing.T) {
	good := AppendStep(nil, sampleStep())
	for n := range good {
		if _, err := ParseStep(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", n, len(good))
		}
	}
	if _, err := ParseStep(append(bytes.Clone(good), 0)); err == nil || !strings.Contains(err.Error(), "the end") {
		t.Errorf("bytes after the end: %v", err)
	}
	if _, err := ParseStep([]byte{9}); err == nil || !strings.Contains(err.Error(), "same release") {
		t.Errorf("another format: %v", err)
	}
	crowd := sampleStep()
	crowd.Sites["hall-1"].Hosts = make([]string, maxCasualties+1)
	if _, err := ParseStep(AppendStep(nil, crowd)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too many hosts: %v", err)
	}
}

func FuzzParseStep(f *testing.F) {
	f.Add(AppendStep(nil, sampleStep()))
	f.Add(AppendStep(nil, newStep(1)))
	f.Add([]byte{stepFormat, 0, 2, 0, 1, 'a', 1, 200})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStep(b)
		if err != nil {
			return
		}
		again := AppendStep(nil, s)
		back, err := ParseStep(again)
		if err != nil || !bytes.Equal(AppendStep(nil, back), again) {
			t.Fatalf("what was read can not be written and read again: %v", err)
		}
	})
}

// BenchmarkStepCodec tells what a gateway of 10,000 agents sends every ten seconds.
func BenchmarkStepCodec(b *testing.B) {
	s := newStep(1721362160e9)
	for site := range 200 {
		s.Sites[fmt.Sprintf("10.%d.%d.0/24", site/16, site)] = &SiteStep{Alive: 50, Silent: site % 3}
	}
	v := &VersionStep{Exposed: 17}
	v.init()
	s.Versions[Version{"crowdstrike-falcon", Content, "291", "291.31"}] = v
	for i := range 12 {
		key := Stratum{Product: "crowdstrike-falcon", OS: []string{"windows", "linux", "macos"}[i%3], HostType: []string{"server", "workstation"}[i%2], Ring: []string{"canary", "early", "broad"}[i/4]}
		s.Strata[key] = &StratumStep{Alive: 833, Silent: 4}
		v.Strata[key] = &ArmStep{Alive: 80}
		v.Rings[key.Ring]++
	}
	s.Feeds["edr.crowdstrike.fdr"] = &FeedStep{Records: 1000, Beats: 833, Due: 833.3e6, Alive: 10_000}
	bytes := AppendStep(nil, s)
	for b.Loop() {
		if _, err := ParseStep(AppendStep(bytes[:0], s)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(bytes)), "bytes/step")
}
