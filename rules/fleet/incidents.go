package fleet

import "time"

// IncidentKey names an incident of a rule: what its agents have in common.
type IncidentKey struct{ Rule, Group string }

// OpenIncident is one into which a rule's alerts about single agents are folded.
type OpenIncident struct {
	ID    string // edr.alert.id
	Start int64  // of its first member, nanoseconds since 1970
}

// SetIncidents says which incidents are open from the step on; it is called
// before anybody else has the view.
func (v *View) SetIncidents(open map[IncidentKey]OpenIncident) { v.incidents = open }

// Open returns the open incident of a rule and group. A nil view has none.
func (v *View) Open(rule, group string) (OpenIncident, bool) {
	if v == nil {
		return OpenIncident{}, false
	}
	in, ok := v.incidents[IncidentKey{rule, group}]
	return in, ok
}

// Resume sets what is known of the fleet after a restart, in the middle of a
// step; nil for nothing.
func (s *Shard) Resume(v *View) {
	if s.view == nil {
		s.view = v
	}
}

// Incidents is where the shard looks up open incidents: what it knows of the
// whole fleet, nil for nothing.
func (s *Shard) Incidents() *View { return s.view }

// AliveLike is how many agents are alive of a stratum; "" in it is any.
func (v *View) AliveLike(like Stratum) int { return sumLike(v.alive, like) }

// Known is how many agents of a stratum are alive or silent; "" in it is any.
func (v *View) Known(like Stratum) int { return sumLike(v.known, like) }

func sumLike(agents map[Stratum]int, like Stratum) (n int) {
	fits := func(want, have string) bool { return want == "" || want == have }
	for key, of := range agents {
		if fits(like.Product, key.Product) && fits(like.OS, key.OS) && fits(like.HostType, key.HostType) && fits(like.Ring, key.Ring) {
			n += of
		}
	}
	return n
}

// settling is how long after the first step agents may live of which it is not
// known yet how often they are heard.
const settling = int64(15 * time.Minute)

// Unsettled is how many agents there may be of any stratum while the fleet is
// being learned; 0 once it is. A share of fewer would be reached by chance.
func (v *View) Unsettled() int {
	if v.Began == 0 || v.End-v.Began >= settling {
		return 0
	}
	return v.agents
}
