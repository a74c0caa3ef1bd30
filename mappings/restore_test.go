package mappings

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// TestEveryWorseningIsUndone derives from the golden pairs, of which every kind
// of event of every file has one, what makes the state of an agent worse, and
// looks for what undoes it: a state that nothing ends sticks for ever.
//
// Two things must hold in each dataset. Where an event sets a state that is
// not protecting, another one sets protecting. And where the event that takes
// away sets a state, every event that gives back sets one, too: a vendor that
// says disabled and enabled must not be believed only the first time.
func TestEveryWorseningIsUndone(t *testing.T) {
	beats := map[string]bool{}       // datasets with heartbeats that say the state, which undo everything
	restores := map[string][]string{ // by the action that takes away
		"protection-disabled": {"protection-enabled"},
		"sensor-stopped":      {"sensor-started"},
		"sensor-uninstalled":  {"sensor-installed"},
	}
	type kind struct{ file, action, code, state, component string }
	worse, better := map[string][]kind{}, map[string][]kind{}
	stuck := map[string][]kind{} // isolation lifted without a state, by dataset
	isolates := map[string]bool{}
	silent := map[string][]kind{} // gives back, but sets no state
	eachGolden(t, func(file string, d goldenDocument) {
		if d.Event.Dataset == "" || d.Agent.Type == "" {
			return
		}
		dataset := d.Event.Dataset + " of " + d.Agent.Type
		beats[dataset] = beats[dataset] || d.Event.Action == "sensor-heartbeat" && d.EDR.State == "protecting"
		k := kind{file, d.Event.Action, d.Event.Code, d.EDR.State, d.EDR.Component.Name}
		switch d.EDR.State {
		case "":
			if d.Event.Outcome != "failure" {
				silent[dataset] = append(silent[dataset], k)
			}
		case "unknown":
		case "protecting":
			better[dataset] = append(better[dataset], k)
		default:
			worse[dataset] = append(worse[dataset], k)
		}
		switch {
		case d.EDR.Isolated != nil && *d.EDR.Isolated && d.EDR.State == "isolated":
			isolates[dataset+" "+d.Event.Action] = true
		case d.EDR.Isolated != nil && !*d.EDR.Isolated && d.EDR.State == "" && d.Event.Outcome != "failure":
			stuck[dataset+" "+d.Event.Action] = append(stuck[dataset+" "+d.Event.Action], k)
		}
	})
	for _, dataset := range slices.Sorted(maps.Keys(worse)) {
		kinds := worse[dataset]
		if len(better[dataset]) == 0 {
			t.Errorf("%s: %s (%s) sets %s, and nothing sets protecting", dataset, kinds[0].action, kinds[0].file, kinds[0].state)
		}
		type part struct{ action, component string }
		took := map[part]string{}
		for _, k := range kinds {
			took[part{k.action, k.component}] = k.state
		}
		for action, partners := range restores {
			for _, k := range silent[dataset] {
				state, ok := took[part{action, k.component}]
				if ok && !beats[dataset] && slices.Contains(partners, k.action) {
					t.Errorf("%s: %s %s (%s) leaves the agent %s, because it sets no state", dataset, k.action, k.code, k.file, state)
				}
			}
		}
	}
	for key, kinds := range stuck {
		for _, k := range kinds {
			if isolates[key] {
				t.Errorf("%s: %s of %s lifts the isolation and leaves the state isolated", key, k.code, k.file)
			}
		}
	}
	if len(worse) < 15 {
		t.Errorf("only %d datasets say that an agent is worse off: the test has lost its subject (%s)", len(worse), fmt.Sprint(slices.Sorted(maps.Keys(worse))))
	}
}
