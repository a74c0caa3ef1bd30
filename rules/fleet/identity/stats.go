package identity

// Stats say how much a registry holds and what was refused or forgotten.
type Stats struct {
	Names, Agents, Links int
	// Applied counts facts; Refused those for which there was no room; Evicted
	// names that were forgotten; Shared names that link nothing because too many
	// have them.
	Applied, Refused, Evicted, Shared uint64
}

// Stats returns them. It holds Apply up.
func (r *Registry) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		Names: r.g.nodes.held(), Agents: r.g.cards.held(), Links: r.g.edges.held(),
		Applied: r.stats.applied.Load(), Refused: r.stats.refused.Load(), Evicted: r.stats.evicted.Load(), Shared: r.stats.shared.Load(),
	}
}
