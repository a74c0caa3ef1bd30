package rules

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/goldentest"
)

// snapshotVersion is that of the states of rules in the snapshots that are kept
// as goldens.
const snapshotVersion = 2

// restored returns a new session of the same set with the state of another,
// which it closes. That state has to be written again as it was read.
func restored(tb testing.TB, s *Session) *Session {
	tb.Helper()
	first, complete := s.AppendSnapshot(nil)
	if !complete {
		tb.Fatal("the snapshot is not complete")
	}
	next := s.Ruleset().NewSession(s.Options())
	if err := next.Restore(first); err != nil {
		tb.Fatal(err)
	}
	if again, _ := next.AppendSnapshot(nil); !bytes.Equal(first, again) {
		tb.Fatalf("a state of %d bytes is another one of %d bytes when it is written again", len(first), len(again))
	}
	s.Close()
	return next
}

// TestRandomRulesGoOnFromSnapshots takes a session up from its snapshot
// whenever anything has happened, and expects the alerts of one that was never
// given up.
func TestRandomRulesGoOnFromSnapshots(t *testing.T) {
	total := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(7, seed))
		x := randomRule(r)
		events := randomStream(r, x, 60)
		end := events[len(events)-1].now + 3*int64(time.Hour)
		want, wantIDs := raiseAll(t, x, events, end)
		got, ids := raiseFrom(t, x, events, end, func(s *Session) *Session { return restored(t, s) })
		if !slices.Equal(got, want) || !slices.Equal(ids, wantIDs) {
			t.Fatalf("seed %d\n%s\ngot  %v\nwant %v", seed, x.yaml(), got, want)
		}
		total += len(want)
	}
	if total < 1000 {
		t.Errorf("only %d alerts, the test shows little", total)
	}
}

// TestRestoreKeepsWhatJudgesAlike takes a snapshot up under other rules.
func TestRestoreKeepsWhatJudgesAlike(t *testing.T) {
	const counts = "condition: event.action == \"error\"\nwindow: 10m\nhaving: {gte: %d}"
	dict := dictionary(t)
	before := compileRules(t, dict, ruleYAML(1, "threshold", fmt.Sprintf(counts, 2))+ruleYAML(2, "threshold", fmt.Sprintf(counts, 2))+ruleYAML(3, "threshold", fmt.Sprintf(counts, 2)))
	f := newFeed(t, before, SessionOptions{})
	f.send(0, "event.action", "error", "agent.id", "a")
	snapshot, _ := f.s.AppendSnapshot(nil)

	after := compileRules(t, dict, ruleYAML(1, "threshold", fmt.Sprintf(counts, 2)+"\nnote: another text")+ruleYAML(2, "threshold", fmt.Sprintf(counts, 3))+ruleYAML(4, "threshold", fmt.Sprintf(counts, 2)))
	g := newFeed(t, after, SessionOptions{})
	if err := g.s.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	got := g.s.Restored()
	if got.Restored != 1 || got.Dropped != 2 || len(got.Anew) != 2 || got.Anew[0].Name != "rule 2" || got.Anew[1].Name != "rule 4" {
		t.Errorf("the report is %+v", got)
	}
	if back := got.Anew[0].LookBack(); back != 10*time.Minute {
		t.Errorf("rule 2 looks %v back, expected its window of 10m", back)
	}
	g.send(time.Minute, "event.action", "error", "agent.id", "a")
	g.expect("1m0s firing rule 1 a 2")
}

// TestRestoreUnderSmallerLimit forgets what was not used for longest once there
// is something new.
func TestRestoreUnderSmallerLimit(t *testing.T) {
	set, events := everyType(t)
	f := newFeed(t, set, SessionOptions{})
	for i := range 20 {
		f.send(time.Duration(i)*time.Second, "event.action", "sensor-heartbeat", "agent.type", "x", "agent.id", fmt.Sprintf("agent %d", i), "host.name", fmt.Sprintf("host-%d", i))
	}
	snapshot, _ := f.s.AppendSnapshot(nil)
	s := set.NewSession(SessionOptions{MaxKeys: 3})
	if err := s.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	for i := range events {
		s.Detect(start+int64(time.Hour)+events[i].now-events[0].now, events[i].document(set.Dictionary()), func(*event.Event) {})
	}
	if n := agentsOf(s); n > 3 {
		t.Errorf("%d agents are known, of 3 at most", n)
	}
	restored(t, s)
}

// TestDamagedSnapshotLeavesSessionNew refuses every byte that is another one,
// and every end that is missing.
func TestDamagedSnapshotLeavesSessionNew(t *testing.T) {
	set, events := everyType(t)
	s := set.NewSession(SessionOptions{})
	for i := range events {
		s.Detect(events[i].now, events[i].document(set.Dictionary()), func(*event.Event) {})
	}
	whole, _ := s.AppendSnapshot(nil)
	fresh := set.NewSession(SessionOptions{})
	empty, _ := fresh.AppendSnapshot(nil)
	for i := 0; i < len(whole); i += 1 + len(whole)/400 {
		for _, damaged := range [][]byte{whole[:i], flipped(whole, i), resummed(flipped(whole, i))} {
			err := fresh.Restore(damaged)
			if err == nil { // One value is another one, which nobody can know.
				fresh = set.NewSession(SessionOptions{})
				continue
			}
			if again, _ := fresh.AppendSnapshot(nil); !bytes.Equal(again, empty) {
				t.Fatalf("byte %d: after %q the session is not as new", i, err)
			}
		}
	}
	if err := fresh.Restore(whole); err != nil {
		t.Fatal(err)
	}
}

func flipped(b []byte, i int) []byte {
	b = slices.Clone(b)
	b[i] ^= 1 << (i % 8)
	return b
}

// resummed puts the right sum behind bytes that were changed.
func resummed(b []byte) []byte {
	b = b[:max(len(b)-8, 0)]
	return binary.LittleEndian.AppendUint64(slices.Clone(b), xxhash.Sum64(b))
}

// TestGoldenSnapshot takes up the snapshots that earlier releases wrote, and
// goes on from there as if nothing had been.
func TestGoldenSnapshot(t *testing.T) {
	set, events := everyType(t)
	half := len(events) / 2
	var alerts []string
	emit := func(a *event.Event) { alerts = append(alerts, string(a.AppendJSON(nil))) }
	s := set.NewSession(SessionOptions{})
	for i := range half {
		s.Detect(events[i].now, events[i].document(set.Dictionary()), func(*event.Event) {})
	}
	snapshot, _ := s.AppendSnapshot(nil)
	files, err := filepath.Glob("testdata/snapshot-*.bin")
	if err != nil {
		t.Fatal(err)
	}
	if goldentest.Update() {
		name := fmt.Sprintf("testdata/snapshot-%d.bin", snapshotVersion)
		if err := os.WriteFile(name, snapshot, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	goOn := func(s *Session) []string {
		alerts = nil
		for i := half; i < len(events); i++ {
			s.Detect(events[i].now, events[i].document(set.Dictionary()), emit)
		}
		return alerts
	}
	want := goOn(s)
	if len(want) < 30 {
		t.Errorf("only %d alerts, the test shows little", len(want))
	}
	if len(files) == 0 {
		t.Error("there is no golden snapshot")
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		old := set.NewSession(SessionOptions{})
		if err := old.Restore(data); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wide := slices.DeleteFunc(set.Rules(), func(r *Rule) bool { return !r.FleetWide() })
		former := slices.DeleteFunc(set.Rules(), func(r *Rule) bool { return !r.FleetWide() && !r.RolledUp() })
		if r := old.Restored(); r.Restored+len(wide) != len(set.Rules()) || strings.HasSuffix(name, "-1.bin") && !slices.Equal(r.Anew, wide) {
			t.Errorf("%s: %+v, expected all %d rules", name, r, len(set.Rules()))
		}
		got, want := goOn(old), slices.Clone(want)
		if strings.HasSuffix(name, "-1.bin") { // Its release judged the rules about the whole fleet, and incidents, by partition.
			about := func(a string) bool {
				return slices.ContainsFunc(former, func(r *Rule) bool { return strings.Contains(a, r.ID) })
			}
			got, want = slices.DeleteFunc(got, about), slices.DeleteFunc(want, about)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d alerts, expected %d, or others", name, len(got), len(want))
		}
	}
}

// FuzzRestore never panics and takes no memory that the bytes do not explain,
// whatever stands in a snapshot whose sum is right; and what is taken up can be
// written again.
func FuzzRestore(f *testing.F) {
	set, events := everyType(f)
	s := set.NewSession(SessionOptions{})
	for i := range events {
		s.Detect(events[i].now, events[i].document(set.Dictionary()), func(*event.Event) {})
		if i%40 == 0 {
			b, _ := s.AppendSnapshot(nil)
			f.Add(b)
			f.Add(flipped(b, len(b)/2))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := set.NewSession(SessionOptions{})
		data = resummed(data)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := s.Restore(data)
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(100*len(data)+1<<20); got > most {
			t.Errorf("%d bytes made the session take %d", len(data), got)
		}
		if err == nil {
			s.AppendSnapshot(nil)
		}
	})
}
