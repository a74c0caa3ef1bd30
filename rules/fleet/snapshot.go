package fleet

import (
	"cmp"
	"maps"
	"slices"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// Persist writes what is known of the agent but for its id, or reads it into a
// new one. How it starts and whether it is protected is not kept: agents report
// it again.
func (a *Agent) Persist(c *snapshot.Codec) {
	c.Text(&a.HostName)
	c.Text(&a.HostID)
	for _, text := range []*string{
		&a.Type, &a.Version, &a.HostType, &a.OSType, &a.Model, &a.Site, &a.Ring, &a.Content, &a.Mode, &a.State, &a.Account, &a.reported,
	} {
		c.Shared(text)
	}
	for _, t := range []*int64{&a.FirstSeen, &a.LastSeen, &a.AwakeSince, &a.happened, &a.lastBeat, &a.startedAt, &a.due} {
		c.Time(t)
	}
	snapshot.Int(c, &a.cadence)
	snapshot.List(c, &a.exposures, func(x *exposure) {
		snapshot.Int(c, &x.rollout)
		c.Time(&x.at)
		snapshot.Int(c, &x.stratum)
		snapshot.Int(c, &x.model)
	})
	snapshot.List(c, &a.channels, func(x *channel) {
		c.Shared(&x.name)
		c.Shared(&x.version)
	})
	a.cpu.persist(c)
	a.memory.persist(c)
	for i := range a.failedAt {
		snapshot.Int(c, &a.failedAt[i])
	}
	for _, number := range []*int32{&a.stratum, &a.site, &a.feed} {
		snapshot.Int(c, number)
	}
	snapshot.Int(c, &a.life)
	snapshot.Int(c, &a.longer)
	snapshot.Int(c, &a.beat)
	for _, yes := range []*bool{&a.settled, &a.queued, &a.evicted, &a.updated} {
		c.Bool(yes)
	}
}

func (l *level) persist(c *snapshot.Codec) {
	c.Float32(&l.mean)
	c.Float32(&l.spread)
	snapshot.Int(c, &l.readings)
	snapshot.Int(c, &l.above)
}

// Detach forgets what a shard knew of the agent: what is left is what its owner
// does.
func (a *Agent) Detach() {
	*a = Agent{
		ID: a.ID, Type: a.Type, Version: a.Version, HostName: a.HostName, HostID: a.HostID, HostType: a.HostType, OSType: a.OSType,
		Model: a.Model, Site: a.Site, Ring: a.Ring, Content: a.Content, Mode: a.Mode, State: a.State, Account: a.Account, StartType: a.StartType, Protected: a.Protected, Owner: a.Owner,
		FirstSeen: a.FirstSeen, LastSeen: a.LastSeen, AwakeSince: a.AwakeSince, Number: a.Number,
	}
}

// Adopt adds an agent that was read, and reports whether its places are in
// the shard. The models of hardware are counted again.
func (s *Shard) Adopt(a *Agent) bool {
	if !s.fits(a) {
		return false
	}
	if a.settled && a.stratum >= 0 {
		a.model = s.modelOf(a)
	}
	if a.life == alive {
		s.countModel(a, 1)
	}
	return true
}

func (s *Shard) fits(a *Agent) bool {
	within := func(n int32, size int) bool { return n >= -1 && int(n) < size }
	switch {
	case a.life > gone || a.beat > heartbeat:
		return false
	case a.beat == noBeat:
		return a.life == unheard || a.life == gone
	case !within(a.stratum, len(s.strata)) || !within(a.site, len(s.sites)) || a.feed < 0 || int(a.feed) >= len(s.feeds):
		return false
	}
	return a.stratum >= 0 && a.site >= 0 || a.life == unheard || a.life == gone
}

// Reset makes the shard one that knows nobody.
func (s *Shard) Reset() { *s = *NewShard(s.cfg) }

// Persist writes the shard, or reads it into one that knows nobody; agent does
// so with a reference to an agent, which its owner keeps.
func (s *Shard) Persist(c *snapshot.Codec, agent func(**Agent)) {
	for _, t := range []*int64{&s.ended, &s.seen, &s.stepEnd} {
		c.Time(t)
	}
	snapshot.Int(c, &s.empty)
	snapshot.List(c, &s.strata, func(st *stratum) {
		persistStratum(c, &st.key)
		snapshot.Int(c, &st.alive)
		snapshot.Int(c, &st.silent)
	})
	snapshot.List(c, &s.sites, func(at *site) {
		c.Shared(&at.name)
		snapshot.Int(c, &at.alive)
		snapshot.Int(c, &at.silent)
	})
	snapshot.List(c, &s.feeds, func(f **feed) {
		if c.Reading() {
			*f = &feed{wheel: map[int64][]*Agent{}}
		}
		(*f).persist(c, agent)
	})
	snapshot.List(c, &s.fallen, agent)
	s.rollouts.persist(c)
	s.persistStep(c)
	if c.Reading() {
		s.relate(c)
	}
}

// persistStep does the step in progress.
func (s *Shard) persistStep(c *snapshot.Codec) {
	under := s.step != nil
	if c.Bool(&under); !under {
		if c.Reading() && s.stepEnd != 0 {
			c.Fail("expected a step in progress")
		}
		return
	}
	persistStep(c, "the step in progress", &s.step)
}

// persistStep does a step, in the form in which gateways send each other
// steps.
func persistStep(c *snapshot.Codec, what string, s **Step) {
	var b []byte
	if !c.Reading() {
		b = AppendStep(nil, *s)
	}
	c.Bytes(&b)
	if !c.Reading() || c.Err() != nil {
		return
	}
	step, err := ParseStep(b)
	if err != nil {
		c.Fail("%s: %v", what, err)
		return
	}
	*s = step
}

// relate finds again by name what was read.
func (s *Shard) relate(c *snapshot.Codec) {
	for i := range s.strata {
		s.byStratum[s.strata[i].key] = int32(i)
	}
	for i := range s.sites {
		s.bySite[s.sites[i].name] = int32(i)
	}
	for i, f := range s.feeds {
		s.byFeed[f.name] = int32(i)
	}
	for _, r := range s.rollouts.byID {
		if len(r.alive) > len(s.strata) {
			c.Fail("a version of %d strata, of which there are %d", len(r.alive), len(s.strata))
			return
		}
	}
}

func (f *feed) persist(c *snapshot.Codec, agent func(**Agent)) {
	c.Shared(&f.name)
	for _, n := range []*int64{&f.clock.frozen, &f.clock.until, &f.clock.resumed, &f.clock.lag, &f.looked, &f.promised, &f.least} {
		snapshot.Int(c, n)
	}
	c.Time(&f.first)
	c.Time(&f.last)
	for _, n := range []*int{&f.alive, &f.records, &f.beats, &f.late} {
		snapshot.Int(c, n)
	}
	type slot struct {
		number int64
		agents []*Agent
	}
	var slots []slot
	for _, number := range slices.Sorted(maps.Keys(f.wheel)) {
		// A wheel lets go of those that were forgotten when it comes to them.
		known := slices.DeleteFunc(slices.Clone(f.wheel[number]), func(a *Agent) bool { return a.evicted })
		slots = append(slots, slot{number, known})
	}
	before := int64(0)
	snapshot.List(c, &slots, func(s *slot) {
		further := s.number - before
		snapshot.Int(c, &further)
		s.number = before + further
		before = s.number
		snapshot.List(c, &s.agents, agent)
		if c.Reading() {
			f.wheel[s.number] = s.agents
		}
	})
}

func (rs *rollouts) persist(c *snapshot.Codec) {
	type numbered struct {
		id int32
		*rollout
	}
	snapshot.Int(c, &rs.next)
	var list []numbered
	for id, r := range rs.byID {
		list = append(list, numbered{id, r})
	}
	slices.SortFunc(list, func(a, b numbered) int { return cmp.Compare(a.id, b.id) })
	snapshot.List(c, &list, func(n *numbered) {
		if c.Reading() {
			n.rollout = &rollout{}
		}
		r := n.rollout
		snapshot.Int(c, &n.id)
		persistVersion(c, &r.version)
		c.Time(&r.last)
		snapshot.List(c, &r.alive, func(n *int) { snapshot.Int(c, n) })
		if c.Reading() {
			rs.byID[n.id], rs.byVersion[r.version] = r, n.id
		}
	})
}
