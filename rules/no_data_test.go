package rules

import (
	"strings"
	"testing"
	"time"
)

// TestNoData stops the data of one of two agents while an episode is open and
// while none is, and lets it come again.
func TestNoData(t *testing.T) {
	metric := func(behavior string) *Ruleset {
		return compileRules(t, dictionary(t), ruleYAML(1, "metric",
			"condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nfunction: avg\nwindow: 10m\nmin_events: 2\nhaving: {gte: 50}\nkeep_firing_for: 1h\nno_data: "+behavior))
	}
	held := func(behavior string) *Ruleset {
		return compileRules(t, dictionary(t), ruleYAML(1, "match", "condition: edr.resource.cpu_pct >= 50\nfor: 10m\nkeep_firing_for: 1h\nno_data: "+behavior))
	}
	play := func(set *Ruleset) *feed {
		f := newFeed(t, set, SessionOptions{})
		for m := range 180 {
			at := time.Duration(m) * time.Minute
			if m < 30 || m >= 150 {
				f.send(at, "agent.id", "a", "edr.resource.cpu_pct", 80.0)
			}
			if m < 30 {
				f.send(at, "agent.id", "b", "edr.resource.cpu_pct", 5.0)
			}
			f.send(at, "agent.id", "c", "event.action", "sensor-heartbeat")
		}
		return f
	}
	for _, tc := range []struct {
		name string
		set  *Ruleset
		want []string
	}{
		{"metric none", metric("none"), []string{"1m0s firing rule 1 a 2", "1h29m0s resolved rule 1 a 10", "2h31m0s firing rule 1 a 2"}},
		{"metric resolve", metric("resolve"), []string{"1m0s firing rule 1 a 2", "39m0s resolved rule 1 a 10", "2h31m0s firing rule 1 a 2"}},
		{"metric keep", metric("keep"), []string{"1m0s firing rule 1 a 2"}},
		{"metric alert", metric("alert"), []string{
			"1m0s firing rule 1 a 2", "39m0s firing rule 1 a 1", "39m0s firing rule 1 b 1", "2h30m0s resolved rule 1 a 1",
		}},
		{"match none", held("none"), []string{"10m0s firing rule 1 a 11", "1h39m0s resolved rule 1 a 30", "2h40m0s firing rule 1 a 11"}},
		{"match resolve", held("resolve"), []string{"10m0s firing rule 1 a 11", "39m0s resolved rule 1 a 30", "2h40m0s firing rule 1 a 11"}},
		{"match keep", held("keep"), []string{"10m0s firing rule 1 a 11"}},
		{"match alert", held("alert"), []string{
			"10m0s firing rule 1 a 11", "39m0s firing rule 1 a 1", "39m0s firing rule 1 b 1", "2h30m0s resolved rule 1 a 1",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) { play(tc.set).expect(tc.want...) })
	}
	t.Run("a stalled feed is no missing data", func(t *testing.T) {
		f := newFeed(t, metric("alert"), SessionOptions{})
		for _, m := range []int{0, 5, 10, 600, 605, 611, 700} {
			f.send(time.Duration(m)*time.Minute, "agent.id", "a", "edr.resource.cpu_pct", 5.0)
		}
		f.expect()
	})
}

// TestNoDataKeep keeps an episode open while its agent is not heard at all.
func TestNoDataKeep(t *testing.T) {
	for _, kind := range []string{"sliding", "tumbling"} {
		set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", "condition: event.action == \"error\"\nwindow: 10m\nwindow_kind: "+kind+"\nhaving: {gte: 2}\nno_data: keep"))
		f := newFeed(t, set, SessionOptions{})
		for m := range 60 {
			at := time.Duration(m) * time.Minute
			if m < 2 {
				f.send(at, "event.action", "error", "agent.id", "a")
				f.send(at, "event.action", "error", "agent.id", "b")
			}
			if m < 2 || m > 34 {
				f.send(at, "event.action", "sensor-heartbeat", "agent.id", "a")
			}
			f.send(at, "event.action", "sensor-heartbeat", "agent.id", "b")
		}
		// Sliding: b 10 minutes after its first error. a is looked at again every 10 minutes, and is heard at 35 minutes.
		f.expect("1m0s firing rule 1 a 2", "1m0s firing rule 1 b 2", "10m0s resolved rule 1 b 2", "40m0s resolved rule 1 a 2")
	}
}

// TestNoDataAtTheBorders are cases in which the engine once differed from
// README.md.
func TestNoDataAtTheBorders(t *testing.T) {
	t.Run("a kept episode is looked at in its rhythm, whatever matches", func(t *testing.T) {
		set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", "condition: event.action == \"error\"\nwindow: 10m\nhaving: {gte: 2}\nno_data: keep"))
		f := newFeed(t, set, SessionOptions{})
		for m := range 60 {
			at := time.Duration(m) * time.Minute
			switch m {
			case 0, 1, 23:
				f.send(at, "event.action", "error", "agent.id", "a")
			case 37:
				f.send(at, "event.action", "sensor-heartbeat", "agent.id", "a")
			}
			f.send(at, "event.action", "sensor-heartbeat", "agent.id", "b")
		}
		f.expect("1m0s firing rule 1 a 2", "40m0s resolved rule 1 a 3")
	})
	held := compileRules(t, dictionary(t), ruleYAML(1, "match", "condition: edr.resource.cpu_pct >= 50\nfor: 10m\nno_data: alert"))
	t.Run("readings after a gap start again, also when they happened in it", func(t *testing.T) {
		f := newFeed(t, held, SessionOptions{})
		f.send(0, "agent.id", "a", "edr.resource.cpu_pct", 80.0)
		f.send(5*time.Minute, "agent.id", "b")
		f.send(10*time.Minute, "agent.id", "b")
		f.late(12*time.Minute, 9*time.Minute, "agent.id", "a", "edr.resource.cpu_pct", 80.0)
		f.send(13*time.Minute, "agent.id", "a", "edr.resource.cpu_pct", 80.0)
		f.expect("10m0s firing rule 1 a 1", "12m0s resolved rule 1 a 1")
		f.send(17*time.Minute, "agent.id", "a", "edr.resource.cpu_pct", 80.0)
		f.send(19*time.Minute, "agent.id", "a", "edr.resource.cpu_pct", 80.0)
		f.expect("10m0s firing rule 1 a 1", "12m0s resolved rule 1 a 1", "19m0s firing rule 1 a 4")
	})
	t.Run("a run knows nothing of the one before", func(t *testing.T) {
		f := newFeed(t, held, SessionOptions{})
		for _, r := range []struct {
			at, happened time.Duration
			cpu          float64
		}{{0, 0, 80}, {4 * time.Minute, 4 * time.Minute, 80}, {5 * time.Minute, 5 * time.Minute, 5}, {6 * time.Minute, 2 * time.Minute, 80},
			{7 * time.Minute, 3 * time.Minute, 5}, {14 * time.Minute, 13 * time.Minute, 80}} {
			f.late(r.at, r.happened, "agent.id", "a", "edr.resource.cpu_pct", r.cpu)
		}
		f.expect() // The run that begins at 2m is broken at 3m, though one before had come to 4m.
	})
	t.Run("who came back with an old reading is waited for again", func(t *testing.T) {
		f := newFeed(t, held, SessionOptions{})
		f.send(0, "agent.id", "a", "edr.resource.cpu_pct", 80.0)
		f.send(5*time.Minute, "agent.id", "b")
		f.send(10*time.Minute, "agent.id", "b")
		f.late(12*time.Minute, -time.Minute, "agent.id", "a", "edr.resource.cpu_pct", 5.0)
		for m := 16; m < 30; m += 4 {
			f.send(time.Duration(m)*time.Minute, "agent.id", "b")
		}
		f.expect("10m0s firing rule 1 a 1", "12m0s resolved rule 1 a 1", "22m0s firing rule 1 a 1")
	})
}

func TestNoDataRefused(t *testing.T) {
	for rest, want := range map[string]string{
		"type: threshold\nwindow: 1h\nhaving: {gte: 2}\nno_data: alert":                                                                "for agents that fall silent there is type: silence",
		"type: threshold\nwindow: 1h\nhaving: {gte: 2}\nno_data: kep":                                                                  "did you mean \"keep\"?",
		"type: threshold\nwindow: 1h\nhaving: {gte: 2}\nno_data: keep\ngroup_by: [agent.type]":                                         "add entity to group_by",
		"type: match\nno_data: keep":                                                                                                   "unknown no_data \"keep\"",
		"type: metric\nwindow: 1h\nwindow_kind: tumbling\nfield: edr.resource.cpu_pct\nfunction: avg\nhaving: {gt: 1}\nno_data: alert": "with a sliding window",
		"type: threshold\nwindow: 1h\nwindow_kind: session\nhaving: {gte: 2}":                                                          "a session needs gap",
		"type: threshold\nwindow: 1h\ngap: 5m\nhaving: {gte: 2}":                                                                       "set window_kind: session, or remove gap",
		"type: threshold\nwindow: 1h\nwindow_kind: tumling\nhaving: {gte: 2}":                                                          "did you mean \"tumbling\"?",
	} {
		text := "id: 00000000-0000-4000-8000-000000000001\nname: r\nkind: other\nseverity: low\nmaturity: development\ncondition: event.action == \"error\"\n" + rest
		_, err := ParseFile("r.yml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v, want %s", rest, err, want)
		}
	}
}
