package rules

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// canaryFeed plays canaries beside the events of a feed.
type canaryFeed struct {
	*feed
	signs []string
}

func (f *canaryFeed) beat(at time.Duration, agent string) {
	e := event.New(f.s.Ruleset().Dictionary())
	e.Set(ecs.Timestamp, event.Time(start+int64(at)))
	for id, text := range map[ecs.ID]string{
		ecs.AgentType: event.CanaryType, ecs.AgentID: agent, ecs.HostName: agent, ecs.HostType: "server", ecs.EventAction: "sensor-heartbeat",
	} {
		e.SetString(id, text)
	}
	f.s.Canary(f.s.Ruleset(), start+int64(at), e, func(s CanarySign) {
		if s.Rule != "" {
			f.signs = append(f.signs, fmt.Sprint(s.Agent, " ", s.Status, " ", time.Duration(s.At-start)))
		}
	})
}

func shippedRules(t *testing.T) *Ruleset {
	t.Helper()
	files, err := Parse(Library())
	if err != nil {
		t.Fatal(err)
	}
	set, err := files.Compile(dictionary(t))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestCanaryFallsSilent plays a canary that falls silent beside one that goes
// on, in a feed to which nothing else comes.
func TestCanaryFallsSilent(t *testing.T) {
	set := shippedRules(t)
	whole := fleet.New(fleet.DefaultConfig(), nil)
	f := &canaryFeed{feed: newFeed(t, set, SessionOptions{Fleet: whole})}
	for at := time.Duration(0); at <= 2*time.Hour; at += time.Minute {
		f.beat(at, "witness")
		if at < 30*time.Minute || at > time.Hour {
			f.beat(at, "canary")
		}
		if at == 10*time.Minute {
			f.s.Reload(set.Inherit(set), f.emit) // A canary is known across a reload.
		}
	}
	if want := []string{"canary firing 49m0s", "canary resolved 1h1m0s"}; !slices.Equal(f.signs, want) {
		t.Errorf("told %q, want %q", f.signs, want)
	}
	if len(f.alerts) > 0 || agentsOf(f.s) != 0 || inventoryOf(t, whole, fleet.Query{}).Total != 0 {
		t.Errorf("the canary was taken for an agent: %d alerts, %d agents, inventory %+v", len(f.alerts), agentsOf(f.s), inventoryOf(t, whole, fleet.Query{}))
	}
	f.s.Close()
	for _, c := range set.Counters() {
		if c.Candidates > 0 || c.Alerts > 0 || c.Keys > 0 {
			t.Errorf("rule %s counted the canary: %+v", c.Rule.Name, c)
		}
	}
}

// TestCanaryOfSilencedRules has no rule that may speak.
func TestCanaryOfSilencedRules(t *testing.T) {
	set := shippedRules(t)
	for _, r := range set.Rules() {
		r.Shadow = true
	}
	f := &canaryFeed{feed: newFeed(t, set, SessionOptions{})}
	for at := time.Duration(0); at <= 2*time.Hour; at += time.Minute {
		f.beat(at, "witness")
		if at < 30*time.Minute {
			f.beat(at, "canary")
		}
	}
	if len(f.signs) > 0 {
		t.Errorf("told %q of rules that are in shadow", f.signs)
	}
}

// agentsOf is how many agents a session knows.
func agentsOf(s *Session) (n int) {
	s.Agents(func(*fleet.Agent) bool { n++; return true })
	return n
}
