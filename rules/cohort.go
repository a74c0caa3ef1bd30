package rules

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// cohortPlan is the part of a silence rule that looks at many agents at once.
type cohortPlan struct {
	by                   []ecs.ID
	names                []string
	percent              float64
	minAgents, minSilent int64
	within               int64
	timesUsual           float64
}

// cohort is a group of agents, such as all of one product on one system. It
// fires when many of those that were alive fall silent within a short time;
// agents that went one by one, hours ago, count neither as silent nor as part
// of the whole.
type cohort struct {
	groupAlert
	key       string
	agentType string
	since     int64 // Clock when it was first seen.
	alive     int64
	silent    []missed // In the order in which they became overdue.
	missing   int64    // Entries of silent that still are.
	dropped   int      // Entries that the list has lost at its front.
	reported  int64    // Count in the last document.
	reportAt  int64
	most      int64 // Highest count of the episode.

	bucket int64 // Number of the stretch of within that is being counted.
	fresh  int64 // Agents that became overdue in it.
	usual  float64
	past   int // Stretches that usual knows of.
}

// fell adds an agent that became overdue to the present stretch of time.
// Usual is the average of the past stretches, in which the newest weighs a
// tenth and counts for two standard deviations above the usual at most: laptops
// that go to sleep all day make their own measure, and an update that kills a
// few more agents with every stretch does not become usual before it is seen.
func (c *cohort) fell(now, within, first int64) {
	c.roll(now, within, first)
	c.fresh++
}

// surprising is the count from which on the past does not explain it: a
// multiple of the usual one and four standard deviations of a Poisson count,
// of one more because the past is short.
func (c *cohort) surprising(times float64) float64 { return times*c.usual + 4*math.Sqrt(c.usual+1) }

// roll closes the stretches that have ended. What fell silent while the alert
// is firing is not usual.
func (c *cohort) roll(now, within, first int64) {
	number := (now - first) / within
	for ; c.bucket < number && !c.firing; c.bucket++ {
		count := float64(c.fresh)
		if c.past > 0 {
			count = min(count, c.usual+2*math.Sqrt(c.usual)+1)
		}
		c.past = min(c.past+1, longPast)
		c.usual += (count - c.usual) / float64(min(c.past, 10))
		c.fresh = 0
		if c.past == longPast && c.usual < 1e-9 {
			break // Nor do the others since then tell anything.
		}
	}
	if c.bucket < number {
		c.bucket, c.fresh = number, 0
	}
}

// longPast is as many stretches as make no difference any more.
const longPast = 1000

// settled is the number of past stretches from which on usual is trusted.
const settled = 3

// missed is an agent that became overdue; key is nil once it is back.
type missed struct {
	key *silenceKey
	at  int64
}

// all is the number of agents that the silent ones are a share of.
func (c *cohort) all() int64 { return c.alive + c.missing }

// updateEvery is the least time between two documents of a firing cohort, and
// growth by which it is told again.
const (
	updateEvery  = int64(time.Minute)
	updateGrowth = 1.25
)

// join puts an agent that is alive into its cohort.
func (st *silenceState) join(k *silenceKey, m *moment) {
	if st.p.cohort == nil {
		return
	}
	st.buf = st.buf[:0]
	for i, id := range st.p.cohort.by {
		if i > 0 {
			st.buf = append(st.buf, '/')
		}
		value := m.e.Str(id)
		if value == "" {
			value = known(m.entity, id)
		}
		st.buf = append(st.buf, value...)
	}
	if k.cohort != nil && k.cohort.key == string(st.buf) {
		return
	}
	st.leave(k)
	c := st.cohorts[string(st.buf)]
	if c == nil {
		c = &cohort{key: string(st.buf), since: m.now}
		st.cohorts[c.key] = c
	}
	if c.agentType == "" {
		c.agentType = strings.Clone(m.e.Str(ecs.AgentType))
	}
	k.cohort = c
	c.alive++
}

// known is what the session knows of an agent where its event does not say.
func known(n *entity, id ecs.ID) string {
	value := ""
	if n != nil {
		switch id {
		case ecs.AgentType:
			value = n.Type
		case ecs.AgentVersion:
			value = n.Version
		case ecs.HostOSType:
			value = n.OSType
		case ecs.EDRContentVersion:
			value = n.Content
		}
	}
	if value == "" {
		return "unknown"
	}
	return value
}

// leave takes an agent out of its cohort.
func (st *silenceState) leave(k *silenceKey) {
	c := k.cohort
	if c == nil {
		return
	}
	if k.overdue {
		st.forget(c, k)
	} else {
		c.alive--
	}
	k.cohort = nil
}

// forget takes an agent off the list of the silent.
func (st *silenceState) forget(c *cohort, k *silenceKey) {
	k.overdue = false
	if k.entity != nil && k.entity.fold == &c.groupAlert {
		k.entity.fold = nil
	}
	c.silent[k.place-c.dropped].key = nil
	c.missing--
	n := 0
	for n < len(c.silent) && c.silent[n].key == nil {
		n++
	}
	c.drop(n)
}

// drop removes the first entries of the list.
func (c *cohort) drop(n int) {
	c.silent = c.silent[n:]
	c.dropped += n
	if len(c.silent) == 0 {
		c.silent = nil
	}
}

// missing counts an agent as silent and raises or updates the cohort's alert.
func (st *silenceState) missing(e *entry[silenceKey], due int64) {
	k := &e.data
	c := k.cohort
	if c == nil || k.overdue {
		return
	}
	k.overdue = true
	c.alive--
	k.place = c.dropped + len(c.silent)
	c.silent = append(c.silent, missed{k, due})
	c.missing++
	if k.entity != nil {
		k.entity.fold = &c.groupAlert
	}
	if c.firing {
		c.roll(due, st.p.cohort.within, c.since)
		st.grow(c, due)
		return
	}
	st.expire(c, due)
	c.fell(due, st.p.cohort.within, c.since)
	n, all := c.missing, c.all()
	p := st.p.cohort
	limit := p.percent / 100 * float64(all)
	switch {
	case c.past == 0:
		limit *= 3 // Nothing is known yet of what is usual.
	case c.past < settled:
		limit *= 2 // Too little is.
	}
	if all < p.minAgents || n < p.minSilent || float64(n) < limit || float64(n) < c.surprising(p.timesUsual) {
		if st.near() != nil {
			st.missedCohort(c, due, limit)
		}
		return
	}
	c.firing, c.folded = true, 0
	start := k.heard
	for _, s := range c.silent {
		if s.key != nil {
			start = min(start, s.key.heard)
		}
	}
	c.episode = st.newEpisode(c.key, start, "")
	c.most = n
	st.tell(c, due, "firing", fmt.Sprintf("%s of %s agents of %s (%s) fell silent within %s", grouped(n), grouped(all), c.key, share(n, all),
		duration(p.within)))
}

// expire takes agents off the list that fell silent too long ago to belong to
// what happens now. They stay known and come back with their next event.
func (st *silenceState) expire(c *cohort, now int64) {
	n := 0
	for ; n < len(c.silent) && c.silent[n].at <= now-st.p.cohort.within; n++ {
		k := c.silent[n].key
		if k == nil {
			continue
		}
		c.missing--
		k.overdue, k.cohort = false, nil
		if k.entity != nil && k.entity.fold == &c.groupAlert {
			k.entity.fold = nil
		}
	}
	c.drop(n)
}

// grow tells of more silent agents, when there are many more or some time has
// passed.
func (st *silenceState) grow(c *cohort, now int64) {
	n, all := c.missing, c.all()
	c.most = max(c.most, n)
	if float64(n) < updateGrowth*float64(c.reported) || now-c.reportAt < updateEvery {
		return
	}
	st.tell(c, now, "firing", fmt.Sprintf("%s of %s agents of %s (%s) are silent, after %s at the last report", grouped(n), grouped(all), c.key,
		share(n, all), grouped(c.reported)))
}

// recover counts an agent as alive again; the alert ends when fewer than half
// of the share that raised it are still silent.
func (st *silenceState) recover(k *silenceKey, now int64) {
	st.forget(k.cohort, k)
	k.cohort.alive++
	st.settle(k.cohort, now)
}

// settle resolves the alert of a cohort of which few agents are silent still.
func (st *silenceState) settle(c *cohort, now int64) {
	n, all := c.missing, c.all()
	if !c.firing || float64(n) >= st.p.cohort.percent/200*float64(all) {
		return
	}
	c.firing = false
	st.tell(c, now, "resolved", fmt.Sprintf("%s of %s agents of %s are still silent, after %s at the worst", grouped(n), grouped(all), c.key,
		grouped(c.most)))
	st.expire(c, now+st.p.cohort.within) // What is still silent is left to the rules about single agents.
}

// tell writes a document of the cohort's episode.
func (st *silenceState) tell(c *cohort, at int64, status, reason string) {
	n := c.missing
	c.count, c.reported, c.reportAt = n, n, at
	p := st.p.cohort
	evidence := []pair{
		text("cohort", c.key), text("by", strings.Join(p.names, ", ")), text("share", share(n, c.alive+n)),
		text("threshold", fmt.Sprintf(">= %v %%", p.percent)), text("within", duration(p.within)), text("after", duration(st.p.after)),
		number("usual", int64(c.usual)), number("worst", c.most), number("folded", c.folded), text("first_last_heard", string(event.AppendTime(nil, c.start))),
	}
	var hosts []string
	for _, s := range c.silent {
		if s.key != nil && s.key.entity != nil && len(hosts) < maxHosts {
			hosts = append(hosts, s.key.entity.name())
		}
	}
	st.raise(&c.episode, &alert{
		at: at, status: status, key: c.key, denominator: c.all(), hosts: hosts, hostsTotal: int(n),
		agentType: c.agentType, reason: reason, evidence: evidence,
	})
}
