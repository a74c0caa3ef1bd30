package simulator

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// TestEveryScenarioRuns makes every shipped scenario with a small fleet: what
// must be found has hit hosts or a feed, and a quiet one asks for nothing.
func TestEveryScenarioRuns(t *testing.T) {
	for _, name := range Names() {
		s, err := Shipped(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f, err := New(Config{Seed: 1, Agents: 300, Duration: min(s.Duration, 4*time.Hour), Scenario: s})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		last, records := int64(0), 0
		for e, ok := f.Next(); ok; e, ok = f.Next() {
			if e.Time < last {
				t.Fatalf("%s: a record at %d after one at %d", name, e.Time, last)
			}
			last = e.Time
			records++
		}
		if records == 0 {
			t.Errorf("%s: no records", name)
		}
		for _, h := range f.Truth().Incidents {
			feed := h.Type == "feed_outage"
			if len(h.Expect) > 0 && len(h.Hosts) == 0 && !feed && name != "slow-poison" && name != "canary-paused" {
				t.Errorf("%s: %s must be found and has hit nobody", name, h.ID)
			}
			if len(h.Expect) > 0 && (h.Within == 0 || h.End.Before(h.Start)) {
				t.Errorf("%s: %s has no time in which it must be found, or ends before it starts: %+v", name, h.ID, h)
			}
		}
	}
}

func TestFeedsStallAndCatchUp(t *testing.T) {
	f := fleetOf(t, "topic-stalled", 300, 3)
	h := incidentOf(t, f, "one-feed")
	during, others, backlog := 0, 0, 0
	for e, ok := f.Next(); ok; e, ok = f.Next() {
		switch at := time.UnixMilli(e.Time); {
		case at.Before(h.Start) || at.After(h.Start.Add(45*time.Minute)):
		case at.Before(h.Start.Add(40*time.Minute)) && e.Topic == TopicFDR:
			during++
		case at.Before(h.Start.Add(40 * time.Minute)):
			others++
		case e.Topic == TopicFDR:
			backlog++
		}
	}
	// Records that come a second time a little later had not been held back.
	if during > 5 || others < 500 || backlog < 2500 {
		t.Errorf("expected nothing of the topic during the stall, all others, and then the backlog: found %d, %d and %d", during, others, backlog)
	}
}

func TestLateBatchesComeLate(t *testing.T) {
	f := fleetOf(t, "late-batches", 300, 3)
	late, total := 0, 0
	for e, ok := f.Next(); ok; e, ok = f.Next() {
		var line struct{ Timestamp json.Number }
		if e.Topic != TopicFDR || json.Unmarshal(e.Value, &line) != nil || line.Timestamp == "" {
			continue
		}
		at, err := line.Timestamp.Int64()
		if err != nil {
			t.Fatal(err)
		}
		total++
		if e.Time-at > 10*60_000 {
			late++
		}
		if e.Time-at > 6*60*60_000+10*60_000 {
			t.Fatalf("a record is %d ms late", e.Time-at)
		}
	}
	if share := float64(late) / float64(total); share < 0.005 || share > 0.04 {
		t.Errorf("expected about one record in fifty to be late, found a share of %g", share)
	}
}

func TestOfficeHours(t *testing.T) {
	s, err := Shipped("office-week")
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Config{Seed: 3, Agents: 300, Scenario: s})
	if err != nil {
		t.Fatal(err)
	}
	beats := func(from time.Time) map[byte]int { // by class: s, p, l
		n := map[byte]int{}
		until := from.Add(time.Hour).UnixMilli()
		for e, ok := f.Next(); ok && e.Time < until; e, ok = f.Next() {
			if e.Time < from.UnixMilli() || e.Topic != TopicDefender {
				continue
			}
			var row struct{ Properties struct{ DeviceName string } }
			if json.Unmarshal(e.Value, &row) == nil && strings.HasPrefix(row.Properties.DeviceName, "fra-") {
				n[row.Properties.DeviceName[4]]++
			}
		}
		return n
	}
	for i := range f.agents { // One site and one vendor are enough, and many of them.
		f.agents[i].site = 0
	}
	noon := beats(time.Date(2024, 7, 18, 11, 0, 0, 0, time.UTC))
	night := beats(time.Date(2024, 7, 19, 0, 0, 0, 0, time.UTC))
	sunday := beats(time.Date(2024, 7, 21, 11, 0, 0, 0, time.UTC))
	monday := beats(time.Date(2024, 7, 22, 9, 0, 0, 0, time.UTC))
	for class, name := range map[byte]string{'l': "laptops", 'p': "desktops"} {
		if night[class] > noon[class]*2/3 || sunday[class] > noon[class]*2/3 || monday[class] < noon[class]/2 {
			t.Errorf("%s: %d at noon, %d at night, %d on Sunday, %d on Monday", name, noon[class], night[class], sunday[class], monday[class])
		}
	}
	if night['s'] < noon['s']*8/10 {
		t.Errorf("servers: %d at noon and %d at night", noon['s'], night['s'])
	}
}

func TestANewImageIsANewAgentOnTheSameHost(t *testing.T) {
	f := fleetOf(t, "reimages", 400, 2)
	ids := map[string]map[string]bool{} // ids by name
	for e, ok := f.Next(); ok; e, ok = f.Next() {
		var line struct{ Aid, ComputerName string }
		if e.Topic == TopicFDR && json.Unmarshal(e.Value, &line) == nil && line.ComputerName != "" {
			if ids[line.ComputerName] == nil {
				ids[line.ComputerName] = map[string]bool{}
			}
			ids[line.ComputerName][line.Aid] = true
		}
	}
	again := 0
	for name, of := range ids {
		if len(of) > 2 {
			t.Errorf("%s has had %d agents", name, len(of))
		}
		if len(of) == 2 {
			again++
		}
	}
	if again < 5 || again > 60 {
		t.Errorf("expected a tenth of the hosts to be set up anew, found %d of %d", again, len(ids))
	}
}

func TestFailuresStayWithinTheHardwareModel(t *testing.T) {
	f := fleetOf(t, "slow-poison-sensor", 3000, 2)
	for _, ok := f.Next(); ok; _, ok = f.Next() {
	}
	h := incidentOf(t, f, "bad-sensor")
	hit := map[string]bool{}
	for _, host := range h.Hosts {
		hit[host.Name] = true
	}
	for i := range f.agents {
		if a := &f.agents[i]; hit[string(a.appendName(nil))] && a.hardware().model != "OptiPlex 7090" {
			t.Errorf("%s is %+v", a.appendName(nil), a.hardware())
		}
	}
	if len(hit) < 20 {
		t.Errorf("expected a quarter of one model to crash, found %d hosts", len(hit))
	}
}

func TestReadmeNamesEveryIncident(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for kind := range incidentTypes() {
		if !strings.Contains(string(readme), "| `"+kind+"` |") {
			t.Errorf("README.md does not tell of incidents of type %s", kind)
		}
	}
}
