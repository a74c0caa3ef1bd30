package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// Versions of the sections of a snapshot. A section of another version is not
// read: what it holds begins anew.
const (
	sessionVersion = 2 // Of session and agents.
	fleetVersion   = 3 // Of what the fleet's shard knows.
	stateVersion   = 1 // Of the states of all rules.
)

// RestoreReport tells what became of the state of the rules.
type RestoreReport struct {
	Restored int     // Rules that go on where they were.
	Anew     []*Rule // Rules that begin without, by id: they are new, or judge otherwise than when it was written.
	Dropped  int     // States of rules that are no more.
}

// archive writes the state of a session, or reads it.
type archive struct {
	*snapshot.Codec
	agents *roll
	known  *keyed[*entity] // nil where keys are no agents', or these are not known yet.
}

// roll numbers the agents of a snapshot, from 1.
type roll struct{ list []*entity }

// holds reports whether an agent has its number.
func (r *roll) holds(n *entity) bool {
	i := int(n.Number)
	return i > 0 && i <= len(r.list) && r.list[i-1] == n
}

// number returns that of an agent, which it gets if need be: a rule may
// remember one that the session has forgotten.
func (r *roll) number(n *entity) int {
	if n == nil {
		return 0
	}
	if r.holds(n) {
		return int(n.Number)
	}
	r.list = append(r.list, n)
	n.Number = uint32(len(r.list))
	return len(r.list)
}

// agent is a reference to an agent.
func (a *archive) agent(p **entity) {
	number := 0
	if !a.Reading() {
		number = a.agents.number(*p)
	}
	snapshot.Int(a.Codec, &number)
	if !a.Reading() {
		return
	}
	*p = nil
	switch {
	case number < 0 || number > len(a.agents.list):
		a.Fail("expected one of %d agents, found number %d", len(a.agents.list), number)
	case number > 0:
		*p = a.agents.list[number-1]
	}
}

// section is the name of a rule's section: a rule that judges otherwise has
// another one.
func (r *Rule) section() string { return "rule " + r.ID + " " + r.judges }

// AppendSnapshot appends the whole state of the session, and true: that it is
// complete. The bytes depend on the state alone. It implements
// pipeline.Snapshotter. What the fleet's judge has found is not in it: that is
// of all sessions.
func (s *Session) AppendSnapshot(to []byte) ([]byte, bool) {
	w := snapshot.NewWriter(to)
	w.Base = s.now
	agents := &roll{}
	for e := s.entities.known.oldest; e != nil; e = e.newer {
		agents.number(e.data)
	}
	w.Section("session", sessionVersion, func(c *snapshot.Codec) {
		c.Base = 0
		s.persist(c)
	})
	for i, r := range s.set.rules {
		if r.removed || r.judges == "" {
			continue
		}
		w.Section(r.section(), stateVersion, func(c *snapshot.Codec) { s.persistRule(&archive{c, agents, s.entities.known}, i) })
		if k := &s.shortages.byRule[i]; k.firing {
			w.Section("shortage of "+r.section(), sessionVersion, k.persist)
		}
	}
	s.entities.enroll(agents)
	// Last, because by now it is known whom the rules remember.
	w.Section("agents", sessionVersion, func(c *snapshot.Codec) { s.entities.persist(&archive{c, agents, nil}) })
	w.Section("renamed", sessionVersion, func(c *snapshot.Codec) { s.entities.persistFormerly(&archive{c, agents, nil}) })
	if s.fleet != nil {
		w.Section("fleet", fleetVersion, func(c *snapshot.Codec) { s.fleet.persist(&archive{c, agents, nil}) })
	}
	return w.Finish(), true
}

func (s *Session) persist(c *snapshot.Codec) {
	c.Time(&s.now)
	snapshot.Int(c, &s.judged)
}

// persistRule writes or reads the state of a rule, and of its incidents.
func (s *Session) persistRule(a *archive, number int) {
	s.states[number].persist(a)
	if fold := s.rollups[number]; fold != nil {
		fold.persist(a)
	}
	s.account.settle()
}

// Restore takes up the state that AppendSnapshot wrote, in a session that has
// judged nothing. After an error the session is as new. It implements
// pipeline.Snapshotter; Restored tells which rules go on.
func (s *Session) Restore(data []byte) error {
	s.mu.Lock() // Agents may be asked for meanwhile.
	defer s.mu.Unlock()
	if s.judged > 0 || s.now != 0 {
		return fmt.Errorf("restoring the rules' state: the session has judged already")
	}
	report, err := s.restore(data)
	if err != nil {
		s.begin()
		if s.fleet != nil {
			s.fleet.shard.Reset()
			s.rejoinFleet()
		}
		s.now, s.judged = 0, 0
		return fmt.Errorf("restoring the rules' state: %w", err)
	}
	s.restored = report
	return nil
}

// Restored tells what the last Restore found.
func (s *Session) Restored() RestoreReport { return s.restored }

func (s *Session) restore(data []byte) (report RestoreReport, err error) {
	f, err := snapshot.Parse(data)
	if err != nil {
		return report, err
	}
	for _, name := range []string{"session", "agents"} {
		if v := f.Version(name); v != sessionVersion {
			return report, fmt.Errorf("section %q has version %d, expected %d: it was written by another release", name, v, sessionVersion)
		}
	}
	if err := f.Read("session", s.persist); err != nil {
		return report, err
	}
	f.Base = s.now
	agents := &roll{}
	if err := f.Read("agents", func(c *snapshot.Codec) { s.entities.persist(&archive{c, agents, nil}) }); err != nil {
		return report, err
	}
	if f.Version("renamed") == sessionVersion { // Earlier releases did not write it.
		if err := f.Read("renamed", func(c *snapshot.Codec) { s.entities.persistFormerly(&archive{c, agents, nil}) }); err != nil {
			return report, err
		}
	}
	for i, r := range s.set.rules {
		if r.removed {
			continue
		}
		if r.judges == "" || f.Version(r.section()) != stateVersion {
			report.Anew = append(report.Anew, r)
			continue
		}
		if err := f.Read(r.section(), func(c *snapshot.Codec) { s.persistRule(&archive{c, agents, s.entities.known}, i) }); err != nil {
			return report, err
		}
		report.Restored++
		if name := "shortage of " + r.section(); f.Version(name) == sessionVersion {
			if err := f.Read(name, s.shortages.byRule[i].persist); err != nil {
				return report, err
			}
		}
	}
	report.Dropped = f.Len("rule ") - report.Restored
	if s.fleet == nil || f.Version("fleet") != fleetVersion {
		for _, n := range agents.list {
			n.Agent.Detach() // What the fleet knew of it is not there.
		}
	} else if err := f.Read("fleet", func(c *snapshot.Codec) { s.fleet.persist(&archive{c, agents, nil}) }); err != nil {
		return report, err
	}
	s.rouse()
	s.nextDue, s.minStep = math.MaxInt64, math.MaxInt64
	for _, st := range s.states {
		s.minStep = min(s.minStep, st.step(0))
		s.nextDue = min(s.nextDue, st.next())
	}
	slices.SortFunc(report.Anew, func(a, b *Rule) int { return strings.Compare(a.ID, b.ID) })
	return report, nil
}

// persist writes or reads all keys in the order of their use, with their
// timers; each does the data.
func persist[T any](a *archive, k *keyed[T], each func(e *entry[T])) {
	n := a.Count(k.held(), 3)
	snapshot.Int(a.Codec, &k.made)
	if !a.Reading() {
		for e := k.oldest; e != nil; e = e.newer {
			persistEntry(a, e)
			each(e)
		}
		return
	}
	for range n {
		e := &entry[T]{}
		persistEntry(a, e)
		if each(e); a.Err() != nil {
			return
		}
		if k.index.find(e.key) != nil {
			a.Fail("the key %q stands there twice", e.key)
			return
		}
		k.index.insert(e)
		k.link(e)
		k.soil(e)
		if e.pos = -1; e.due != 0 {
			due := e.due
			e.due = 0
			k.wake(e, due)
		}
	}
}

func persistEntry[T any](a *archive, e *entry[T]) {
	a.persistKey(&e.key)
	snapshot.Int(a.Codec, &e.made)
	due := e.due
	if !a.Reading() && e.pos < 0 {
		due = 0
	}
	if a.Time(&due); a.Reading() {
		e.due = due
	}
}

// persistKey writes or reads a key: of a rule by agent it is a number, and the
// text that the agent has.
func (a *archive) persistKey(key *string) {
	if a.known == nil {
		a.Text(key)
		return
	}
	var n *entity
	if !a.Reading() {
		if e := a.known.index.find(*key); e != nil {
			n = e.data
		}
	}
	if a.agent(&n); n == nil {
		a.Text(key)
		return
	}
	*key = n.key
}
