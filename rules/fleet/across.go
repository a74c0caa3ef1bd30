package fleet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// RaisedKind is the kind of a Finding that is a whole alert already: one of a
// rule about the whole fleet, in Finding.Alert.
const RaisedKind = "alert of a rule about the whole fleet"

// Across judges what rules about the whole fleet matched, when a step is closed.
// It is called by one goroutine at a time, while the Fleet is locked, and calls
// nothing of it.
type Across interface {
	// Judge takes the matches of a step that ended at a time, in an order that
	// depends on the events alone, and returns the alerts, each as a Finding of
	// RaisedKind. It adds to the view what all partitions are to know.
	Judge(end int64, step *Step, v *View) []Finding
	// Incidents are those that are open.
	Incidents() map[IncidentKey]OpenIncident
	// AppendSnapshot appends what is known, and Restore reads it into one that
	// has judged nothing; after an error it knows nothing.
	AppendSnapshot(to []byte) []byte
	Restore(snapshot []byte) error
}

// UseAcross calls use with what judges across partitions, nil before the first,
// and keeps what it returns. Nothing is judged meanwhile.
func (f *Fleet) UseAcross(use func(Across) Across) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.across = use(f.across)
	if len(f.keptAcross) > 0 && f.across != nil {
		kept := f.keptAcross
		f.keptAcross = nil
		_ = f.restoreAcross(kept) // What cannot be read begins from the start.
	}
}

// Exchanged reports whether the fleet learns of all steps from the exchange of
// several gateways.
func (f *Fleet) Exchanged() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shared
}

// Flush judges what rules about the whole fleet have of the steps that are not
// closed, at the time of the last record of a log that has ended, and returns what
// was found. The fleet's judge waits for whole steps. No shard may be in use.
func (f *Fleet) Flush(at int64) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.across == nil || f.shared {
		return nil
	}
	whole := newStep(at)
	for _, parts := range f.collect.pending {
		for _, c := range parts {
			whole.mergeMatches(c.Step)
		}
	}
	for s := range f.shards {
		if s.step != nil {
			whole.mergeMatches(s.step)
		}
	}
	v := View{End: at}
	if f.views.last != nil {
		v = *f.views.last
		v.End = at
	}
	return f.judgeAcross(at, whole, &v)
}

// judgeAcross judges what crosses partitions.
func (f *Fleet) judgeAcross(end int64, step *Step, v *View) []Finding {
	if f.across == nil || end <= f.acrossAt {
		return nil // It is known from a snapshot.
	}
	f.acrossAt, f.acrossLive = end, true
	return f.across.Judge(end, step, v)
}

// AppendAcross appends what rules about the whole fleet know, for a snapshot of a
// partition: a gateway that has no exchange restores it from there.
func (f *Fleet) AppendAcross(to []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.across == nil || f.shared {
		return to
	}
	return f.appendAcross(to)
}

func (f *Fleet) appendAcross(to []byte) []byte {
	return f.across.AppendSnapshot(binary.AppendUvarint(to, uint64(f.acrossAt)))
}

// RestoreAcross reads that where it is newer than what is known, and nothing
// was judged yet. After an error nothing is known.
func (f *Fleet) RestoreAcross(kept []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shared || f.acrossLive {
		return nil
	}
	return f.restoreAcross(kept)
}

func (f *Fleet) restoreAcross(kept []byte) error {
	at, n := binary.Uvarint(kept)
	if n <= 0 || at > math.MaxInt64 {
		return errors.New("state of the rules about the whole fleet: expected the end of a step")
	}
	if int64(at) <= f.acrossAt {
		return nil
	}
	if f.across == nil { // Until there is one.
		f.keptAcross = bytes.Clone(kept)
		return nil
	}
	if err := f.across.Restore(kept[n:]); err != nil {
		return fmt.Errorf("state of the rules about the whole fleet: %w", err)
	}
	f.acrossAt = int64(at)
	// Who goes on in the middle of a step knows what was open at its beginning.
	shown := View{End: f.acrossAt}
	if f.views.last != nil {
		shown = *f.views.last
	}
	shown.SetIncidents(f.across.Incidents())
	f.views.add(&shown)
	return nil
}

// persistAcross does so within the state of a fleet.
func (f *Fleet) persistAcross(c *snapshot.Codec) {
	kept := f.keptAcross
	if !c.Reading() && f.across != nil {
		kept = f.appendAcross(nil)
	}
	if c.Bytes(&kept); c.Reading() {
		f.keptAcross = kept
	}
}
