package mappings

import (
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// timestamp sets @timestamp from the first source that is a time.
type timestamp struct {
	sources []timeSource
}

type timeSource struct {
	source
	parts  []transform
	format timeFormat
	// notAfter is when somebody took the record, by another clock: a time that
	// is ahead of it is wrong, and the next source has its turn. Else it is
	// event.created.
	notAfter []source
	// local says that a time without an offset is that of the place where it was
	// written; received is when the collector there took it, by the same clock.
	local    bool
	received []source
	// syslog says that the text is a syslog header, whose year may be missing.
	syslog bool
}

// read reads a time; told is false when it says neither offset nor zone.
func (s *timeSource) read(m *Mapper, t string) (ns int64, told, ok bool) {
	if s.syslog {
		return syslogTime(t, m.arrived)
	}
	ns, ok = s.format(t)
	return ns, !s.local || tellsOffset(t), ok
}

func (s *timestamp) run(m *Mapper) {
	for i := range s.sources {
		from := &s.sources[i]
		t, ok := m.text(&from.source)
		for k := 0; ok && k < len(from.parts); k++ {
			t, ok = from.parts[k](m.event, t)
		}
		if !ok {
			continue
		}
		ns, told, ok := from.read(m, t.s)
		if !ok || from.notAfter != nil && !from.bounded(m, ns) {
			continue
		}
		if from.local && !told {
			ns = from.place(m, ns)
		}
		m.event.Set(ecs.Timestamp, event.Time(ns))
		if len(from.parts) == 0 {
			m.use(from.key)
		}
		return
	}
}

// bounded reports whether a time is not after the record's arrival, which
// becomes event.created then; a record that does not tell it is believed.
func (s *timeSource) bounded(m *Mapper, ns int64) bool {
	for i := range s.notAfter {
		t, ok := m.text(&s.notAfter[i])
		if !ok {
			continue
		}
		later, _, ok := s.read(m, t.s)
		if !ok {
			continue
		}
		if ns > later {
			return false
		}
		m.event.Set(ecs.EventCreated, event.Time(later))
		m.use(s.notAfter[i].key)
		return true
	}
	return true
}
