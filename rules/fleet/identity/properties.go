package identity

import (
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// homes are the fields of the properties, in their order.
var homes = [properties]ecs.ID{ecs.AgentVersion, ecs.EDRSite, ecs.EDRRolloutRing, ecs.EDRAssetOwner, ecs.EDRAssetCriticality}

// origins say by what an event has its properties, where it has them.
type origins [properties]Rank

// properties fills in what is known of the agent of the event and the event does
// not say, or says with less right; and notes what it says.
//
// What came through other shards is seen once it is applied; what came through this
// one at once: an event must not say again what was true of its agent before.
func (rd *Reader) properties(e *event.Event, by origins) {
	g, f := rd.g, &rd.f
	if f.entity == 0 {
		return
	}
	var known *card
	if f.agent != 0 {
		known = g.cards.at(g.nodes.at(f.agent).card)
	}
	late := rd.noted()
	for p := range properties {
		id := homes[p]
		have := reported{}
		if known != nil && known.at[p] != 0 {
			have = reported{g.values.list[known.value[p]], known.at[p], known.rank[p]}
		}
		if late != nil && late.values[p].at != 0 && have.yields(p, &late.values[p]) {
			have = late.values[p]
		}
		if !e.Has(id) {
			if have.at != 0 {
				e.Fill(id, event.String(have.value))
			}
			continue
		}
		says := reported{e.Str(id), rd.v.at, by[p]}
		switch {
		case p != Version && have.at != 0 && says.rank < have.rank:
			e.Fill(id, event.String(have.value))
		case says.rank == ByName || len(says.value) > maxText || says.value == "":
			// A file says it again of every event.
		case have.value == says.value && have.rank == says.rank && have.at+againUsually > says.at:
		case have.at == 0 || have.yields(p, &says):
			if s := rd.observation(); s != nil {
				says.value = string(append([]byte(nil), says.value...))
				if s.values[p].at == 0 || s.values[p].yields(p, &says) {
					s.values[p] = says
				}
				late = s
			}
		}
	}
}

// yields reports whether another is to be believed more: that of the higher rank,
// of two the later, of two the greater text, so that the order of reports makes
// no difference.
func (t *reported) yields(p Property, to *reported) bool {
	switch {
	case t.at == 0:
		return to.at != 0
	case p != Version && t.rank != to.rank:
		return t.rank < to.rank
	case t.at != to.at:
		return t.at < to.at
	}
	return t.value < to.value
}

// noted returns what waits to be taken about the agent of the event; nil for
// nothing.
func (rd *Reader) noted() *observation {
	if len(rd.signed) == 0 {
		return nil
	}
	kind, text := rd.who()
	if text == "" {
		return nil
	}
	if i, ok := rd.signed[rd.hashOf(kind, text)]; ok {
		return &rd.pending.observations[i]
	}
	return nil
}
