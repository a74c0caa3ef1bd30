package identity

// AgentOn returns the sensor id of a product's agent on a host, by the host's id
// and name, of which either may be empty. Where no agent with an id is known, or
// several fit, key is the name by which the one without an id is known.
func (rd *Reader) AgentOn(product, hostID, host string) (id, key string) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	g := rd.g
	v := mention{product: product}
	if text := string(appendID(nil, hostID)); !isPlaceholder(text) {
		v.host[HostID].text = text
	}
	if h, _ := cutHost(nil, host); h.short != "" {
		v.host[Short].text, v.host[FQDN].text, v.host[Domain].text = h.short, h.fqdn, h.domain
	}
	for kind := HostID; kind < Unnamed; kind++ {
		if t := &v.host[kind]; t.text != "" {
			t.node = g.find(kind, 0, t.text)
		}
	}
	f := g.resolve(&v)
	if f.agent != 0 {
		if n := g.nodes.at(f.agent); n.kind == SensorID {
			return g.nameOf(f.agent).Text, ""
		}
	}
	return "", string(append([]byte(nil), f.key...))
}

// Replaced reports whether another agent of the product has taken an agent's
// place on its host: the host was set up anew, and the agent has not been heard
// since.
func (rd *Reader) Replaced(product, id string) bool {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	g := rd.g
	number, ok := g.productOf(product)
	if !ok {
		return false
	}
	agent := g.find(SensorID, number, string(appendID(nil, id)))
	if agent == 0 {
		return false
	}
	host := g.one(agent, Short)
	if host == 0 {
		return false
	}
	v := mention{product: product}
	if whole := g.one(agent, FQDN); whole != 0 { // A host of another domain takes nobody's place.
		v.host[FQDN] = term{text: g.textOf(g.nodes.at(whole)), node: whole}
	}
	now, _ := g.current(host, number, &v)
	if now == 0 || now == agent {
		return false
	}
	e := g.edges.at(g.between(now, host))
	return g.life(agent, g.edges.at(g.between(agent, host))) <= e.first+slack
}
