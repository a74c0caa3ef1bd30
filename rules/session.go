package rules

import (
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
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
	// Misses asks for what Misses tells, of rules for which it returns true. It
	// takes many times the time of judging; nil for a gateway.
	Misses func(*Rule) bool
}

// Session is the state of a Ruleset for one shard. It belongs to one
// goroutine, all but Agents.
type Session struct {
	mu       sync.Mutex // Held while an event is judged: Agents comes from outside.
	set      *Ruleset
	lateness int64
	maxKeys  int
	maxState int64

	env        expression.Env
	entities   *entities
	states     []state // By number of the rule; after them those of rollups, of shortages and of the fleet.
	rollups    []*rollupState
	tables     [][]table // Of the states, by number of the rule.
	account    account
	shortages  shortages
	candidates []uint64
	awake      []uint64 // Hooks whose states want to see what they watch.
	watched    []uint64
	watchers   int // Bits in awake.
	counters   []Counters
	published  []held // As last published.
	unreported int
	untimed    int // Candidates since one was timed.
	unrung     int // Timers since one was timed.

	clock      func() time.Time // nil: nothing is timed.
	budget     time.Duration
	costs      []cost      // By number of the rule, where there is a clock.
	fleet      *fleetWatch // nil where no rule is about the fleet.
	partition  string
	roster     *fleet.Fleet // That lists the session's agents; nil without one.
	now        int64
	target     int64 // Where the clock is going.
	rebuilding bool  // The events were judged before.
	near       *misses
	nextDue    int64 // No timer of any state is due before.
	minStep    int64 // No state minds a step of the clock up to this.
	moment     moment
	judged     uint64
	emit       func(*event.Event)
	writer     alertWriter
	key        []byte
	scalar     []byte // A part of a key that is no text.
	restored   RestoreReport

	canary *Session // That judges the gateway's own canaries; nil before the first.
	apart  bool     // It is such a one: no counter and no fleet knows of it.
}

// moment is the event that is being judged.
type moment struct {
	e      *event.Event
	now    int64 // The clock.
	at     int64 // The event's time, not after the clock.
	late   bool
	entity *entity // nil when the event names none.
	number uint64  // Of the event in the session.
	sum    uint8   // Of the event's id; 0: not computed yet.
}

// state is the state of one rule in one session.
type state interface {
	// observe is called for an event of which the condition of a hook is true.
	observe(slot int, m *moment)
	// next is when the first timer is due, math.MaxInt64 without one.
	next() int64
	// fire runs the first timer; due is what next returned.
	fire(due int64)
	// step tells that the clock moves by a gap at once, nothing having come
	// in between, before timers run. It returns the largest gap that makes no
	// difference to the state.
	step(gap int64) (harmless int64)
	// keys tells how many keys are held and how many were forgotten.
	keys() (held int, evicted uint64)
	// open calls end for every alert of the rule that has begun and not ended.
	open(end func(openAlert))
	// persist writes the state, or reads it into one that is new.
	persist(a *archive)
	// rebind puts the state under a rule that judges alike.
	rebind(r *Rule)
}

// publishEvery is the number of events between reports to the set's counters.
const publishEvery = 512

// NewSession returns a session without state.
func (set *Ruleset) NewSession(o SessionOptions) *Session {
	if o.Lateness <= 0 {
		o.Lateness = event.DefaultLateness
	}
	if o.MaxKeys <= 0 {
		o.MaxKeys = 1_000_000
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
	s.joinFleet(o.Fleet)
	if o.Fleet != nil {
		s.roster = o.Fleet
		o.Fleet.Enlist(s)
	}
	if o.Misses != nil {
		s.near = newMisses(set, o.Misses)
	}
	if o.Clock != nil {
		s.clock, s.budget, s.costs = o.Clock, o.Budget, make([]cost, len(set.rules))
	}
	return s
}

// begin gives every rule a state without memory.
func (s *Session) begin() {
	s.entities = newEntities(s.maxKeys)
	s.states = nil
	s.tables, s.account = make([][]table, len(s.set.rules)), account{}
	s.shortages = shortages{s: s, byRule: make([]shortage, len(s.set.rules))}
	s.nextDue, s.minStep = math.MaxInt64, math.MaxInt64
	for _, r := range s.set.rules {
		st := r.plan.newState(s, r)
		s.states = append(s.states, st)
		s.minStep = min(s.minStep, st.step(0))
	}
	s.rouse()
	s.rollups = make([]*rollupState, len(s.set.rules))
	for i, r := range s.set.rules {
		if r.rollup != nil {
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

// rouse asks every state anew what it wants to see.
func (s *Session) rouse() {
	s.awake, s.watched, s.watchers = make([]uint64, s.set.index.words), make([]uint64, s.set.index.words), 0
	for _, st := range s.states {
		if match, ok := st.(*matchState); ok {
			match.awake = false
			match.watchReadings()
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
	s.account.settle()
	if s.maxState > 0 && s.account.bytes > s.maxState {
		s.relieve()
	}
	if len(s.shortages.pending) > 0 {
		s.shortages.tell()
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
			st.step(gap)
			s.nextDue = min(s.nextDue, st.next())
		}
	}
	s.target = now
	for s.nextDue <= now {
		first, due := -1, int64(math.MaxInt64)
		for i, st := range s.states {
			if d := st.next(); d < due {
				first, due = i, d
			}
		}
		s.nextDue = due
		if due > now {
			break
		}
		s.now = max(s.now, due)
		s.ring(first, due)
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
	m := &s.moment
	s.judged++
	*m = moment{e: e, now: s.now, at: at, late: at < s.now-s.lateness, entity: s.entities.resolve(e, s.now), number: s.judged}
	e.Late = m.late
	if n := m.entity; n != nil && s.now-at <= presentWithin {
		if s.now-n.present > awakeGap {
			n.presentSince = s.now
		}
		n.present = s.now
	}
	if s.fleet != nil {
		s.fleet.tell(m)
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
	if s.near != nil {
		s.near.look(s, m)
	}
	if s.unreported++; s.unreported >= publishEvery {
		s.publish()
	}
}

// try evaluates one candidate.
func (s *Session) try(h *boundHook, m *moment) {
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

func (s *Session) evaluate(h *boundHook, m *moment) {
	c := &s.counters[h.rule]
	switch h.truth(&s.env) {
	case expression.True:
		c.Matches++
		if r := s.set.rules[h.rule]; len(r.exceptions) > 0 && !h.unexcepted && r.excepted(&s.env, s.now) {
			c.Excepted++
			return
		}
		s.states[h.rule].observe(h.slot, m)
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
func (s *Session) mark(m *moment, r *Rule) {
	if !s.silenced(r) {
		m.e.Append(ecs.EDRRules, r.ID)
	}
}

// groupKey builds the key of a rule for the event; false when the event lacks
// a part of it. A key that does not last is valid until the next call.
func (s *Session) groupKey(r *Rule, m *moment) (key, bool) {
	if r.byAgent && m.entity != nil { // Nearly all rules are by agent, and its key is there already.
		return key{text: m.entity.key, lasting: true}, true
	}
	b, lacking := s.appendGroupKey(s.key[:0], r, m)
	if s.key = b; lacking != nil {
		s.counters[r.number].NoKey++
		return key{}, false
	}
	return key{text: event.View(b)}, true
}

// appendGroupKey appends the key of a rule for the event, or returns the part
// of it that the event lacks.
func (s *Session) appendGroupKey(key []byte, r *Rule, m *moment) ([]byte, *keyPart) {
	for i := range r.groupBy {
		part := &r.groupBy[i]
		text := ""
		switch {
		case part.scalar:
			if v := m.e.Get(part.field); v != nil {
				s.scalar = appendScalar(s.scalar[:0], v)
				text = event.View(s.scalar)
			}
		case !part.entity:
			text = m.e.Str(part.field)
		case m.entity != nil:
			text = m.entity.key
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
	s.publish()
	if s.roster != nil {
		s.roster.Dismiss(s)
	}
	if s.fleet != nil {
		s.fleet.leave()
	}
	for i := range s.published {
		s.set.totals[i].keys.Add(-s.published[i].keys)
		s.set.totals[i].bytes.Add(-s.published[i].bytes)
		s.published[i] = held{}
	}
}

// publish adds what was counted to the set's counters.
func (s *Session) publish() {
	s.unreported = 0
	if s.apart {
		return
	}
	for i := range s.counters {
		keys, forgotten := s.states[i].keys()
		c, now := &s.counters[i], held{keys: int64(keys)}
		var places, relieved uint64
		for _, t := range s.tables[i] {
			bytes, _ := t.weight()
			byPlace, byWeight := t.forgotten()
			now.bytes, places, relieved = now.bytes+bytes, places+byPlace, relieved+byWeight
		}
		next := Counters{Evicted: places, Relieved: relieved, Shed: forgotten - places}
		c.Evicted, c.Relieved, c.Shed = places-c.Evicted, relieved-c.Relieved, next.Shed-c.Shed
		s.set.totals[i].add(c, now, s.published[i])
		s.published[i] = now
		*c = next
	}
}
