package identity

// AgentOn returns the entity of a product's agent on a host, by the host's id and
// name, of which either may be empty: that of the agent with a sensor id where one
// is known, else that of the one without; 0 where neither is a name.
func (rd *Reader) AgentOn(product, hostID, host string) Entity {
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
	return Entity(f.entity)
}

// Replaced reports whether another agent of the product has taken an agent's
// place on its host: the host was reinstalled, and the agent has not been heard
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
