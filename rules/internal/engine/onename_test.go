package engine

import (
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestOneAgentUnderEveryForm: the forms in which feeds write an id, or the name of
// a host, are of one agent in a session.
func TestOneAgentUnderEveryForm(t *testing.T) {
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, forms := range [][]map[ecs.ID]string{
		{{ecs.AgentID: "A1B2"}, {ecs.AgentID: "a1b2"}},
		{{ecs.AgentType: "x", ecs.HostName: "PC-1"}, {ecs.AgentType: "x", ecs.HostName: "pc-1.corp.example"}, {ecs.AgentType: "x", ecs.HostName: `CORP\pc-1`}},
		{{ecs.HostName: `CORP\PC-1`}, {ecs.HostName: "pc-1"}},
	} {
		table := newEntities(10)
		var first *Entity
		for _, form := range forms {
			e := event.New(dict)
			for id, text := range form {
				e.SetString(id, text)
			}
			n := table.resolve(e, 1)
			if first == nil {
				first = n
			}
			if n == nil || n != first {
				t.Errorf("%v is another agent than %v", form, forms[0])
			}
		}
		if id := forms[0][ecs.AgentID]; first.ID != id {
			t.Errorf("the agent's id is %q, want %q as its records write it", first.ID, id)
		}
	}
}
