package state

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// learn brings records that name an agent and its host into a registry.
func learn(t *testing.T, r *identity.Registry, from, to int) {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	s, e := identity.NewIdentifier(r, nil, nil).ForShard(), event.New(dict)
	for n := from; n < to; n++ {
		e.Reset()
		e.Clock = int64(n+1_721_361_600) * 1e9
		e.SetString(ecs.AgentType, "crowdstrike-falcon")
		e.SetString(ecs.AgentID, fmt.Sprintf("agent-%d", n))
		e.SetString(ecs.HostName, fmt.Sprintf("host-%d", n))
		s.Process(e)
	}
	s.Close()
}

// TestNamesAreKnownToEveryGateway: what one gateway learned another knows, and the
// same after a restart, beside snapshots and acts.
func TestNamesAreKnownToEveryGateway(t *testing.T) {
	s := newStore(t, "state")
	one, two := identity.New(identity.Config{}), identity.New(identity.Config{})
	first, second := s.Names(one), again(t, s.cfg.Brokers, "state").Names(two)
	sync := func(n *Names) {
		t.Helper()
		if err := n.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sync(first)
	learn(t, one, 0, 1500)
	learn(t, two, 1400, 2000)
	sync(first)
	s.mustSave(t, "p", 1, snapshot(1, 2000))
	sync(second)
	sync(first)
	if want, got := one.Snapshot().AppendTo(nil), two.Snapshot().AppendTo(nil); !bytes.Equal(got, want) || one.Stats().Agents != 2000 {
		t.Errorf("one gateway knows %+v, the other %+v", one.Stats(), two.Stats())
	}
	before := first.at
	sync(first)
	sync(second)
	sync(first)
	if first.at != before {
		t.Errorf("%d entries were written of which nothing is new", first.at-before)
	}
	three := identity.New(identity.Config{})
	if err := again(t, s.cfg.Brokers, "state").Names(three).Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(three.Snapshot().AppendTo(nil), one.Snapshot().AppendTo(nil)) {
		t.Errorf("after a restart a gateway knows %+v, before %+v", three.Stats(), one.Stats())
	}
	if offset, _ := s.load(t, "p", 1); offset != 1 {
		t.Error("a snapshot is not found among names")
	}
}
