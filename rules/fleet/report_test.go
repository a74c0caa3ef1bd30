package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// about returns the report on a content version of channel 291.
func (w *world) about(p Policy, version string) Rollout {
	w.t.Helper()
	for _, r := range w.fleet.Rollouts(p) {
		if r.Version == version && r.Kind == Content && r.Channel == "291" {
			return r
		}
	}
	w.t.Fatalf("nothing is known of %s", version)
	return Rollout{}
}

func (r *Rollout) why() string {
	var list []string
	for _, reason := range r.Reasons {
		list = append(list, reason.What)
	}
	return strings.Join(list, "; ")
}

func TestHealthyRolloutIsHeldThenContinues(t *testing.T) {
	w := newWorld(t, 600, 2, 10)
	for i, a := range w.agents {
		a.Ring = []string{"canary", "broad"}[min(i%10, 1)]
	}
	policy := Policy{
		Rings:        []RingPolicy{{Name: "canary", MinAgents: 40, Soak: 30 * time.Minute, MinSites: 1}, {Name: "broad", MinAgents: 300, Soak: time.Hour}},
		Default:      DefaultPolicy().Default,
		HoldEvidence: 0.5,
	}
	w.run(30*time.Minute, nobody)
	for i, a := range w.agents {
		if i%10 == 0 && i < 300 {
			w.send(i, a, "content-updated", "2")
		}
	}
	w.run(40*time.Minute, nobody)
	r := w.about(policy, "2")
	if r.Verdict != Hold || r.why() != "agents of the ring canary that got it" {
		t.Errorf("with 30 of 60 canaries %s because of %q", r.Verdict, r.why())
	}
	for i, a := range w.agents {
		if i%10 == 0 && i >= 300 {
			w.send(i, a, "content-updated", "2")
		}
	}
	w.run(5*time.Minute, nobody)
	r = w.about(policy, "2")
	if r.Verdict != Continue || r.CurrentRing != "canary" || r.Exposed != 60 || r.AtRisk != 60 || r.Fleet != 600 || r.Sites != 1 {
		t.Errorf("with all canaries %s in %s because of %q: %d exposed, %d at risk of %d, %d sites", r.Verdict, r.CurrentRing, r.why(), r.Exposed, r.AtRisk, r.Fleet, r.Sites)
	}
	w.send(1, w.agents[1], "content-updated", "2")
	w.run(5*time.Minute, nobody)
	r = w.about(policy, "2")
	if want := "agents of the ring broad that got it; time since the first of the agents of the ring broad"; r.Verdict != Hold || r.why() != want {
		t.Errorf("in the next ring %s because of %q, want %q", r.Verdict, r.why(), want)
	}
	if c := r.Conformance; !c.Phased || c.RingsUsed != 2 || c.FirstRing != 0.1 || c.HarmToStop != nil || c.LongestPause < 30*60 || c.To50Percent != nil || c.To1Percent == nil {
		t.Errorf("conformance %+v", c)
	}
}

func TestHarmfulRolloutIsRolledBack(t *testing.T) {
	w := newWorld(t, 600, 2, 10)
	w.run(30*time.Minute, nobody)
	dead := map[int]bool{}
	for minute := range 20 {
		for k := range 12 {
			i := minute*12 + k
			w.send(i, w.agents[i], "content-updated", "2")
			dead[i] = k%2 == 0
		}
		w.run(time.Minute, func(i int) bool { return dead[i] })
	}
	r := w.about(DefaultPolicy(), "2")
	if r.Verdict != Rollback || r.Harmed < leastHarmed || r.FirstHarm == nil || len(r.HarmedHosts) == 0 {
		t.Fatalf("%s because of %q, %d harmed", r.Verdict, r.why(), r.Harmed)
	}
	c := r.Comparison[Silence]
	if c.With < leastHarmed || c.Ratio == nil || *c.Ratio < 10 || c.Low == nil || *c.Low > *c.Ratio {
		t.Errorf("comparison %+v", c)
	}
	if s := r.Conformance; s.HarmToStop == nil || !s.Spreading || s.FastestPerMin < 1.5 {
		t.Errorf("conformance %+v", s)
	}
	if f := w.kinds()["bad_rollout"]; f.Key != r.AlertKey {
		t.Errorf("the alert is about %q, the report about %q", f.Key, r.AlertKey)
	}
}

func TestVerdictNeedsSight(t *testing.T) {
	p := DefaultPolicy()
	r := Rollout{At: clock(int64(2 * time.Hour)), settled: true, ringFirst: map[string]int64{"": 0}, ringSeen: map[string]int64{"": int64(time.Hour)},
		ringExposed: map[string]int{"": 50}, Sites: 1, OS: []Share{{"windows", 50}}, HostTypes: []Share{{"server", 50}}, Alarm: 10}
	if p.judge(&r); r.Verdict != Continue {
		t.Fatalf("%s because of %q", r.Verdict, r.why())
	}
	for name, change := range map[string]func(*Rollout){
		"feeds stand still: what the agents do is not seen":                                   func(r *Rollout) { r.blind = []string{"edr"} },
		"the fleet has not been watched long enough to know its usual behavior":               func(r *Rollout) { r.settled = false },
		"it has harmed agents; nothing has failed recently":                                   func(r *Rollout) { r.wasAccused = true },
		"there is some evidence that agents with it fail (crash) more often":                  func(r *Rollout) { r.evidence, r.Harmed, r.failure = 5, 2, Crash },
		"sites with agents that got it are dark: what they do is not seen":                    func(r *Rollout) { r.dark = []string{"berlin"} },
		"time in which the agents could be compared with others of their kind without it":     func(r *Rollout) { r.ringSeen = nil },
		"sites among those that got it":                                                       func(r *Rollout) { r.Sites = 0 },
		"operating systems among those that have it; types of hosts among those that have it": func(r *Rollout) { r.OS, r.HostTypes = nil, nil },
	} {
		changed := r
		change(&changed)
		if p.judge(&changed); changed.Verdict != Hold || changed.why() != name {
			t.Errorf("%s because of %q, want hold because of %q", changed.Verdict, changed.why(), name)
		}
	}
}

func TestRingThatGetsItAtOnceShowsNothing(t *testing.T) {
	w := newWorld(t, 300, 2, 10)
	for i, a := range w.agents {
		a.Ring = []string{"canary", "broad"}[min(i%10, 1)]
	}
	policy := DefaultPolicy()
	policy.Rings = []RingPolicy{{Name: "canary", MinAgents: 10, Soak: time.Hour}, {Name: "broad", MinAgents: 100, Soak: 2 * time.Hour}}
	w.run(30*time.Minute, nobody)
	for i, a := range w.agents {
		if a.Ring == "canary" {
			w.send(i, a, "content-updated", "2")
		}
	}
	w.run(50*time.Minute, nobody)
	r := w.about(policy, "2")
	want := "time since the first of the agents of the ring canary; nobody is left to compare with; time in which the agents of the ring canary were watched"
	if r.Verdict != Hold || r.why() != want || !r.ControlGone || r.Rings[0].Compared > 60 || len(r.Caveats) != 0 {
		t.Errorf("%s because of %q, compared %+v", r.Verdict, r.why(), r.Rings)
	}
	w.run(20*time.Minute, nobody)
	r = w.about(policy, "2")
	if r.Verdict != Continue || len(r.Caveats) != 1 || !strings.Contains(r.Caveats[0], "only set against the ring before (0 failed, 0.") {
		t.Errorf("after the soak %s because of %q, with %q", r.Verdict, r.why(), r.Caveats)
	}
	if policy.RequireControl = false; w.about(policy, "2").Verdict != Continue || len(w.about(policy, "2").Caveats) != 0 {
		t.Error("held, or excused, without require_control")
	}
	for i, a := range w.agents {
		if a.Ring == "broad" && i%2 == 0 {
			w.send(i, a, "content-updated", "2")
		}
	}
	w.run(30*time.Minute, nobody)
	if rings := w.about(policy, "2").Rings; len(rings) != 2 || !rings[0].SoakKept || rings[0].Soaked < 3600 || rings[1].Compared < 25*60 || !rings[1].SoakKept || rings[1].Soak != 7200 {
		t.Errorf("soak of the rings %+v", rings)
	}
	policy.Rings[0].Soak = 2 * time.Hour
	if w.about(policy, "2").Rings[0].SoakKept {
		t.Error("a ring that was left after 70 of 120 minutes counts as soaked")
	}
}

// TestRingThatGetsItAtOnceIsHeldForWhatItShows: with nobody to compare with, a
// ring is held when its agents crash more often than before, and when many fall
// silent at once.
func TestRingThatGetsItAtOnceIsHeldForWhatItShows(t *testing.T) {
	for name, harm := range map[string]func(w *world){
		"nobody is left to compare with, and the agents of the ring canary fail more often than the ring did before": func(w *world) {
			for i := 0; i < 40; i += 10 {
				w.send(i, w.agents[i], "sensor-crashed", "")
			}
			w.run(70*time.Minute, nobody)
		},
		"nobody is left to compare with, and many agents of the product fell silent at once since they got it": func(w *world) {
			w.run(20*time.Minute, func(i int) bool { return i%10 != 0 && i%2 == 0 })
			w.run(50*time.Minute, nobody)
		},
	} {
		w := newWorld(t, 300, 2, 10)
		policy := DefaultPolicy()
		policy.Rings = []RingPolicy{{Name: "canary", MinAgents: 10, Soak: time.Hour}}
		for i, a := range w.agents {
			a.Ring = []string{"canary", "broad"}[min(i%10, 1)]
		}
		w.run(30*time.Minute, nobody)
		for i, a := range w.agents {
			if a.Ring == "canary" {
				w.send(i, a, "content-updated", "2")
			}
		}
		harm(w)
		if r := w.about(policy, "2"); r.Verdict != Hold || r.why() != name {
			t.Errorf("%s because of %q, want hold because of %q", r.Verdict, r.why(), name)
		}
	}
}

func TestPolicyTellsWhatIsWrong(t *testing.T) {
	p := DefaultPolicy()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	p.HoldEvidence, p.Default.Soak = 2, -1
	p.Rings = []RingPolicy{{Name: "a", MinAgents: -1}, {Name: "a"}, {}}
	err := p.Validate()
	for _, want := range []string{"hold_evidence: ", "default.soak: ", "rings[0].min_agents: ", "rings[1].name: ", "rings[2].name: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

func TestProgressKeepsItsShapeWithinItsBounds(t *testing.T) {
	var p progress
	const minute = int64(time.Minute)
	for i := int64(1); i <= 10_000; i++ {
		p.add(i*minute, int(i))
		if len(p.points) > maxPoints {
			t.Fatalf("%d points", len(p.points))
		}
	}
	for i, x := range p.points {
		if i > 0 && (x.at <= p.points[i-1].at || x.exposed <= p.points[i-1].exposed) {
			t.Fatalf("point %d does not come after the one before: %v", i, p.points[i-1:i+1])
		}
		if at := x.at / minute; int64(x.exposed) > at || int64(x.exposed) < at-p.interval/minute {
			t.Fatalf("%d exposed at minute %d", x.exposed, at)
		}
	}
	if at := p.reached(5000); at < 5000*minute || at > 5000*minute+2*p.interval {
		t.Errorf("5,000 reached after %s", time.Duration(at))
	}
	if fmt.Sprint(p.reached(20_000)) != "0" {
		t.Error("what was not reached has a time")
	}
}
