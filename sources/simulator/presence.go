package simulator

// Life is whether an agent is up at the end of the records, for comparison with
// what a monitor says of it.
type Life struct {
	Host    Host // At is when it went up or down last
	Product string
	// Up says that the host runs. Reports says that records of the agent itself
	// come in a known rhythm: heartbeats, or what its process uses.
	Up, Reports bool
	Began       bool // it was up at any time
}

// Lives tells of every agent, as of the record that Next returned last.
func (f *Fleet) Lives() []Life {
	lives := make([]Life, len(f.agents))
	for i := range f.agents {
		a := &f.agents[i]
		at := a.downAt
		if a.up {
			at = max(a.bootAt, a.agentAt, f.start)
		}
		lives[i] = Life{
			Host: f.host(a, at), Up: a.up, Reports: a.vendor == crowdstrike || a.metrics, Began: a.up || a.downAt > f.start,
			Product: [...]string{"crowdstrike-falcon", "microsoft-defender-endpoint", "sentinelone"}[a.vendor],
		}
	}
	return lives
}
