package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// Versions of the sections of a snapshot. A section of another version is not
// read: what it holds starts empty.
const (
	sessionVersion = 2 // Of session and agents.
	fleetVersion   = 4 // Of what the fleet's shard knows.
	stateVersion   = 1 // Of the states of all rules.
	rolledVersion  = 2 // Of those with rollup, whose incidents were in it before.
	wideVersion    = 1 // Of what is known of the rules about the whole fleet.
)

// wideSection is what the session at which partitions meet knows.
const wideSection = "rules about the whole fleet"

// RestoreReport says which rules have got their state back from a snapshot.
type RestoreReport struct {
	Restored int     // Rules that go on where they were.
	Anew     []*Rule // Rules that begin without, by id: they are new, or judge otherwise than when it was written.
	Dropped  int     // States of rules that are no more.
}

// stateVersion is that of the rule's section.
func (r *Rule) stateVersion() uint64 {
	if r.rollup != nil {
		return rolledVersion
	}
	return stateVersion
}

// persists reports whether a snapshot of the session holds something of a rule.
func (s *Session) persists(r *Rule) bool { return s.holds(r) || s.wide && r.rollup != nil }

// section is the name of a rule's section: a rule that judges otherwise has
// another one.
func (r *Rule) section() string { return "rule " + r.ID + " " + r.logicHash }

// AppendSnapshot appends the whole state of the session, and true: that it is
// complete. The bytes depend on the state alone. It implements
// pipeline.Snapshotter. What the fleet's judge has found is not in it: that is
// of all sessions.
func (s *Session) AppendSnapshot(to []byte) ([]byte, bool) {
	w := snapshot.NewWriter(to)
	w.Base = s.now
	agents := &roll{}
	for e := range s.entities.known.All() {
		agents.number(e.Data)
	}
	w.Section("session", sessionVersion, func(c *snapshot.Codec) {
		c.Base = 0
		s.persist(c)
	})
	for i, r := range s.set.rules {
		if r.removed || r.logicHash == "" || !s.persists(r) {
			continue
		}
		w.Section(r.section(), r.stateVersion(), func(c *snapshot.Codec) { s.persistRule(&Archive{c, agents, s.entities.known}, i, false) })
		if k := &s.shortages.byRule[i]; k.Firing() {
			w.Section("shortage of "+r.section(), sessionVersion, k.persist)
		}
	}
	s.entities.enroll(agents)
	// Last, because by now it is known whom the rules remember.
	w.Section("agents", sessionVersion, func(c *snapshot.Codec) { s.entities.persist(&Archive{c, agents, nil}) })
	w.Section("renamed", sessionVersion, func(c *snapshot.Codec) { s.entities.persistFormerly(&Archive{c, agents, nil}) })
	w.Section("presence", sessionVersion, agents.persistPresence)
	if s.fleet != nil {
		w.Section("fleet", fleetVersion, func(c *snapshot.Codec) { s.fleet.Persist(&Archive{c, agents, nil}) })
	}
	if s.fleet != nil && s.set.judgesWide() {
		if state := s.fleet.fleet.AppendAcross(nil); len(state) > 0 {
			w.Section(wideSection, wideVersion, func(c *snapshot.Codec) { c.Bytes(&state) })
		}
	}
	return w.Finish(), true
}

func (s *Session) persist(c *snapshot.Codec) {
	c.Time(&s.now)
	snapshot.Int(c, &s.judged)
}

// persistRule writes or reads the state of a rule, and of its incidents.
func (s *Session) persistRule(a *Archive, number int, old bool) {
	s.states[number].Persist(a)
	if s.wide {
		a.Time(&s.cutAt[number])
	}
	if r := s.set.rules[number]; old && r.rollup != nil {
		newRollupState(s, r).persistFormer(a)
	}
	if fold := s.rollups[number]; fold != nil {
		fold.Persist(a)
	}
	s.account.WeighUsed()
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
	if err := f.Read("agents", func(c *snapshot.Codec) { s.entities.persist(&Archive{c, agents, nil}) }); err != nil {
		return report, err
	}
	if f.Version("renamed") == sessionVersion { // Earlier releases did not write it.
		if err := f.Read("renamed", func(c *snapshot.Codec) { s.entities.persistFormerly(&Archive{c, agents, nil}) }); err != nil {
			return report, err
		}
	}
	if f.Version("presence") == sessionVersion { // Nor this.
		if err := f.Read("presence", agents.persistPresence); err != nil {
			return report, err
		}
	}
	for i, r := range s.set.rules {
		if r.removed {
			continue
		}
		if !s.persists(r) {
			if f.Version(r.section()) != 0 { // Earlier releases judged it by partition.
				report.Anew = append(report.Anew, r)
			}
			continue
		}
		version := f.Version(r.section())
		old := version == stateVersion && r.rollup != nil && !s.wide // With its incidents, which are not restored.
		if old {
			version = rolledVersion
		}
		if r.logicHash == "" || version != r.stateVersion() {
			report.Anew = append(report.Anew, r)
			continue
		}
		if err := f.Read(r.section(), func(c *snapshot.Codec) { s.persistRule(&Archive{c, agents, s.entities.known}, i, old) }); err != nil {
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
	if v := f.Version("fleet"); s.fleet == nil || v != fleetVersion && v != fleetVersion-1 { // Before, steps had no matches.
		for _, n := range agents.list {
			n.Agent.Detach() // What the fleet knew of it is not there.
		}
	} else if err := f.Read("fleet", func(c *snapshot.Codec) { s.fleet.Persist(&Archive{c, agents, nil}) }); err != nil {
		return report, err
	}
	if s.fleet != nil && f.Version(wideSection) == wideVersion {
		var state []byte
		if err := f.Read(wideSection, func(c *snapshot.Codec) { c.Bytes(&state) }); err != nil {
			return report, err
		}
		if err := s.fleet.fleet.RestoreAcross(state); err != nil {
			return report, err
		}
		s.fleet.shard.Resume(s.fleet.fleet.View(s.now))
	}
	s.rewatch()
	s.nextDue, s.minStep = math.MaxInt64, math.MaxInt64
	for _, st := range s.states {
		s.minStep = min(s.minStep, st.ClockJumped(0))
		s.nextDue = min(s.nextDue, st.Next())
	}
	slices.SortFunc(report.Anew, func(a, b *Rule) int { return strings.Compare(a.ID, b.ID) })
	return report, nil
}
