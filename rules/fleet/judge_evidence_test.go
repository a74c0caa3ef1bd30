package fleet

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestVersionThatFailsOnOneModel: one model of hardware in six crashes some
// minutes after a file has come, one by one, until everybody has it.
func TestVersionThatFailsOnOneModel(t *testing.T) {
	w := newWorld(t, 600, 3, 8)
	for i, a := range w.agents {
		a.Model = []string{"R750", "DL380", "SR650", "R740", "DL360", "XR12"}[i%6]
	}
	w.run(30*time.Minute, nobody)
	for i := range w.agents {
		w.send(i, w.agents[i], "content-updated", "32")
		w.run(6*time.Second, nobody)
		if before := i - 20; before >= 0 && before%6 == 2 && before%18 == 2 {
			w.send(before, w.agents[before], "host-crashed", "")
		}
		if other := i * 37 % 600; i%3 == 1 && other%6 != 2 { // Others crash whether they have it or not.
			w.send(other, w.agents[other], "host-crashed", "")
		}
	}
	w.run(time.Minute, nobody)
	f, ok := w.kinds()["bad_rollout"]
	if !ok || !strings.Contains(f.Reason, "SR650 with") || f.Count < leastHarmed || f.Count > 34 || f.Denominator > 100 {
		t.Fatalf("found %+v", w.findings)
	}
	for _, host := range f.Hosts {
		if n := w.number(host); n%6 != 2 {
			t.Errorf("%s is named and no SR650", host)
		}
	}
	r := w.fleet.Rollouts(DefaultPolicy())[0]
	if r.Model != "SR650" || len(r.Models) != 6 {
		t.Errorf("the rollout fails on %q, and reached %v", r.Model, r.Models)
	}
}

// TestDiversityOfHardware: a ring of one model says nothing about the others.
func TestDiversityOfHardware(t *testing.T) {
	w := newWorld(t, 300, 1, 3)
	for i, a := range w.agents {
		a.Model = []string{"R750", "DL380"}[i%2]
	}
	w.run(30*time.Minute, nobody)
	policy := DefaultPolicy()
	policy.Default = RingPolicy{MinModels: 2}
	for i, want := range []Verdict{Hold, Continue} {
		w.send(i, w.agents[i], "content-updated", "32")
		w.run(time.Minute, nobody)
		r := w.fleet.Rollouts(policy)[0]
		told := len(r.Reasons) == 1 && strings.Contains(r.Reasons[0].What, "models of hardware")
		if r.Verdict != want || told != (want == Hold) {
			t.Errorf("%d models: %s, %+v", i+1, r.Verdict, r.Reasons)
		}
	}
}

func (w *world) number(host string) int {
	for i, a := range w.agents {
		if a.HostName == host {
			return i
		}
	}
	return -1
}

// TestLostWithASite: an agent of which no site is known is not missed while a
// site is dark that was lost with it.
func TestLostWithASite(t *testing.T) {
	w := newWorld(t, 400, 2, 6)
	for i := range 8 {
		w.agents[i*50].Site = ""
	}
	w.run(30*time.Minute, nobody)
	lost := func(i int) bool { return i%6 == 2 || i == 100 }
	w.run(6*time.Minute, lost)
	if w.kinds()["site_outage"].Site != "site-2" {
		t.Fatalf("found %+v", w.findings)
	}
	w.run(10*time.Minute, func(i int) bool { return lost(i) || i == 150 })
	dark := func(i int) bool { return w.shards[0].Dark(w.agents[i]) }
	if !dark(100) || dark(150) || dark(3) {
		t.Errorf("lost with the site %v, later %v, at another site %v", dark(100), dark(150), dark(3))
	}
	w.run(10*time.Minute, func(i int) bool { return i == 100 || i == 150 })
	if dark(100) {
		t.Error("the site is back and the agent is not: it is to be missed")
	}
}

// TestReplayEnds: when a capture ends nothing is reported; when it goes on after
// a gap the stall is, by the time at which it was due.
func TestReplayEnds(t *testing.T) {
	w := newWorld(t, 300, 1, 5)
	w.run(30*time.Minute, nobody)
	stopped := w.now
	w.run(20*time.Minute, func(int) bool { return true })
	a := w.agents[0]
	w.e.Reset()
	w.now += int64(time.Second)
	w.endSteps()
	w.shards[0].Observe(a, w.e, w.now, w.now-int64(3*time.Hour), "topic") // from a batch that is late
	if len(w.findings) > 0 {
		t.Fatalf("found %+v", w.findings)
	}
	w.run(5*time.Minute, nobody)
	f := w.kinds()["pipeline_silence"]
	if late := time.Duration(f.At - stopped); late < 2*time.Minute || late > 5*time.Minute {
		t.Errorf("reported %v after the stall began, want three minutes: %+v", late, w.findings)
	}
}

func TestEvidenceIsAMean(t *testing.T) {
	var e evidence
	if l := e.Log(); l != 0 {
		t.Errorf("nothing was compared and the value is %v", l)
	}
	e.Observe(0, 1, 0) // Counted, and nothing to compare with.
	if l := e.Log(); math.Abs(l) > 1e-12 {
		t.Errorf("all comparisons stand at one and the value is e to the %v", l)
	}
	for range maxModels + 3 {
		e.model(strings.Repeat("m", len(e.models)+1))
	}
	if l := e.Log(); math.Abs(l) > 1e-12 || len(e.models) != maxModels {
		t.Errorf("%d models that stand at one: e to the %v", len(e.models), l)
	}
}
