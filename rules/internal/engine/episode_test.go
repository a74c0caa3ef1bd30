package engine

import (
	"testing"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// TestAlertStates walks an alert through its states: only one that has fired is
// resolved, and what was pending is as if nothing had been.
func TestAlertStates(t *testing.T) {
	r := &Rule{ID: "r", Version: 1}
	var ep Episode
	if ep.State != Inactive || ep.Firing() {
		t.Errorf("a key begins %s", ep.State)
	}
	if ep.Await(); ep.State != Pending || ep.Firing() {
		t.Errorf("what is awaited is %s", ep.State)
	}
	if ep.Resolve(); ep.State != Inactive {
		t.Errorf("what was pending became %s", ep.State)
	}
	if ep = BeginEpisode(r, "key", 1, ""); !ep.Firing() {
		t.Errorf("an episode begins %s", ep.State)
	}
	first := ep.ID
	if ep.Resolve(); ep.State != Resolved || ep.Firing() {
		t.Errorf("an alert ends %s", ep.State)
	}
	if ep = BeginEpisode(r, "key", 2, ""); !ep.Firing() || ep.ID == first {
		t.Errorf("the next episode is %s, with the id of the one before: %v", ep.State, ep.ID == first)
	}
}

// TestEpisodeRoundTrip writes episodes and reads them: whether an alert is open,
// how bad it is and how many documents it has are as they were.
func TestEpisodeRoundTrip(t *testing.T) {
	firing := BeginEpisode(&Rule{ID: "r", Version: 1}, "key", 7, "")
	firing.Count, firing.Sequence, firing.severity, firing.risk = 3, 2, "high", 70
	for _, ep := range []Episode{{}, firing} {
		w := snapshot.NewWriter(nil)
		w.Section("episode", 1, func(c *snapshot.Codec) {
			a := &Archive{Codec: c}
			ep.Persist(a)
			ep.PersistFiring(a)
		})
		f, err := snapshot.Parse(w.Finish())
		if err != nil {
			t.Fatal(err)
		}
		var got Episode
		if err := f.Read("episode", func(c *snapshot.Codec) {
			a := &Archive{Codec: c}
			got.Persist(a)
			got.PersistFiring(a)
		}); err != nil {
			t.Fatal(err)
		}
		if got != ep {
			t.Errorf("read %+v, written %+v", got, ep)
		}
	}
}
