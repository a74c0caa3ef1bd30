package identity

// slack is how much later than its successor's first record an agent may be
// heard and still count as replaced, in seconds: records arrive out of order.
const slack = 120

// livingFor is how long after the one that was heard last of several agents
// another still counts as alive, in seconds.
const livingFor = 86400

// found is what the names of a record resolve to.
type found struct {
	agent     uint32 // node of the agent; 0: none that is known
	entity    uint64 // 0: the record names no agent
	host      uint32 // node of the host's name, Short or FQDN; 0: unknown or not one
	hostID    uint32 // node of the host's id; 0: unknown or not one
	hostCase  marks  // how records write the host's name
	ambiguous bool   // several agents fit
	key       string // of an agent without an id: its host's strongest name
	keyKind   Kind
}

// resolve finds whom the names of a record mean.
func (g *graph) resolve(v *mention) (f found) {
	switch {
	case v.sensor.text != "":
		f.agent = v.sensor.node
		if f.agent != 0 {
			f.entity = g.cards.at(g.nodes.at(f.agent).card).entity
		} else {
			f.entity = entityOf(v.product, SensorID, v.sensor.text)
		}
	case v.product != "":
		f.agent, f.ambiguous = g.agentOf(v)
		if f.agent == 0 {
			g.unnamed(v, &f)
			break
		}
		f.entity = g.cards.at(g.nodes.at(f.agent).card).entity
	}
	if f.agent != 0 && g.nodes.at(f.agent).kind == SensorID {
		c := g.cards.at(g.nodes.at(f.agent).card)
		f.host, f.hostID, f.hostCase = c.host, c.hostID, c.hostCase
		return f
	}
	if v.host[HostID].node != 0 {
		f.hostID = v.host[HostID].node
		f.host = g.hostOf(f.hostID)
	} else if kind, ok := v.bestName(); ok && v.host[kind].node != 0 {
		f.host = v.host[kind].node
		f.hostID = g.one(f.host, HostID)
	}
	return f
}

// byName are the kinds of names by which an agent is looked for, the strongest
// first.
var byName = [...]Kind{HostID, DeviceID, EntraID, FQDN, Domain, Short, Serial, MAC}

// agentOf finds the agent of the record's product on the host that it names.
func (g *graph) agentOf(v *mention) (agent uint32, ambiguous bool) {
	product, ok := g.productOf(v.product)
	if !ok {
		return 0, false
	}
	for _, kind := range byName {
		t := &v.host[kind]
		if t.text == "" {
			continue
		}
		if kind <= DeviceID { // Some feeds call the sensor's id the host's.
			if i := g.find(SensorID, product, t.text); i != 0 {
				return i, false
			}
		}
		if t.node == 0 || g.nodes.at(t.node).marks&shared != 0 {
			continue
		}
		if agent, ambiguous = g.current(t.node, product, v); agent != 0 || ambiguous {
			return agent, ambiguous
		}
		if kind != HostID {
			continue
		}
		// The id's host is known by its names, and its agents by these.
		for _, by := range [...]Kind{FQDN, Domain, Short} {
			if name := g.one(t.node, by); name != 0 {
				if agent, ambiguous = g.current(name, product, v); agent != 0 || ambiguous {
					return agent, ambiguous
				}
			}
		}
	}
	return 0, false
}

// current finds the agent of a product that has a name now. Of several the one
// that has it last has taken it over from those that were not heard since; where
// another still is, it is ambiguous.
func (g *graph) current(name uint32, product uint16, v *mention) (agent uint32, ambiguous bool) {
	n := g.nodes.at(name)
	if n.marks&suspect == 0 { // Nearly always: one agent.
		for at := n.edges; at != 0; {
			e := g.edges.at(at)
			i := e.other(name)
			if o := g.nodes.at(i); o.kind == SensorID && o.product == product && !g.left(i, name, e) && g.fits(i, n, v) {
				return i, false
			}
			at = e.next(name)
		}
		return 0, false
	}
	latest := uint32(0)
	for i, e := range g.claims(name, product) {
		if g.fits(i, n, v) {
			latest = max(latest, g.life(i, e))
		}
	}
	var newest *edge
	for i, e := range g.claims(name, product) {
		if !g.fits(i, n, v) || g.life(i, e)+livingFor < latest {
			continue
		}
		if newest == nil || e.first > newest.first || e.first == newest.first && g.textOf(g.nodes.at(i)) > g.textOf(g.nodes.at(agent)) {
			agent, newest = i, e
		}
	}
	if newest == nil {
		return 0, false
	}
	for i, e := range g.claims(name, product) {
		if life := g.life(i, e); i != agent && g.fits(i, n, v) && life+livingFor >= latest && life > newest.first+slack {
			return 0, true
		}
	}
	return agent, false
}

// life is when an agent was alive last, as far as is known: by its own records, or
// by what others say where it has never been heard.
func (g *graph) life(agent uint32, e *edge) uint32 {
	if n := g.nodes.at(agent); n.heard != 0 {
		return n.heard
	}
	return e.last
}

// claims calls yield for the agents of a product that have a name and did not
// take another for it since.
func (g *graph) claims(name uint32, product uint16) func(yield func(uint32, *edge) bool) {
	return func(yield func(uint32, *edge) bool) {
		for at := g.nodes.at(name).edges; at != 0; {
			e := g.edges.at(at)
			i := e.other(name)
			if o := g.nodes.at(i); o.kind == SensorID && o.product == product && !g.left(i, name, e) && !yield(i, e) {
				return
			}
			at = e.next(name)
		}
	}
}

// left reports whether i has taken another name of the kind since it was last
// called name.
func (g *graph) left(i, name uint32, link *edge) bool {
	kind := g.nodes.at(name).kind
	if g.nodes.at(i).marks&suspect == 0 || !oneAtATime(kind) {
		return false
	}
	for at := g.nodes.at(i).edges; at != 0; {
		e := g.edges.at(at)
		if o := g.nodes.at(e.other(i)); e != link && o.kind == kind && e.first > link.last {
			return true
		}
		at = e.next(i)
	}
	return false
}

// oneAtATime reports whether a host, or a name of one, has one name of a kind at a
// time. Of hardware addresses it has several.
func oneAtATime(kind Kind) bool {
	return kind == SensorID || kind == HostID || kind == FQDN || kind == Domain || kind == Short
}

// fits reports whether an agent that was found by a host's name without its
// domain can be on the host that the record means: where both name a domain it
// is the same.
func (g *graph) fits(agent uint32, by *node, v *mention) bool {
	if by.kind != Short || v == nil {
		return true
	}
	for _, kind := range [...]Kind{FQDN, Domain} {
		if v.host[kind].text == "" {
			continue
		}
		has, same := false, false
		for at := g.nodes.at(agent).edges; at != 0 && !same; {
			e := g.edges.at(at)
			o := e.other(agent)
			if g.nodes.at(o).kind == kind {
				has, same = true, o == v.host[kind].node
			}
			at = e.next(agent)
		}
		if has {
			return same
		}
	}
	return true
}

// one returns the only name of a kind that i has now; 0 where there is none or
// more than one.
func (g *graph) one(i uint32, kind Kind) uint32 {
	n := g.nodes.at(i)
	only := uint32(0)
	for at := n.edges; at != 0; {
		e := g.edges.at(at)
		o := e.other(i)
		at = e.next(i)
		if g.nodes.at(o).kind != kind || g.left(i, o, e) || n.kind != SensorID && g.left(o, i, e) {
			continue // Renamed since; or another has the name now.
		}
		if only != 0 && !g.sameHost(only, o) {
			return 0
		}
		if only == 0 || g.nodes.at(o).length > g.nodes.at(only).length {
			only = o
		}
	}
	return only
}

// netBIOS is the length to which Windows cuts a name that it shows in the old
// form.
const netBIOS = 15

// sameHost reports whether two names are one, once whole and once cut.
func (g *graph) sameHost(a, b uint32) bool {
	na, nb := g.nodes.at(a), g.nodes.at(b)
	if na.kind != Short || nb.kind != Short {
		return false
	}
	long, cut := g.textOf(na), g.textOf(nb)
	if len(long) < len(cut) {
		long, cut = cut, long
	}
	return len(cut) == netBIOS && len(long) > netBIOS && long[:netBIOS] == cut
}

// hostOf returns the name of the host that an agent or a host's id has now, in
// the form in which records give it; 0 where there is none or several.
func (g *graph) hostOf(i uint32) uint32 {
	short := g.one(i, Short)
	if short == 0 {
		return 0
	}
	whole := g.one(i, FQDN)
	if whole == 0 {
		return short
	}
	if text := g.textOf(g.nodes.at(whole)); len(text) <= int(g.nodes.at(short).length) || text[:g.nodes.at(short).length] != g.textOf(g.nodes.at(short)) {
		return short
	}
	if e := g.edges.at(g.between(i, whole)); e.marks&asHost != 0 {
		return whole
	}
	return short
}

// unnamed says who an agent without an id is: the one of its product on a host.
func (g *graph) unnamed(v *mention, f *found) {
	switch {
	case v.host[HostID].text != "" && !g.isShared(v.host[HostID].node):
		f.key, f.keyKind = v.host[HostID].text, HostID
	case v.host[Short].text == "":
		for _, kind := range [...]Kind{DeviceID, EntraID, Serial} {
			if t := &v.host[kind]; t.text != "" && !g.isShared(t.node) {
				f.key, f.keyKind = t.text, kind
				break
			}
		}
	default:
		f.key, f.keyKind = v.host[Short].text, Short
		for _, kind := range [...]Kind{FQDN, Short} {
			if t := &v.host[kind]; t.node != 0 {
				if id := g.one(t.node, HostID); id != 0 && g.fits(id, g.nodes.at(t.node), v) {
					f.key, f.keyKind = g.textOf(g.nodes.at(id)), HostID
					break
				}
			}
		}
		if s := v.host[Short].node; f.keyKind == Short && s != 0 && v.host[FQDN].text != "" && g.several(s, FQDN) {
			f.key, f.keyKind = v.host[FQDN].text, FQDN
		}
	}
	if f.key == "" {
		return
	}
	if product, ok := g.productOf(v.product); ok {
		f.agent = g.find(Unnamed, product, f.key)
	}
	if f.agent != 0 {
		f.entity = g.cards.at(g.nodes.at(f.agent).card).entity
		return
	}
	f.entity = entityOf(v.product, Unnamed, f.key)
}

func (g *graph) isShared(i uint32) bool { return i != 0 && g.nodes.at(i).marks&shared != 0 }

// several reports whether a name is linked with more than one of a kind.
func (g *graph) several(i uint32, kind Kind) bool {
	n := 0
	for at := g.nodes.at(i).edges; at != 0; {
		e := g.edges.at(at)
		if g.nodes.at(e.other(i)).kind == kind {
			n++
		}
		at = e.next(i)
	}
	return n > 1
}

// locate notes on the card of an agent which host it is on, so that its records
// need not look for it.
func (g *graph) locate(agent uint32) {
	c := g.cards.at(g.nodes.at(agent).card)
	c.host, c.hostID, c.hostCase = g.hostOf(agent), g.one(agent, HostID), 0
	if c.host == 0 {
		return
	}
	c.hostCase = g.edges.at(g.between(agent, c.host)).marks
	if c.hostID == 0 {
		c.hostID = g.one(c.host, HostID)
	}
}
