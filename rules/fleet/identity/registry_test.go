package identity

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// step is a record of a scene and who it has to be about: a sensor id; =key for
// an agent without one; - for none.
type step struct {
	at   time.Duration
	text string
	want string
}

// TestScenes: what happens to names in a fleet, and who the records are about.
func TestScenes(t *testing.T) {
	const (
		cs = "type=" + falcon
		hb = cs + ",id="
	)
	for _, tc := range []struct {
		name           string
		steps          []step
		contradictions string
	}{
		{"a host's record finds the agent that named its host", []step{
			{0, cs + ",host=pc-1,hostid=4c4c", "=4c4c"},
			{1, hb + "a1,host=PC-1", "a1"},
			{2, cs + ",host=pc-1,hostid=4c4c", "a1"},
			{3, cs + ",hostid=4c4c,action=resource-usage", "a1"},
		}, ""},
		{"every way to write a host's name", []step{
			{0, hb + "A1,host=PC-1,domain=corp.example", "a1"},
			{1, cs + ",host=pc-1", "a1"},
			{1, cs + ",host=PC-1", "a1"},
			{1, cs + ",host=pc-1.corp.example", "a1"},
			{1, cs + ",host=PC-1.CORP.EXAMPLE.", "a1"},
			{1, cs + `,host=CORP\PC-1`, "a1"},
			{1, cs + `,host=CORP\PC-1$`, "a1"},
			{1, cs + `,host=\\pc-1`, "a1"},
			{1, cs + ",host= pc-1 ", "a1"},
			{1, hb + "a1", "a1"},
		}, ""},
		{"every other name", []step{
			{0, hb + "a1,host=pc-1,serial=PF1234,mac=AC-DE-48-00-11-22,entra=7777-8888,device=d-1", "a1"},
			{1, cs + ",serial=pf1234", "a1"},
			{1, cs + ",mac=acde.4800.1122", "a1"},
			{1, cs + ",entra=7777-8888", "a1"},
			{1, cs + ",device={D-1}", "a1"},
			{1, cs + ",hostid=a1", "a1"}, // Some feeds call the sensor's id the host's.
		}, ""},
		{"several products on one host", []step{
			{0, hb + "a1,host=pc-1", "a1"},
			{0, "type=" + defender + ",id=d1,host=pc-1.corp.example", defender + " d1"},
			{0, "type=" + sentinel + ",host=pc-1,hostid=4c4c", sentinel + " =4c4c"},
			{1, cs + ",host=pc-1", "a1"},
			{1, "type=" + defender + ",host=pc-1", defender + " d1"},
			{1, "type=" + sentinel + ",host=PC-1", sentinel + " =4c4c"},
			{1, "host=pc-1,action=host-booted", "-"},
		}, ""},
		{"reinstalled: the old one is not heard any more", []step{
			{0, hb + "a1,host=pc-1", "a1"},
			{time.Hour, hb + "a1", "a1"},
			{2 * time.Hour, hb + "a2,host=pc-1", "a2"},
			{3 * time.Hour, cs + ",host=pc-1", "a2"},
			{4 * time.Hour, hb + "a1,host=pc-1,action=inventory", "a1"}, // The console knows it still.
			{4 * time.Hour, cs + ",host=pc-1", "a2"},
		}, ""},
		{"one host, two ids at once", []step{
			{0, hb + "a1,host=pc-1", "a1"},
			{time.Hour, hb + "a2,host=pc-1", "a2"},
			{time.Hour + 10*time.Minute, hb + "a1", "a1"},
			{time.Hour + 11*time.Minute, cs + ",host=pc-1", "=pc-1"},
			{time.Hour + 11*time.Minute, hb + "a2", "a2"},
		}, "several ids on one host"},
		{"of two ids one dies", []step{
			{0, hb + "a1,host=pc-1", "a1"},
			{time.Hour, hb + "a2,host=pc-1", "a2"},
			{time.Hour + 10*time.Minute, hb + "a1", "a1"},
			{30 * time.Hour, hb + "a2", "a2"},
			{30 * time.Hour, cs + ",host=pc-1", "a2"},
		}, ""},
		{"renamed", []step{
			{0, hb + "a1,host=pc-1", "a1"},
			{time.Hour, hb + "a1,host=pc-2", "a1"},
			{2 * time.Hour, cs + ",host=pc-2", "a1"},
			{3 * time.Hour, hb + "a2,host=pc-1", "a2"}, // Another host gets the old name.
			{4 * time.Hour, hb + "a1", "a1"},
			{5 * time.Hour, cs + ",host=pc-1", "a2"},
			{5 * time.Hour, cs + ",host=pc-2", "a1"},
		}, ""},
		{"two hosts swap their names", []step{
			{0, hb + "a1,host=pc-1", "a1"},
			{0, hb + "a2,host=pc-2", "a2"},
			{time.Hour, hb + "a1,host=pc-2", "a1"},
			{time.Hour + time.Minute, hb + "a2,host=pc-1", "a2"},
			{2 * time.Hour, cs + ",host=pc-1", "a2"},
			{2 * time.Hour, cs + ",host=pc-2", "a1"},
		}, ""},
		{"a clone: one id on two hosts in turn", []step{
			{0, hb + "a1,host=pc-1", "a1"},
			{10 * time.Minute, hb + "a1,host=pc-2", "a1"},
			{20 * time.Minute, hb + "a1,host=pc-1", "a1"},
			{30 * time.Minute, hb + "a1,host=pc-2", "a1"},
		}, "one id on several hosts"},
		{"joined to a domain", []step{
			{0, hb + "a1,host=pc-1,domain=WORKGROUP", "a1"},
			{time.Hour, cs + ",host=pc-1.corp.example", "a1"},
			{2 * time.Hour, hb + "a1,host=PC-1,domain=corp.example", "a1"},
			{3 * time.Hour, cs + ",host=pc-1.corp.example", "a1"},
			{4 * time.Hour, hb + "a1,host=PC-1,domain=new.example", "a1"},
			{5 * time.Hour, cs + ",host=pc-1.new.example", "a1"},
			{5 * time.Hour, cs + ",host=pc-1", "a1"},
		}, ""},
		{"one short name in two domains", []step{
			{0, hb + "a1,host=srv.emea.example", "a1"},
			{0, hb + "a2,host=srv.apac.example", "a2"},
			{5 * time.Minute, hb + "a1", "a1"},
			{5 * time.Minute, hb + "a2", "a2"},
			{6 * time.Minute, cs + ",host=srv.emea.example", "a1"},
			{6 * time.Minute, cs + ",host=srv.apac.example", "a2"},
			{6 * time.Minute, cs + ",host=srv.amer.example", "=srv.amer.example"},
			{6 * time.Minute, cs + ",host=srv", "=srv"}, // Whose, nobody knows.
		}, ""},
		{"a host of another domain is not the agent's", []step{
			{0, hb + "a1,host=srv.emea.example", "a1"},
			{1, cs + ",host=srv.apac.example", "=srv"},
		}, ""},
		{"addresses are no names", []step{
			{0, hb + "a1,host=10.0.0.7", "a1"},
			{1, cs + ",host=10.0.0.7", "-"},
			{0, hb + "a2,host=fe80::1", "a2"},
			{1, cs + ",host=fe80::1", "-"},
		}, ""},
		{"placeholders are no names", []step{
			{0, hb + "a1,host=localhost,serial=To be filled by O.E.M.,hostid=00000000-0000-0000-0000-000000000000,mac=00:00:00:00:00:00,device=none", "a1"},
			{1, cs + ",host=localhost", "-"},
			{1, cs + ",host=localhost.localdomain", "-"},
			{1, cs + ",serial=to be filled by o.e.m.", "-"},
			{1, cs + ",hostid=00000000-0000-0000-0000-000000000000", "-"},
			{1, cs + ",hostid={FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF}", "-"},
			{1, cs + ",mac=00-00-00-00-00-00", "-"},
			{1, cs + ",mac=02:42:ac:11:00:02", "-"}, // Docker makes it up.
			{1, cs + ",id=00000000000000000000000000000000", "-"},
			{1, cs + ",id=-,host=pc-9", "=pc-9"},
		}, ""},
		{"the host's id is another agent's name by then", []step{
			{0, "type=" + sentinel + ",host=pc-1", sentinel + " =pc-1"},
			{1, "type=" + sentinel + ",host=pc-1,hostid=4c4c", sentinel + " =4c4c"},
			{2, "type=" + sentinel + ",host=pc-1.corp.example", sentinel + " =4c4c"},
			{3, "type=" + sentinel + ",id=77,host=pc-1", sentinel + " 77"},
			{4, "type=" + sentinel + ",hostid=4c4c", sentinel + " 77"},
		}, ""},
		{"names that Windows cuts at 15 characters", []step{
			{0, hb + "a1,host=accounting-pc-0", "a1"},
			{time.Hour, hb + "a1,host=accounting-pc-0042", "a1"},
			{2 * time.Hour, hb + "a1,host=accounting-pc-0", "a1"},
			{3 * time.Hour, hb + "a1,host=accounting-pc-0042", "a1"},
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t)
			for _, st := range tc.steps {
				product, want := falcon, st.want
				if p, rest, ok := strings.Cut(st.want, " "); ok {
					product, want = p, rest
				}
				switch {
				case want == "-":
					want = ""
				case want[0] == '=':
					want = nobody(product, want[1:])
				default:
					want = entity(product, want)
				}
				if got := s.take(st.at, st.text); got != want {
					t.Errorf("%s: is about %q, want %s (%s)", st.text, got, st.want, want)
				}
			}
			if got := s.contradictions(); got != tc.contradictions {
				t.Errorf("contradictions: %q, want %q", got, tc.contradictions)
			}
		})
	}
}

// TestFilled: what a record does not say is filled in, in the form in which
// records say it; what it says stays.
func TestFilled(t *testing.T) {
	s := newScene(t)
	s.take(0, "type="+falcon+",id=A1B2,host=PC-1,domain=corp.example")
	s.take(1, "type="+falcon+",host=pc-1,hostid=4C4C-44")
	s.take(1, "type="+defender+",id=d1,host=srv-2.corp.example")
	s.take(2, "id=d1,host=srv-2.corp.example")
	if got := s.e.Str(ecs.AgentType); got != defender {
		t.Errorf("the product of an id is %q", got)
	}
	for _, tc := range []struct{ text, want string }{
		{"type=" + falcon + ",id=a1b2", "A1B2 PC-1 4C4C-44"},
		{"type=" + falcon + ",id=a1b2,host=other", "a1b2 other 4C4C-44"},
		{"type=" + falcon + ",hostid=4c4c-44", "A1B2 PC-1 4c4c-44"},
		{"type=" + falcon + ",host=pc-1.corp.example", "A1B2 pc-1.corp.example 4C4C-44"},
		{"type=" + defender + ",id=D1", "D1 srv-2.corp.example "},
		{"host=pc-1,action=host-booted", " pc-1 4C4C-44"},
		{"hostid=4c4c-44,action=host-booted", " pc-1 4c4c-44"},
	} {
		say(t, s.e, record{time.Second, tc.text})
		s.rd.Resolve(s.e, s.e.Clock)
		got := fmt.Sprintf("%s %s %s", s.e.Str(ecs.AgentID), s.e.Str(ecs.HostName), s.e.Str(ecs.HostID))
		want := tc.want
		if strings.Contains(tc.text, "id=a1b2") { // The record's own form stays.
			want = strings.Replace(want, "A1B2", "a1b2", 1)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", tc.text, got, want)
		}
	}
}

// TestPools: a virtual desktop is reinstalled again and again under one name; it
// is always the latest, and nothing about that is a contradiction.
func TestPools(t *testing.T) {
	s := newScene(t)
	for day := range 200 {
		at := time.Duration(day) * 4 * time.Hour
		id := fmt.Sprintf("%032x", day*7919+1)
		s.take(at, "type="+falcon+",id="+id+",host=vdi-017,serial=VMware-42 1d,mac=ac:de:48:00:00:01")
		if got := s.take(at+time.Hour, "type="+falcon+",host=VDI-017.corp.example"); got != entity(falcon, id) {
			t.Fatalf("day %d: is about %s", day, got)
		}
	}
	if got := s.contradictions(); got != "" {
		t.Error(got)
	}
	if n := s.r.Stats().Links; n > 300 {
		t.Errorf("%d links are kept of one desktop", n)
	}
}

// TestSharedByMany: a serial number of a golden image, the address of a docking
// station and an id that a hundred copies have link nothing, whenever it shows.
func TestSharedByMany(t *testing.T) {
	s := newScene(t)
	for n := range 100 {
		s.take(time.Duration(n)*time.Minute, fmt.Sprintf("type=%s,id=f%03d,host=pc-%03d,serial=GOLDEN,mac=ac:de:48:00:00:01,hostid=cccc-dddd", falcon, n, n))
		s.take(time.Duration(n)*time.Minute, fmt.Sprintf("type=%s,id=cloned,host=copy-%03d", falcon, n))
	}
	for _, tc := range []struct{ text, want string }{
		{"type=" + falcon + ",serial=golden", ""},
		{"type=" + falcon + ",mac=ac:de:48:00:00:01", ""},
		{"type=" + falcon + ",hostid=cccc-dddd", ""},
		{"type=" + falcon + ",host=pc-042", entity(falcon, "f042")},
		{"type=" + falcon + ",host=pc-042,serial=golden", entity(falcon, "f042")},
		{"type=" + falcon + ",host=copy-042", nobody(falcon, "copy-042")},
		{"type=" + falcon + ",id=cloned", entity(falcon, "cloned")},
	} {
		if got := s.take(2*time.Hour, tc.text); got != tc.want {
			t.Errorf("%s: is about %q, want %q", tc.text, got, tc.want)
		}
		if strings.Contains(tc.text, "cloned") && s.e.Has(ecs.HostName) {
			t.Errorf("an id on a hundred hosts is put on %s", s.e.Str(ecs.HostName))
		}
	}
	if got := s.contradictions(); got != string(Everywhere) {
		t.Errorf("contradictions: %q", got)
	}
}
