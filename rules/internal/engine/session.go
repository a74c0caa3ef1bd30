package engine

import (
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// SessionOptions bound a session.
type SessionOptions struct {
	// Lateness is how far behind the clock an event's time may be for windows
	// to count it; default event.DefaultLateness. A later event is marked Late; match and
	// silence still see it.
	Lateness time.Duration
	// MaxKeys is how many keys one rule, and how many agents the session,
	// holds at most; default 1,000,000. The one that was not used for longest
	// is forgotten for a new one, and counted.
	MaxKeys int
	// MaxState bounds the bytes of the state of all rules together, as they are
	// estimated; 0 is without a limit. Over it the heaviest rule forgets the keys
	// that were not used for longest.
	MaxState int64
	// Fleet is what the sessions of all shards judge together; without one the
	// session is the whole fleet. Where no rule is about the fleet nothing is
	// known of it, which costs nothing.
	Fleet *fleet.Fleet
	// Partition names the partition to the fleet, equally in all gateways; "" where
	// nobody else reads it.
	Partition string
	// Clock times one candidate in timedEvery, for the rules' costs and
	// budgets; nil for a replay, whose alerts depend on its records alone.
	Clock func() time.Time
	// Budget is the mean time that a rule may take for a candidate event where
	// it names none; 0 is without a limit.
	Budget time.Duration
	// NearMisses asks for what Session.NearMisses returns, of rules for which it returns true. It
	// takes many times the time of judging; nil for a gateway.
	NearMisses func(*Rule) bool
}

// Session is the state of a Ruleset for one shard. It belongs to one
// goroutine, all but Agents.
type Session struct {
	mu       sync.Mutex // Held while an event is judged: Agents comes from outside.
	set      *Ruleset
	options  SessionOptions
	lateness int64
	maxKeys  int
	maxState int64

	env           expression.Env
	entities      *entities
	states        []State // By number of the rule; after them those of rollups, of shortages and of the fleet.
	rollups       []*rollupState
	tables        [][]table.Accounted // Of the states, by number of the rule.
	account       table.Account
	shortages     shortages
	candidates    []uint64
	awake         []uint64 // Hooks whose states want to see what they watch.
	watched       []uint64
	watchers      int // Bits in awake.
	counters      []Counters
	published     []held // As last published.
	unreported    int
	untimed       int // Candidates since one was timed.
	timersUntimed int // Timers since one was timed.

	clock      func() time.Time // nil: nothing is timed.
	budget     time.Duration
	costs      []cost      // By number of the rule, where there is a clock.
	fleet      *fleetWatch // nil where no rule is about the fleet.
	partition  string
	roster     *fleet.Fleet // That lists the session's agents; nil without one.
	now        int64
	target     int64 // Where the clock is going.
	rebuilding bool  // The events were judged before.
	nearMisses *NearMisses
	nextDue    int64 // No timer of any state is due before.
	minStep    int64 // No state minds a step of the clock up to this.
	evaluation Evaluation
	judged     uint64
	emit       func(*event.Event)
	writer     alertWriter
	key        []byte
	scalar     []byte // A part of a key that is no text.
	restored   RestoreReport

	wide  bool        // It holds the rules about the whole fleet, and no others.
	cutAt []int64     // Of a wide session, by number of the rule: the last step of which matches were cut.
	view  *fleet.View // Of a wide session: what is known at the closing of the step.

	canary   *Session // That judges the gateway's own canaries; nil before the first.
	isCanary bool     // It is such a one: no counter and no fleet knows of it.
}

// Evaluation is the event that is being judged.
type Evaluation struct {
	Event  *event.Event
	Now    int64 // The clock.
	At     int64 // The event's time, not after the clock.
	Late   bool
	Entity *Entity      // nil when the event names none.
	Number uint64       // Of the event in the session.
	match  *fleet.Match // Of a rule about the whole fleet; else nil.
	sum    uint8        // Of the event's id; 0: not computed yet.
}

// publishEvery is the number of events between reports to the set's counters.
const publishEvery = 512

const defaultMaxKeys = 1_000_000

// NewSession returns a session without state.
func (set *Ruleset) NewSession(o SessionOptions) *Session {
	if o.Lateness <= 0 {
		o.Lateness = event.DefaultLateness
	}
	if o.MaxKeys <= 0 {
		o.MaxKeys = defaultMaxKeys
	}
	s := &Session{
		set: set, lateness: int64(o.Lateness), maxKeys: o.MaxKeys, maxState: o.MaxState,
		candidates: make([]uint64, set.index.words),
		counters:   make([]Counters, len(set.rules)),
		published:  make([]held, len(set.rules)),
	}
	s.writer.init(set.dict)
	s.partition = o.Partition
	s.begin()
	if o.NearMisses != nil {
		s.nearMisses = newNearMisses(set, o.NearMisses)
	}
	s.options = o
	s.joinFleet(o.Fleet)
	if s.fleet != nil {
		s.options.Fleet = s.fleet.fleet
	}
	if o.Fleet != nil {
		s.roster = o.Fleet
		o.Fleet.Enlist(s)
	}
	if o.Clock != nil {
		s.clock, s.budget, s.costs = o.Clock, o.Budget, make([]cost, len(set.rules))
	}
	return s
}

// Ruleset is what the session judges by.
func (s *Session) Ruleset() *Ruleset { return s.set }

// Options are those that the session was made with, defaults filled in.
func (s *Session) Options() SessionOptions { return s.options }

// Dictionary is that of the session's rules.
func (s *Session) Dictionary() *ecs.Dictionary { return s.set.dict }

// begin gives every rule a state without memory.
func (s *Session) begin() {
	s.entities = newEntities(s.maxKeys)
	s.entities.byEntity = s.wide
	s.states = nil
	s.tables, s.account = make([][]table.Accounted, len(s.set.rules)), table.Account{}
	s.shortages = shortages{s: s, byRule: make([]shortage, len(s.set.rules))}
	s.nextDue, s.minStep = math.MaxInt64, math.MaxInt64
	for _, r := range s.set.rules {
		st := s.newState(r)
		s.states = append(s.states, st)
		s.minStep = min(s.minStep, st.ClockJumped(0))
	}
	s.rewatch()
	s.rollups = make([]*rollupState, len(s.set.rules))
	for i, r := range s.set.rules {
		if r.rollup != nil && s.wide {
			s.rollups[i] = newRollupState(s, r)
			s.states = append(s.states, s.rollups[i])
		}
	}
	s.states = append(s.states, &s.shortages)
}

// watch says whether the state of a rule wants to see what its hook watches.
func (s *Session) watch(rule int, on bool) {
	i := s.set.watchers[rule] - 1
	if i < 0 {
		return
	}
	if on {
		s.awake[i>>6] |= 1 << (i & 63)
		s.watchers++
	} else {
		s.awake[i>>6] &^= 1 << (i & 63)
		s.watchers--
	}
}

// rewatch asks every state again what it wants to see.
func (s *Session) rewatch() {
	s.awake, s.watched, s.watchers = make([]uint64, s.set.index.words), make([]uint64, s.set.index.words), 0
	for i, st := range s.states {
		st.Rewatch()
		if i < len(s.set.rules) && s.set.rules[i].FleetWide() && !s.wide {
			s.watch(i, true) // What it knows is not known here.
		}
	}
}

// Detect moves the clock to now, firing what is due until then, and judges e
// (nil: only the clock moves). A clock that would go back stands still.
// Matching rules are put on the event in edr.rules. Alerts go to emit and are
// valid until it returns. The sequence of alerts depends on the calls alone.
func (s *Session) Detect(now int64, e *event.Event, emit func(alert *event.Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit = emit
	if s.fleet != nil {
		s.fleet.refresh()
	}
	if now > s.now {
		s.advance(now)
	}
	if e != nil {
		s.judge(e)
	}
	s.account.WeighUsed()
	if s.maxState > 0 && s.account.Bytes > s.maxState {
		s.relieve()
	}
	if len(s.shortages.pending) > 0 {
		s.shortages.raisePending()
	}
	s.emit = nil
}

// Rebuild says whether the events that follow were judged before and are read
// again to know what they tell: their alerts are nobody's, and the fleet knows
// what happened. It implements pipeline.Rebuilder.
func (s *Session) Rebuild(on bool) { s.rebuilding = on }

// advance runs the timers up to now in the order in which they are due.
func (s *Session) advance(now int64) {
	if gap := now - s.now; s.now != 0 && gap > s.minStep {
		s.nextDue = math.MaxInt64
		for _, st := range s.states {
			st.ClockJumped(gap)
			s.nextDue = min(s.nextDue, st.Next())
		}
	}
	s.target = now
	for s.nextDue <= now {
		first, due := -1, int64(math.MaxInt64)
		for i, st := range s.states {
			if d := st.Next(); d < due {
				first, due = i, d
			}
		}
		s.nextDue = due
		if due > now {
			break
		}
		s.now = max(s.now, due)
		s.fireTimer(first, due)
	}
	s.now = now
}

// wakeAt makes sure that the clock stops at a new timer.
func (s *Session) wakeAt(due int64) { s.nextDue = min(s.nextDue, due) }

func (s *Session) judge(e *event.Event) {
	at := e.Timestamp()
	if at == 0 || at > s.now {
		at = s.now
	}
	m := &s.evaluation
	s.judged++
	*m = Evaluation{Event: e, Now: s.now, At: at, Late: at < s.now-s.lateness, Entity: s.entities.resolve(e, s.now), Number: s.judged}
	e.Late = m.Late
	if n := m.Entity; n != nil && s.now-at <= presentWithin {
		if s.now-n.Present > awakeGap {
			n.PresentSince = s.now
		}
		n.Present = s.now
	}
	if s.fleet != nil {
		s.fleet.observeEvent(m)
	}
	s.env.Event = e
	s.set.index.candidates(e, s.candidates)
	if s.watchers > 0 {
		s.set.index.watch.collect(e, s.watched)
		for w, word := range s.watched {
			s.candidates[w] |= word & s.awake[w]
			s.watched[w] = 0
		}
	}
	for w, word := range s.candidates {
		if word == 0 {
			continue
		}
		s.candidates[w] = 0
		for ; word != 0; word &= word - 1 {
			s.try(&s.set.hooks[w<<6+bits.TrailingZeros64(word)], m)
		}
	}
	if s.nearMisses != nil {
		s.nearMisses.look(s, m)
	}
	if s.unreported++; s.unreported >= publishEvery {
		s.Publish()
	}
}

// try evaluates one candidate.
func (s *Session) try(h *boundHook, m *Evaluation) {
	c := &s.counters[h.rule]
	c.Candidates++
	if s.clock != nil {
		if s.untimed++; s.untimed >= timedEvery {
			s.untimed = 0
			s.timed(h, m)
			return
		}
	}
	s.evaluate(h, m)
}

func (s *Session) evaluate(h *boundHook, m *Evaluation) {
	c := &s.counters[h.rule]
	switch h.Truth(&s.env) {
	case expression.True:
		c.Matches++
		if r := s.set.rules[h.rule]; len(r.exceptions) > 0 && !h.Unexcepted && r.excepted(&s.env, s.now) {
			c.Excepted++
			return
		}
		if s.set.rules[h.rule].FleetWide() {
			s.forward(h, m)
			return
		}
		s.states[h.rule].Observe(h.Slot, m)
	case expression.Unknown:
		if s.env.Failed {
			c.Errors++
		} else {
			c.Absent++
		}
	case expression.False:
	}
	s.env.Failed = false
}

// mark puts a rule on the event that it matched.
func (s *Session) mark(m *Evaluation, r *Rule) {
	if !s.silenced(r) {
		m.Event.Append(ecs.EDRRules, r.ID)
	}
}

// groupKey builds the key of a rule for the event; false when the event lacks
// a part of it. A key that does not last is valid until the next call.
func (s *Session) groupKey(r *Rule, m *Evaluation) (table.Key, bool) {
	if r.byAgent && m.Entity != nil { // Nearly all rules are by agent, and its key is there already.
		return table.Key{Text: m.Entity.Key, Lasting: true}, true
	}
	b, lacking := s.appendGroupKey(s.key[:0], r, m)
	if s.key = b; lacking != nil {
		s.counters[r.number].NoKey++
		return table.Key{}, false
	}
	return table.Key{Text: event.View(b)}, true
}

// appendGroupKey appends the key of a rule for the event, or returns the part
// of it that the event lacks.
func (s *Session) appendGroupKey(key []byte, r *Rule, m *Evaluation) ([]byte, *keyPart) {
	for i := range r.groupBy {
		part := &r.groupBy[i]
		text := ""
		switch {
		case part.scalar:
			if v := m.Event.Get(part.field); v != nil {
				s.scalar = AppendScalar(s.scalar[:0], v)
				text = event.View(s.scalar)
			}
		case !part.entity:
			text = m.Event.Str(part.field)
		case m.Entity != nil:
			text = m.Entity.Key
		}
		if text == "" && !part.optional {
			return key, part
		}
		if i > 0 {
			key = append(key, " | "...)
		}
		key = append(key, text...)
	}
	return key, nil
}

// held is what a rule's state in a session is.
type held struct{ keys, bytes int64 }

// Close reports the last counts. The session is not used afterwards.
func (s *Session) Close() {
	s.Publish()
	if s.roster != nil {
		s.roster.Dismiss(s)
	}
	if s.fleet != nil {
		s.fleet.leaveFleet()
	}
	for i := range s.published {
		s.set.totals[i].keys.Add(-s.published[i].keys)
		s.set.totals[i].bytes.Add(-s.published[i].bytes)
		s.published[i] = held{}
	}
}

// Publish adds what was counted to the set's counters.
func (s *Session) Publish() {
	s.unreported = 0
	if s.isCanary {
		return
	}
	for i := range s.counters {
		keys, forgotten := s.states[i].KeyCount()
		c, now := &s.counters[i], held{keys: int64(keys)}
		var places, relieved uint64
		for _, t := range s.tables[i] {
			bytes, _ := t.Weight()
			byPlace, byWeight := t.Forgotten()
			now.bytes, places, relieved = now.bytes+bytes, places+byPlace, relieved+byWeight
		}
		next := Counters{Evicted: places, Relieved: relieved, Shed: forgotten - places}
		c.Evicted, c.Relieved, c.Shed = places-c.Evicted, relieved-c.Relieved, next.Shed-c.Shed
		s.set.totals[i].add(c, now, s.published[i])
		s.published[i] = now
		*c = next
	}
}

// IDSumOf is a sum of an id.
func IDSumOf(id string) uint8 { return max(uint8(xxhash.Sum64String(id)), 1) }

// IDSum is that of the event's id, which is computed once for all rules.
func (m *Evaluation) IDSum() uint8 {
	if m.sum == 0 {
		m.sum = IDSumOf(m.Event.Str(ecs.EventID))
	}
	return m.sum
}
