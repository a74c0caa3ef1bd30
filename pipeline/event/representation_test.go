package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// sampleFields are the fields of a typical event in the order in which a
// mapping sets them, and readFields those that rules look at.
func sampleFields() (set, read []ecs.ID) {
	set = []ecs.ID{
		ecs.EventModule, ecs.EventDataset, ecs.EcsVersion, ecs.EventAction, ecs.EventKind, ecs.EventCategory, ecs.EventType,
		ecs.EventOutcome, ecs.Timestamp, ecs.AgentID, ecs.AgentType, ecs.AgentVersion, ecs.ObserverVendor, ecs.ObserverProduct,
		ecs.ObserverVersion, ecs.ObserverSerialNumber, ecs.ObserverIP, ecs.HostName, ecs.HostID, ecs.HostOSType, ecs.HostOSName,
		ecs.DeviceID, ecs.OrganizationID, ecs.EDRState, ecs.EDRMode, ecs.EDRIsolated, ecs.EDRContentHash, ecs.EventCode,
		ecs.EventCreated, ecs.EDRFeedDelaySeconds, ecs.RelatedHosts, ecs.EventID,
	}
	read = []ecs.ID{
		ecs.EventAction, ecs.AgentType, ecs.AgentID, ecs.HostName, ecs.EDRState, ecs.EDRMode, ecs.EDRResourceCPUPct,
		ecs.EDRContentVersion, ecs.HostOSType, ecs.EventOutcome, ecs.Timestamp, ecs.EDRTamperKind,
	}
	return set, read
}

func sampleValue(d *ecs.Dictionary, id ecs.ID) Value {
	switch d.Field(id).Kind {
	case ecs.Time:
		return Time(1721362140000000000)
	case ecs.Bool:
		return Bool(true)
	case ecs.Float:
		return Float(1.5)
	}
	return CleanString("a value of 20 bytes")
}

// The representations that were compared. Each fills an event, reads what
// rules read, encodes it where it can, and is emptied for the next.
type (
	// dense has a place for every field of the dictionary.
	dense struct {
		vals    []Value
		touched []ecs.ID
	}
	// sorted keeps pairs in document order.
	sorted struct {
		dict *ecs.Dictionary
		ids  []ecs.ID
		vals []Value
	}
)

// BenchmarkRepresentation compares ways to hold an event: 32 fields set, 12
// read (3 of them absent), encoded as nested JSON where "encode" says so, reset.
func BenchmarkRepresentation(b *testing.B) {
	dict := dictionary(b)
	set, read := sampleFields()
	values := make([]Value, len(set))
	for i, id := range set {
		values[i] = sampleValue(dict, id)
	}
	layout := dict.Layout()
	b.Logf("dictionary of %d fields; %d fields set, %d read", dict.Len(), len(set), len(read))

	b.Run("bitmap+index", func(b *testing.B) {
		b.ReportAllocs()
		e := New(dict)
		for b.Loop() {
			e.Reset()
			for i, id := range set {
				e.Set(id, values[i])
			}
			for _, id := range read {
				_ = e.Get(id)
			}
		}
	})
	b.Run("bitmap+index encode", func(b *testing.B) {
		b.ReportAllocs()
		e := New(dict)
		var dst []byte
		for b.Loop() {
			e.Reset()
			for i, id := range set {
				e.Set(id, values[i])
			}
			for _, id := range read {
				_ = e.Get(id)
			}
			dst = e.AppendJSON(dst[:0])
		}
	})
	b.Run("dense array", func(b *testing.B) {
		b.ReportAllocs()
		e := dense{vals: make([]Value, dict.Len())}
		for b.Loop() {
			for _, id := range e.touched {
				e.vals[id] = Value{}
			}
			e.touched = e.touched[:0]
			for i, id := range set {
				e.vals[id] = values[i]
				e.touched = append(e.touched, id)
			}
			for _, id := range read {
				_ = e.vals[id].kind
			}
			// Document order is needed before it can be encoded.
			slices.SortFunc(e.touched, func(a, b ecs.ID) int { return layout.Rank(a) - layout.Rank(b) })
		}
	})
	b.Run("sorted slice", func(b *testing.B) {
		b.ReportAllocs()
		e := sorted{dict: dict}
		find := func(id ecs.ID) (int, bool) {
			return slices.BinarySearchFunc(e.ids, id, func(a, b ecs.ID) int { return layout.Rank(a) - layout.Rank(b) })
		}
		for b.Loop() {
			e.ids, e.vals = e.ids[:0], e.vals[:0]
			for i, id := range set {
				at, _ := find(id)
				e.ids = slices.Insert(e.ids, at, id)
				e.vals = slices.Insert(e.vals, at, values[i])
			}
			for _, id := range read {
				_, _ = find(id)
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		b.ReportAllocs()
		e := map[string]any{}
		for b.Loop() {
			clear(e)
			for _, id := range set {
				e[dict.Field(id).Name] = "a value of 20 bytes"
			}
			for _, id := range read {
				_ = e[dict.Field(id).Name]
			}
		}
	})
	b.Run("map encode", func(b *testing.B) {
		b.ReportAllocs()
		e := map[string]any{}
		for b.Loop() {
			clear(e)
			for _, id := range set {
				e[dict.Field(id).Name] = "a value of 20 bytes"
			}
			for _, id := range read {
				_ = e[dict.Field(id).Name]
			}
			if _, err := json.Marshal(e); err != nil { // flat, not even nested
				b.Fatal(fmt.Errorf("encoding: %w", err))
			}
		}
	})
}
