package mappings

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// mappedAt maps a record that the broker took at a point in time.
func mappedAt(t *testing.T, plan *Plan, topic, record string, arrived time.Time) *event.Event {
	t.Helper()
	var out *event.Event
	err := plan.NewMapper().Map(&event.Partition{Topic: topic}, &event.Record{Value: []byte(record), Time: arrived.UnixMilli()}, func(e *event.Event) { out = e })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLocalTimes maps what NXLog sends of hosts all over the world: the time of
// the host without its offset. Whatever the zone, the event must have happened
// when it did, as long as the record was not held back, and it must say that
// the zone was inferred.
func TestLocalTimes(t *testing.T) {
	plan := libraryPlan(t)
	happened := time.Date(2024, 7, 19, 4, 12, 3, 0, time.UTC)
	record := func(offset time.Duration, received time.Time) string {
		const layout = "2006-01-02 15:04:05"
		return fmt.Sprintf(`{"EventTime":%q,"Hostname":"WIN-0042.example.com","EventID":7036,"SourceName":"Service Control Manager","Channel":"System","RecordNumber":7,"param1":"WinDefend","param2":"running","EventReceivedTime":%q,"SourceModuleName":"in"}`,
			happened.Add(offset).Format(layout), received.Add(offset).Format(layout))
	}
	for _, minutes := range []int{-720, -570, -480, -300, -210, 60, 120, 210, 330, 345, 540, 765, 840} {
		offset := time.Duration(minutes) * time.Minute
		for delay := time.Duration(0); delay < 5*time.Minute; delay += 40 * time.Second {
			e := mappedAt(t, plan, "win", record(offset, happened), happened.Add(delay))
			if got := time.Unix(0, e.Timestamp()).UTC(); !got.Equal(happened) {
				t.Errorf("%v from UTC, %v on the way: got %v", offset, delay, got)
			}
			if v := e.Get(ecs.EDRClock); v == nil || !slices.Contains(v.List(), "zone-inferred") && v.Str() != "zone-inferred" {
				t.Errorf("%v from UTC: the event does not say that its zone was inferred", offset)
			}
		}
	}
	for _, tc := range []struct {
		name     string
		record   string
		arrived  time.Time
		want     time.Time
		inferred bool
	}{
		{name: "of UTC", record: record(0, happened), arrived: happened.Add(time.Second), want: happened},
		{name: "a log of three days read today", record: record(2*time.Hour, happened.Add(72*time.Hour)), arrived: happened.Add(72*time.Hour + time.Second), want: happened, inferred: true},
		{name: "held back for twelve minutes: nobody can tell", record: record(0, happened), arrived: happened.Add(12 * time.Minute), want: happened},
		{name: "without a broker's time", record: record(2*time.Hour, happened), want: happened.Add(2 * time.Hour)},
		{name: "with the collector's @timestamp", record: `{"@timestamp":"2024-07-19T04:12:03Z","EventTime":"2024-07-19 06:12:03","SourceName":"Service Control Manager","EventID":7036,"param1":"WinDefend"}`, arrived: happened, want: happened},
		{name: "with an offset", record: `{"EventTime":"2024-07-19T06:12:03.000+02:00","EventReceivedTime":"2024-07-19T06:12:04+02:00","SourceName":"Service Control Manager","EventID":7036,"param1":"WinDefend"}`, arrived: happened, want: happened},
	} {
		arrived := tc.arrived
		if arrived.IsZero() {
			arrived = time.UnixMilli(0)
		}
		e := mappedAt(t, plan, "win", tc.record, arrived)
		if got := time.Unix(0, e.Timestamp()).UTC(); !got.Equal(tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
		if e.Has(ecs.EDRClock) != tc.inferred {
			t.Errorf("%s: edr.clock present: %v", tc.name, e.Has(ecs.EDRClock))
		}
	}
}

// TestZonesOfTopics reads local times by the table: a zone with summer time,
// for one topic and mapping and not for others.
func TestZonesOfTopics(t *testing.T) {
	const row = "topic,dataset,zone\nberlin-*,windows.*,Europe/Berlin\n"
	plan, err := compileAll(t, Library(), mapFile("zones.csv", row))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ topic, at, want string }{
		{"berlin-1", "2024-01-15 12:00:00", "2024-01-15T11:00:00Z"},
		{"berlin-1", "2024-07-15 12:00:00", "2024-07-15T10:00:00Z"},
		{"paris-1", "2024-07-15 12:00:00", "2024-07-15T12:00:00Z"},
	} {
		e := mappedAt(t, plan, tc.topic, `{"EventTime":"`+tc.at+`","SourceName":"EventLog","EventID":6005}`, time.UnixMilli(0))
		if got := time.Unix(0, e.Timestamp()).UTC().Format(time.RFC3339); got != tc.want {
			t.Errorf("%s of %s: got %s, want %s", tc.at, tc.topic, got, tc.want)
		}
	}
	for text, want := range map[string]string{
		"topic,dataset,zone\na,b,Mars/Olympus\n": "unknown time zone",
		"topic,zone\na,Europe/Berlin\n":          `no column "dataset"`,
	} {
		if _, err := compileAll(t, mapFile("zones.csv", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
