package fleet

import (
	"slices"
	"testing"
	"time"
)

// gatewaysOf makes the world's shards those of so many gateways, whose steps
// go over an exchange to the whole.
func gatewaysOf(w *world, gateways int) (whole *Fleet) {
	whole = New(DefaultConfig(), nil)
	for g := range w.shards {
		name := string(rune('a' + g%gateways))
		member := NewMember(DefaultConfig(), nil, func(s *Step) {
			sent, err := ParseStep(AppendStep(nil, s))
			if err != nil {
				w.t.Fatal(err)
			}
			w.findings = append(w.findings, whole.Hear(name, sent, w.now)...)
		})
		if g < gateways {
			w.members = append(w.members, member)
		}
		w.shards[g] = w.members[g%gateways].Shard()
	}
	return whole
}

// bySilence lets a third of the fleet fall silent.
func bySilence(w *world) []Finding {
	w.run(time.Hour, nobody)
	w.run(20*time.Minute, func(i int) bool { return i%3 == 0 })
	return w.findings
}

func TestSeveralGatewaysAreOneFleet(t *testing.T) {
	alone := bySilence(newWorld(t, 600, 4, 4))
	if len(alone) == 0 {
		t.Fatal("a third of the fleet fell silent, and nothing was found")
	}
	for _, gateways := range []int{1, 2, 4} {
		w := newWorld(t, 600, 4, 4)
		gatewaysOf(w, gateways)
		shared := bySilence(w)
		same := func(a, b Finding) bool {
			return a.Kind == b.Kind && a.Key == b.Key && a.Start == b.Start && a.At == b.At && a.Count == b.Count && a.Denominator == b.Denominator
		}
		if !slices.EqualFunc(alone, shared, same) {
			t.Errorf("%d gateways: found %+v, one alone %+v", gateways, shared, alone)
		}
	}
}

// A gateway that dies does not hold the others' verdicts back, and its step
// that came twice counts once.
func TestGatewayThatDies(t *testing.T) {
	f := New(DefaultConfig(), nil)
	at := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC).UnixNano()
	step := func(end int64, alive int) *Step {
		s := newStep(end)
		s.Sites["x"] = &SiteStep{Alive: alive}
		return s
	}
	for range 3 {
		at += StepLength
		f.Hear("a", step(at, 1), at)
		f.Hear("b", step(at, 2), at+1)
		f.Hear("b", step(at, 2), at+2)
	}
	if f.judge.now != at || f.gateways.closed != at {
		t.Fatalf("judged up to %d, want %d", f.judge.now, at)
	}
	for range 2 {
		at += StepLength
		f.Hear("a", step(at, 1), at)
	}
	if f.judge.now != at {
		t.Errorf("judged up to %s before what the living one told", time.Duration(at-f.judge.now))
	}
	for range 61 {
		at += StepLength
		f.Hear("a", step(at, 1), at)
	}
	f.Hear("c", step(at, 1), at)
	if len(f.gateways.members) != 2 {
		t.Errorf("%d gateways are known, want 2", len(f.gateways.members))
	}
}

// Who comes late twice is there once.
func TestLateStepsOfOneMember(t *testing.T) {
	c := newCollector(idleGateway)
	now := time.Unix(1000, 0)
	a, b := c.join("a"), c.join("b")
	step := func(end int64) *Step {
		s := newStep(end)
		s.Sites["x"] = &SiteStep{Alive: 10, NewlySilent: 1}
		v := &VersionStep{}
		v.init()
		v.Strata[Stratum{}] = &ArmStep{Alive: 5, Fell: 1}
		s.Versions[Version{}] = v
		return s
	}
	c.take("b", b, step(10), now)
	now = now.Add(time.Minute)
	if got := c.take("a", a, step(10*StepLength), now); len(got) != 2 {
		t.Fatalf("merged %d steps, want that of each", len(got))
	}
	c.take("b", b, step(8*StepLength), now)
	c.take("b", b, step(9*StepLength), now)
	c.take("b", b, step(11*StepLength), now)
	got := c.take("a", a, step(11*StepLength), now)
	if len(got) != 1 {
		t.Fatalf("merged %d steps", len(got))
	}
	if at := got[0].Sites["x"]; at.Alive != 20 || at.NewlySilent != 4 {
		t.Errorf("%d alive and %d newly silent, want 20 and 4", at.Alive, at.NewlySilent)
	}
	if arm := got[0].Versions[Version{}].Strata[Stratum{}]; arm.Alive != 10 || arm.Fell != 4 {
		t.Errorf("the arm has %+v", arm)
	}
}

// A partition that is read again tells only what was not told.
func TestRebuiltStepsCountOnce(t *testing.T) {
	f := New(DefaultConfig(), func() time.Time { return time.Unix(0, 0) })
	s := f.Shard()
	for i := range int64(5) {
		f.Take(s, newStep((i+1)*StepLength), true)
	}
	if f.judge.now == 0 {
		t.Error("a judge that is new learns nothing from what is read again")
	}
	f.Leave(s)
	before := f.judge.now
	s = f.Shard()
	f.Take(s, newStep(3*StepLength), true)
	if f.judge.now != before {
		t.Error("what was judged is judged again")
	}
	published := 0
	f = NewMember(DefaultConfig(), nil, func(s *Step) {
		if s.At > 0 { // It is no announcement.
			published++
		}
	})
	s = f.Shard()
	f.Take(s, newStep(StepLength), true)
	f.Take(s, newStep(2*StepLength), false)
	if published != 1 {
		t.Errorf("%d steps are published, want the one that was not judged before", published)
	}
}

// A gateway that has partitions and reads their past again is waited for from
// its announcement on, while it announces itself, and no longer.
func TestGatewayThatIsNotReadyYet(t *testing.T) {
	f := New(DefaultConfig(), nil)
	began := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC).UnixNano()
	at, now := began, began
	ahead := func(steps int) {
		for range steps {
			at, now = at+StepLength, now+int64(time.Second)
			f.Hear("a", newStep(at), now)
		}
	}
	ahead(3)
	f.Hear("b", &Step{}, now)
	ahead(10)
	f.Hear("b", &Step{}, now)
	ahead(10)
	if f.judge.now != began+3*StepLength {
		t.Errorf("judged up to %s after b came, without it", time.Duration(f.judge.now-began-3*StepLength))
	}
	f.Hear("b", newStep(began+5*StepLength), now)
	if f.judge.now != began+5*StepLength {
		t.Errorf("judged up to %s", time.Duration(f.judge.now-began))
	}
	f.Hear("c", &Step{}, now)
	ahead(int(idleGateway / time.Second))
	if f.judge.now != at {
		t.Errorf("judged up to %s before the end: b and c are not heard", time.Duration(at-f.judge.now))
	}
}

// A member announces itself when it gets a partition, and while it reads again.
func TestMemberAnnouncesItself(t *testing.T) {
	now := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC)
	var sent []int64
	member := NewMember(DefaultConfig(), func() time.Time { return now }, func(s *Step) { sent = append(sent, s.At) })
	s := member.Shard()
	member.Shard() // The same moment.
	member.Begin(s)
	for range 12 {
		now = now.Add(time.Second)
		member.Take(s, newStep(now.UnixNano()), true)
	}
	if want := []int64{0, 0, 0}; !slices.Equal(sent, want) {
		t.Errorf("told steps that end at %v, want %v", sent, want)
	}
	sent = nil
	alone := New(DefaultConfig(), func() time.Time { return now })
	alone.Shard()
	if len(sent) > 0 {
		t.Error("one gateway has nobody to tell")
	}
}
