package rules

import (
	"math/rand/v2"
	"testing"
)

// dropWatch is what an oracle knows for a spike downwards.
type dropWatch struct {
	last    int64 // The clock.
	resumed int64 // Clock at the end of the last gap of the feed that says nothing.
	judged  int64 // Windows up to here were judged.
	seen    []oracleEvent
	agent   string // Of the key's last event that counted.
}

// clock judges the windows that are over, and forgets a key that was not heard
// for its whole history.
func (w *dropWatch) clock(o *oracle, now int64) {
	r := o.r
	if w.last != 0 && now-w.last > r.window/4 {
		w.resumed = now
	}
	w.last = now
	for len(o.events) > 0 {
		first, newest, counts := o.events[0].at/r.window, int64(0), map[int64]int64{}
		for _, e := range o.events {
			n := e.at / r.window
			first, newest = min(first, n), max(newest, n)
			counts[n]++
		}
		if w.judged < o.events[0].at/r.window { // It was not a whole window.
			w.judged = o.events[0].at / r.window
		}
		n := w.judged + 1
		due := (n+1)*r.window + r.lateness
		if due > now {
			return
		}
		w.judged = n
		o.end(due)
		past, known := int64(0), int64(0)
		for i := max(n-r.history, first+1); i < n; i++ {
			past += counts[i]
			known++
		}
		if known >= r.minKnown && w.tells(o, n) {
			mean := float64(past) / float64(known)
			if mean >= float64(r.least) && float64(counts[n])*r.times <= mean {
				o.found(due, n*r.window, max(counts[n], 1))
			}
		}
		if n == newest+r.history+1 {
			o.events = nil
		}
	}
}

// tells reports whether few events in a window say something.
func (w *dropWatch) tells(o *oracle, n int64) bool {
	begin, quarter := n*o.r.window, o.r.window/4
	if begin < w.resumed {
		return false
	}
	if !o.r.hostUp {
		return true
	}
	latest, since := int64(0), int64(0)
	for _, e := range w.seen {
		if e.agent == "" || e.agent != w.agent {
			continue
		}
		if latest == 0 || e.now-latest > tenMinutes {
			since = e.now
		}
		latest = e.now
	}
	return latest >= begin+o.r.window-quarter && since <= begin+quarter
}

// drawDrop draws a spike downwards and a stream whose events become fewer.
func drawDrop(r *rand.Rand, n int) (*oracleRule, []oracleEvent) {
	x := randomRule(r)
	for x.typ != "spike" {
		x = randomRule(r)
	}
	x.down, x.hostUp, x.least, x.window = true, r.IntN(2) == 0, 1+r.IntN(3), int64(1+r.IntN(6))*60*secondNS
	events := randomStream(r, x, n)
	now := start
	for i := range events {
		e := &events[i]
		before := e.now - e.at
		e.now = now
		e.at = now - before
		now += int64(r.IntN(20)) * secondNS
		if r.IntN(100) == 0 {
			now += int64(r.IntN(1200)) * secondNS
		}
		if i > n/2 && r.IntN(4) > 0 {
			e.action = "inventory"
		}
	}
	return x, events
}

func TestSpikeDownAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	total := 0
	for i := range uint64(120) {
		_, n := againstOracle(t, dict, drawDrop, 4, i, 250)
		total += n
	}
	if total < 150 {
		t.Errorf("only %d alerts, the test shows little", total)
	}
}

// FuzzSpikeDownAgainstOracle draws spikes downwards and streams from seeds.
func FuzzSpikeDownAgainstOracle(f *testing.F) {
	dict := dictionary(f)
	f.Add(uint64(1), uint64(2), uint8(100))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracle(t, dict, drawDrop, a, b, int(n)+1) })
}
