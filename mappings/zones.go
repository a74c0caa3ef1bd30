package mappings

import (
	"fmt"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// zonesFile is the table that says in which zone the times of a topic and a
// mapping belong that have no offset.
const zonesFile = "zones.csv"

// localZone is the word under zone: of files whose records tell the time of
// the place where they were written.
const localZone = "local"

// zoneRule is a row of the table.
type zoneRule struct {
	topic, dataset pattern
	zone           *time.Location
}

// zones compiles the table.
func (c *compiler) zones() {
	t := c.files.zones
	if t == nil {
		return
	}
	topic, dataset, zone := t.column("topic"), t.column("dataset"), t.column("zone")
	for _, key := range sortedKeys(t.rows) {
		row := t.rows[key]
		location, err := time.LoadLocation(row[zone])
		if err != nil || row[zone] == "" {
			c.problems = append(c.problems, strict.Problem{File: zonesFile, Message: fmt.Sprintf("unknown time zone %q of topic %q", row[zone], row[topic]), Hint: "a name of the IANA database such as Europe/Paris"})
			continue
		}
		c.plan.zones = append(c.plan.zones, zoneRule{newPattern(row[topic]), newPattern(row[dataset]), location})
	}
}

// zoneOf returns the zone of a topic and dataset, nil when no row names it.
// Rows are asked in the order of their keys.
func (p *Plan) zoneOf(topic, dataset string) *time.Location {
	for i := range p.zones {
		if rule := &p.zones[i]; rule.topic.matches(topic) && rule.dataset.matches(dataset) {
			return rule.zone
		}
	}
	return nil
}

// tellsOffset reports whether a time says itself where it belongs.
func tellsOffset(s string) bool {
	const least = len("2006-01-02T15:04:05")
	return isNumber(s) || len(s) > least && strings.ContainsAny(s[least:], "Zz+-UG")
}

// place returns the point in time of a local time that was read as if of UTC:
// in the zone that the table names, else by the offset that the collector's
// stamp has to the broker's, which is marked in edr.clock. Where neither helps
// it stays as it is.
func (s *timeSource) place(m *Mapper, ns int64) int64 {
	if zone := m.plan.zoneOf(m.topic, m.mapping.dataset); zone != nil {
		t := time.Unix(0, ns).UTC()
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone).UnixNano()
	}
	t, ok := m.firstText(s.received)
	if !ok || m.arrived == 0 {
		return ns
	}
	received, told, ok := s.read(m, t.s)
	if !ok || told {
		return ns
	}
	offset, ok := inferOffset(received, m.arrived)
	if !ok || offset == 0 {
		return ns
	}
	m.event.Append(ecs.EDRClock, "zone-inferred")
	return ns - offset
}

// inferOffset returns the offset from UTC, in nanoseconds, of the clock that
// showed local when the broker took the record. It is the least offset in use
// that lets the record arrive after it was written, and it counts only when the
// way took no longer than onTheWay: of what was held back for a quarter of an
// hour or more nobody can tell the delay from the zone.
func inferOffset(local, broker int64) (int64, bool) {
	const (
		onTheWay = int64(5 * time.Minute)
		ahead    = int64(time.Minute) // how far a clock may be ahead of the broker's
		quarter  = int64(15 * time.Minute)
	)
	lead := local - broker
	offset := (lead - ahead) / quarter * quarter
	for offset < lead-ahead {
		offset += quarter
	}
	return offset, offset-lead <= onTheWay && inUse(offset/int64(time.Minute))
}

// inUse reports whether some place on earth is so many minutes from UTC.
func inUse(minutes int64) bool {
	switch minutes {
	case -570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825:
		return true
	}
	return minutes%60 == 0 && minutes >= -12*60 && minutes <= 14*60
}
