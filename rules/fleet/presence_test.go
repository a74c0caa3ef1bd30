package fleet

import (
	"testing"
	"time"
)

// TestPresence holds the table of the README: what is called asleep, gone or
// silent, and since when.
func TestPresence(t *testing.T) {
	const hour = int64(time.Hour)
	now := 1000 * hour
	heard := now - 2*hour
	for _, c := range []struct {
		what string
		a    Agent
		want string
	}{
		{"heard", Agent{life: alive}, Alive},
		{"overdue", Agent{life: silent, since: heard}, Silent},
		{"overdue, a workstation that never napped", Agent{life: silent, since: heard, HostType: "workstation"}, Silent},
		{"overdue, a workstation that naps", Agent{life: silent, since: heard, naps: true, HostType: "workstation"}, Asleep},
		{"overdue, a server that was away before", Agent{life: silent, since: heard, naps: true, HostType: "server"}, Silent},
		{"napping for longer than a weekend", Agent{life: silent, since: now - 73*hour, naps: true}, Silent},
		{"napping after it got content", Agent{life: silent, since: heard, naps: true, exposures: []exposure{{at: heard - hour/2}}}, Silent},
		{"napping after a crash", Agent{life: silent, since: heard, naps: true, failedAt: [classes + 1]uint32{Crash: uint32((heard - hour/2) / 1e9)}}, Silent},
		{"host shut down", Agent{life: gone, goodbye: hostEnded}, Asleep},
		{"sensor stopped", Agent{life: gone, goodbye: sensorEnded}, Gone},
		{"uninstalled", Agent{life: gone, goodbye: uninstalled}, Gone},
		{"replaced", Agent{life: gone, goodbye: replaced}, Gone},
		{"gone by a snapshot that did not say how", Agent{life: gone, settled: true}, Gone},
		{"cadence learned again", Agent{life: gone}, Unknown},
		{"never heard", Agent{}, Unknown},
		{"beat once, a while ago", Agent{beat: heartbeat, happened: now - hour/4}, Unknown},
		{"beat once, and not for an hour", Agent{beat: heartbeat, happened: now - hour}, Silent},
		{"spoke without beats, a while ago", Agent{happened: now - hour/4}, Alive},
		{"spoke without beats, and not for an hour", Agent{happened: now - hour}, Unknown},
	} {
		c.a.State = "protecting"
		if got := c.a.presence(now); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
		r := c.a.record(&knowledge{newest: now})
		if r.StateLastKnown != (c.want != Alive) {
			t.Errorf("%s: state_last_known is %t", c.what, r.StateLastKnown)
		}
		sum := summaryOf(t, inventoryOf(&list{&Agent{ID: "x", Type: "p", LastSeen: now}, withType(c.a)}), Query{})
		if protecting := sum.Protecting == 1; protecting != (c.want == Alive) || sum.Agents != 2 {
			t.Errorf("%s: %d of %d are called protecting", c.what, sum.Protecting, sum.Agents)
		}
	}
}

func withType(a Agent) *Agent {
	a.Type = "p"
	return &a
}

// TestChangedTellsOnceOfWhatChanged: new agents within a bound, changes always,
// and nothing twice.
func TestChangedTellsOnceOfWhatChanged(t *testing.T) {
	agents := make(list, 20)
	for i := range agents {
		agents[i] = &Agent{ID: string(rune('a' + i)), Type: "p", Version: "1", life: alive, LastSeen: 1}
	}
	f := inventoryOf(&agents)
	first := f.Changed(15)
	agents[0].life, agents[0].since = silent, 1
	agents[1].Mode = "user"
	second := f.Changed(0)
	if len(first) != 15 || len(second) != 2 || second[0].Presence != Silent {
		t.Fatalf("%d new agents within a bound of 15, then %d changes, want 2", len(first), len(second))
	}
	if rest := f.Changed(100); len(rest) != 5 {
		t.Errorf("%d new agents, want the 5 that were left", len(rest))
	}
	agents[2].channels = []channel{{name: "291", version: "33", at: 5}}
	part := 0
	for i := range 7 {
		part += len(f.Part(i, 7))
	}
	if again := f.Changed(100); part != 20 || len(again) != 0 {
		t.Errorf("%d in all parts, want 20; %d changes after them, want none", part, len(again))
	}
}
