package kinds

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
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
	engine.GroupAlert
	key       string
	agentType string
	since     int64 // Clock when it was first seen.
	alive     int64
	silent    []missingMember // In the order in which they became overdue.
	missing   int64           // Entries of silent that still are.
	dropped   int             // Entries that the list has lost at its front.
	reported  int64           // Count in the last document.
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
	for ; c.bucket < number && !c.Firing(); c.bucket++ {
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

// missingMember is an agent that became overdue; key is nil once it is back.
type missingMember struct {
	key *silenceKey
	at  int64
}

// all is the number of agents that the silent ones are a share of.
func (c *cohort) all() int64 { return c.alive + c.missing }

// updateEvery is the least time between two documents of a firing cohort, and
// growth after which another is written.
const (
	updateEvery  = int64(time.Minute)
	updateGrowth = 1.25
)

// join puts an agent that is alive into its cohort.
func (st *silenceState) join(k *silenceKey, m *engine.Evaluation) {
	if st.p.cohort == nil {
		return
	}
	st.buf = st.buf[:0]
	for i, id := range st.p.cohort.by {
		if i > 0 {
			st.buf = append(st.buf, '/')
		}
		value := m.Event.Str(id)
		if value == "" {
			value = known(m.Entity, id)
		}
		st.buf = append(st.buf, value...)
	}
	if k.cohort != nil && k.cohort.key == string(st.buf) {
		return
	}
	st.leave(k)
	c := st.cohorts[string(st.buf)]
	if c == nil {
		c = &cohort{key: string(st.buf), since: m.Now}
		st.cohorts[c.key] = c
	}
	if c.agentType == "" {
		c.agentType = strings.Clone(m.Event.Str(ecs.AgentType))
	}
	k.cohort = c
	c.alive++
}

// known is what the session knows of an agent where its event does not say.
func known(n *engine.Entity, id ecs.ID) string {
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
	if k.entity != nil && k.entity.Fold == &c.GroupAlert {
		k.entity.Fold = nil
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
func (st *silenceState) missing(e *table.Entry[silenceKey], due int64) {
	k := &e.Data
	c := k.cohort
	if c == nil || k.overdue {
		return
	}
	k.overdue = true
	c.alive--
	k.place = c.dropped + len(c.silent)
	c.silent = append(c.silent, missingMember{k, due})
	c.missing++
	if k.entity != nil {
		k.entity.Fold = &c.GroupAlert
	}
	if c.Firing() {
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
		if st.NearMisses() != nil {
			st.missedCohort(c, due, limit)
		}
		return
	}
	c.Folded = 0
	start := k.heard
	for _, s := range c.silent {
		if s.key != nil {
			start = min(start, s.key.heard)
		}
	}
	c.Episode = st.NewEpisode(c.key, start, "")
	c.most = n
	st.raiseCohort(c, due, "firing", fmt.Sprintf("%s of %s agents of %s (%s) fell silent within %s", wording.Grouped(n), wording.Grouped(all), c.key, wording.Share(n, all),
		wording.Duration(p.within)))
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
		if k.entity != nil && k.entity.Fold == &c.GroupAlert {
			k.entity.Fold = nil
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
	st.raiseCohort(c, now, "firing", fmt.Sprintf("%s of %s agents of %s (%s) are silent, after %s at the last report", wording.Grouped(n), wording.Grouped(all), c.key,
		wording.Share(n, all), wording.Grouped(c.reported)))
}

// memberReturned counts an agent as alive again; the alert ends when fewer than half
// of the share that raised it are still silent.
func (st *silenceState) memberReturned(k *silenceKey, now int64) {
	st.forget(k.cohort, k)
	k.cohort.alive++
	st.resolveCohort(k.cohort, now)
}

// resolveCohort resolves the alert of a cohort of which few agents are silent still.
func (st *silenceState) resolveCohort(c *cohort, now int64) {
	n, all := c.missing, c.all()
	if !c.Firing() || float64(n) >= st.p.cohort.percent/200*float64(all) {
		return
	}
	c.Resolve()
	st.raiseCohort(c, now, "resolved", fmt.Sprintf("%s of %s agents of %s are still silent, after %s at the worst", wording.Grouped(n), wording.Grouped(all), c.key,
		wording.Grouped(c.most)))
	st.expire(c, now+st.p.cohort.within) // What is still silent is left to the rules about single agents.
}

// raiseCohort writes a document of the cohort's episode.
func (st *silenceState) raiseCohort(c *cohort, at int64, status, reason string) {
	n := c.missing
	c.Count, c.reported, c.reportAt = n, n, at
	p := st.p.cohort
	evidence := []engine.Evidence{
		engine.Text("cohort", c.key), engine.Text("by", strings.Join(p.names, ", ")), engine.Text("share", wording.Share(n, c.alive+n)),
		engine.Text("threshold", fmt.Sprintf(">= %v %%", p.percent)), engine.Text("within", wording.Duration(p.within)), engine.Text("after", wording.Duration(st.p.after)),
		engine.Number("usual", int64(c.usual)), engine.Number("worst", c.most), engine.Number("folded", c.Folded), engine.Text("first_last_heard", string(event.AppendTime(nil, c.Start))),
	}
	var hosts []string
	for _, s := range c.silent {
		if s.key != nil && s.key.entity != nil && len(hosts) < engine.MaxHosts {
			hosts = append(hosts, s.key.entity.HostLabel())
		}
	}
	st.Raise(&c.Episode, &engine.Alert{
		At: at, Status: status, Key: c.key, Denominator: c.all(), Hosts: hosts, HostsTotal: int(n),
		AgentType: c.agentType, Reason: reason, Evidence: evidence,
	})
}

// persistPlace writes or reads where an agent stands in its cohort.
func (k *silenceKey) persistPlace(a *engine.Archive) {
	c := k.cohort
	if a.Bool(&k.overdue); !k.overdue {
		if a.Reading() {
			c.alive++
		}
		return
	}
	place, folds := k.place-c.dropped, k.entity != nil && k.entity.Fold == &c.GroupAlert
	snapshot.Int(a.Codec, &place)
	a.Bool(&folds)
	if !a.Reading() {
		return
	}
	if place < 0 || place >= len(c.silent) || c.silent[place].key != nil {
		a.Fail("silent agent %d does not exist, there are %d", place, len(c.silent))
		k.cohort, k.overdue = nil, false
		return
	}
	k.place = c.dropped + place
	c.silent[place].key = k
	c.missing++
	if folds && k.entity != nil {
		k.entity.Fold = &c.GroupAlert
	}
}

func (c *cohort) persist(a *engine.Archive) {
	c.Episode.Persist(a)
	a.Text(&c.key)
	a.Shared(&c.agentType)
	a.Time(&c.since)
	snapshot.List(a.Codec, &c.silent, func(m *missingMember) { a.Time(&m.at) })
	c.Episode.PersistFiring(a)
	for _, n := range []*int64{&c.Folded, &c.reported, &c.most, &c.bucket, &c.fresh} {
		snapshot.Int(a.Codec, n)
	}
	a.Time(&c.reportAt)
	a.Float(&c.usual)
	snapshot.Int(a.Codec, &c.past)
}

// missed offers a share of silent agents that is not enough.
func (st *silenceState) missedCohort(c *cohort, at int64, limit float64) {
	p, n, all := st.p.cohort, c.missing, c.all()
	miss := engine.NearMiss{Rule: st.Rule(), Stage: engine.MissedBound, Key: c.key, At: at, Measure: "silent agents", Value: float64(n)}
	needs := []struct {
		bound float64
		what  string
	}{
		{float64(p.minSilent), "min_silent"}, {limit, fmt.Sprintf("percent: %s, of which more counts at first", wording.Decimal(p.percent))},
		{c.surprising(p.timesUsual), fmt.Sprintf("times_usual: %s", wording.Decimal(p.timesUsual))},
	}
	what := ""
	for _, need := range needs {
		if need.bound > miss.Bound {
			miss.Bound, what = need.bound, need.what
		}
	}
	miss.Nearness = 0.5 + miss.Value/miss.Bound/2
	miss.Reason = fmt.Sprintf("had %s of %s silent at once; the rule asks for %s (%s)", wording.Grouped(n), wording.Plural(all, "agent"), wording.Decimal(miss.Bound), what)
	if all < p.minAgents {
		miss.Nearness /= 2
		miss.Reason = fmt.Sprintf("had %s; the rule asks for %d at least (min_agents)", wording.Plural(all, "agent"), p.minAgents)
	}
	st.NearMisses().Offer(miss)
}
