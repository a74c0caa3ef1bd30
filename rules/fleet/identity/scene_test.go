package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

const (
	falcon   = "crowdstrike-falcon"
	defender = "microsoft-defender-endpoint"
	sentinel = "sentinelone"
)

// began is the first second of every scene.
var began = time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC).UnixNano()

// record is what one record says, as field=value separated by commas; its time
// is at.
type record struct {
	at   time.Duration
	text string
}

// fields are the short names of fields in records.
var fields = map[string]ecs.ID{
	"type": ecs.AgentType, "id": ecs.AgentID, "version": ecs.AgentVersion, "host": ecs.HostName, "domain": ecs.HostDomain, "hostid": ecs.HostID, "device": ecs.DeviceID,
	"serial": ecs.DeviceSerialNumber, "mac": ecs.HostMAC, "action": ecs.EventAction, "entra": ecs.EDRHostAadID, "site": ecs.EDRSite, "ring": ecs.EDRRolloutRing, "ip": ecs.ObserverIP,
}

func newEvent(t testing.TB) *event.Event {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	return event.New(dict)
}

// say makes an event say what a record does.
func say(t testing.TB, e *event.Event, r record) {
	t.Helper()
	e.Reset()
	for pair := range strings.SplitSeq(r.text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		id, ok := fields[name]
		if !ok {
			t.Fatalf("%q names no field", pair)
		}
		e.SetString(id, value)
	}
	if e.Str(ecs.EventAction) == "" {
		e.SetString(ecs.EventAction, "sensor-heartbeat")
	}
	e.Mapped = "test"
	e.Set(ecs.Timestamp, event.Time(began+int64(r.at)))
	e.Clock = began + int64(r.at)
}

// scene is a registry with one shard, in which links are seen as soon as the
// record after them comes.
type scene struct {
	t  *testing.T
	r  *Registry
	rd *Reader
	e  *event.Event
}

func newScene(t *testing.T) *scene {
	r := New(Config{})
	return &scene{t, r, r.Reader(), newEvent(t)}
}

// take takes a record and returns who it is about, with what was filled in.
func (s *scene) take(at time.Duration, text string) string {
	s.t.Helper()
	say(s.t, s.e, record{at, text})
	s.rd.Resolve(s.e, s.e.Clock)
	s.rd.Learn(s.e)
	l, _ := s.rd.TakeLinks(1 << 20)
	s.r.Apply(l)
	return s.e.Str(ecs.EDREntityID)
}

// entity is the id of an agent with a sensor id.
func entity(product, id string) string { return Entity(entityOf(product, SensorID, id)).String() }

// nobody is the id of an agent without one, by its host's name of a kind.
func nobody(product, key string) string { return Entity(entityOf(product, Unnamed, key)).String() }

// contradictions returns the reasons, in order.
func (s *scene) contradictions() string {
	list, total := s.r.Contradictions(100)
	var reasons []string
	for _, c := range list {
		reasons = append(reasons, string(c.Reason))
	}
	if total != len(list) {
		s.t.Errorf("%d contradictions, %d listed", total, len(list))
	}
	return strings.Join(reasons, "; ")
}
