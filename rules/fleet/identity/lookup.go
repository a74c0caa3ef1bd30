package identity

// AgentOn returns the sensor id of a product's agent on a host, by the host's id
// and name, of which either may be empty. Where no agent with an id is known, or
// several fit, key is the name by which the one without an id is known.
func (rd *Reader) AgentOn(product, hostID, host string) (id, key string) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	g := rd.g
	v := voice{product: product}
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
