package simulator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// line holds what the tests look at in records of all shapes.
type line struct {
	topic string
	at    int64  // arrival, ms
	FDR   string `json:"event_simpleName"`
	Aid   string
	Host  struct{ Name string }
	Event struct{ Code string }
	Data  struct {
		EventData map[string]string `json:"event_data"`
	} `json:"winlog"`
	System struct {
		Process struct {
			CPU struct {
				Total struct{ Norm struct{ Pct float64 } }
			}
			Memory struct{ RSS struct{ Bytes int64 } }
		}
	}
}

// run reads the fleet to its end.
func run(t *testing.T, f *Fleet) []line {
	t.Helper()
	var lines []line
	for e, ok := f.Next(); ok; e, ok = f.Next() {
		l := line{topic: e.Topic, at: e.Time}
		if json.Unmarshal(e.Value, &l) == nil {
			lines = append(lines, l)
		}
	}
	return lines
}

func incidentOf(t *testing.T, f *Fleet, id string) Incident {
	t.Helper()
	for _, h := range f.Truth().Incidents {
		if h.ID == id {
			return h
		}
	}
	t.Fatalf("no incident %s in the truth", id)
	return Incident{}
}

func TestQuietFleetsGiveNothingToAlertOn(t *testing.T) {
	const bad = " 41 1000 1001 5001 6008 7034 7040 "
	for _, scenario := range []string{"quiet", "friday-rollout"} {
		for seed := range uint64(2) {
			f := fleetOf(t, scenario, 400, seed)
			starts := map[string]int{}
			for _, l := range run(t, f) {
				switch {
				case l.topic == TopicWindows && strings.Contains(bad, " "+l.Event.Code+" "):
					t.Errorf("%s, seed %d: Windows event %s on %s", scenario, seed, l.Event.Code, l.Host.Name)
				case strings.HasPrefix(l.FDR, "Falcon"):
					t.Errorf("%s, seed %d: %s of %s", scenario, seed, l.FDR, l.Aid)
				case l.FDR == "AgentOnline":
					starts[l.Aid]++
				case l.System.Process.CPU.Total.Norm.Pct > 0.4, l.System.Process.Memory.RSS.Bytes > 400<<20:
					t.Errorf("%s, seed %d: %+v on %s", scenario, seed, l.System.Process, l.Host.Name)
				}
			}
			for aid, n := range starts {
				if n > 3 { // A reboot, the upgrade and a record that came twice.
					t.Errorf("%s, seed %d: %d starts of %s", scenario, seed, n, aid)
				}
			}
			for _, h := range f.Truth().Incidents {
				if len(h.Expect) > 0 || len(h.Tolerate) > 0 {
					t.Errorf("%s: %s expects %v and tolerates %v", scenario, h.ID, h.Expect, h.Tolerate)
				}
			}
		}
	}
}

func TestCrashedHostsFallSilentAndOthersDoNot(t *testing.T) {
	s, err := Shipped("july19")
	if err != nil {
		t.Fatal(err)
	}
	s.Noise.Late, s.Noise.Duplicates = 0, 0 // Late and repeated heartbeats come after the crash.
	f, err := New(Config{Seed: 11, Agents: 800, Scenario: s})
	if err != nil {
		t.Fatal(err)
	}
	lines := run(t, f)
	push := incidentOf(t, f, "channel-file-291")
	revert := push.Start.Add(78 * time.Minute).UnixMilli()
	if push.Content != "C-00000291-00000000-00000032.sys" || push.Start.Format(time.TimeOnly) != "04:09:00" {
		t.Errorf("unexpected start or content: %+v", push.Content)
	}
	crashed := map[string]int64{}
	for _, h := range push.Hosts {
		crashed[h.AgentID] = h.At.UnixMilli()
	}
	if n := len(crashed); n < 250 || n > 400 {
		t.Errorf("expected 250 to 400 of 800 hosts to crash, found %d", n)
	}
	before, between, after := map[string]bool{}, map[string]int{}, map[string]bool{}
	for _, l := range lines {
		if l.FDR != "SensorHeartbeat" {
			continue
		}
		if at, ok := crashed[l.Aid]; ok && l.at > at+8000 && l.at < revert {
			t.Errorf("agent %s crashed at %d and sends a heartbeat at %d, before the revert", l.Aid, at, l.at)
		}
		switch {
		case l.at < push.Start.UnixMilli():
			before[l.Aid] = true
		case l.at > revert-15*60_000 && l.at < revert:
			between[l.Aid]++
		case l.at > revert:
			after[l.Aid] = true
		}
	}
	back := 0
	for aid := range crashed {
		if after[aid] {
			back++
		}
	}
	if share := float64(back) / float64(len(crashed)); share < 0.15 || share > 0.45 {
		t.Errorf("expected a part of the crashed hosts to come back, found %g", share)
	}
	alive := 0
	for aid := range before {
		if crashed[aid] == 0 && between[aid] > 0 {
			alive++
		}
	}
	if alive < len(before)*3/10 {
		t.Errorf("expected Mac, Linux and old sensors to go on, found %d of %d agents", alive, len(before))
	}
}

func TestCrashesStayWithinTheirSensors(t *testing.T) {
	f := fleetOf(t, "july19", 500, 2)
	for _, ok := f.Next(); ok; _, ok = f.Next() {
	}
	names := map[string]*agent{}
	for i := range f.agents {
		names[string(f.agents[i].appendName(nil))] = &f.agents[i]
	}
	for _, h := range incidentOf(t, f, "channel-file-291").Hosts {
		if a := names[h.Name]; a.platform != windows || a.vendor != crowdstrike || !f.version(a).atLeast(7, 11) {
			t.Errorf("%s crashed: %+v", h.Name, a)
		}
	}
}

func TestEveryIncidentLeavesItsMarks(t *testing.T) {
	f := fleetOf(t, "july19", 400, 4)
	lines := run(t, f)
	count := func(id string, match func(line) bool) int {
		host := incidentOf(t, f, id).Hosts[0]
		n := 0
		for _, l := range lines {
			if (l.Host.Name == host.Name || l.Aid != "" && l.Aid == host.AgentID) && match(l) {
				n++
			}
		}
		return n
	}
	start := incidentOf(t, f, "silent-sensor").Start.UnixMilli()
	for _, c := range []struct {
		id, what string
		min, max int
		match    func(line) bool
	}{
		{"busy-agent", "samples above 80 %", 18, 22, func(l line) bool { return l.System.Process.CPU.Total.Norm.Pct > 0.8 }},
		{"leaking-agent", "samples above 2 GiB", 60, 120, func(l line) bool { return l.System.Process.Memory.RSS.Bytes > 2<<30 }},
		{"restarting-sensor", "starts", 10, 11, func(l line) bool { return l.FDR == "AgentOnline" }},
		{"crashing-agent", "crashes of the service", 8, 9, func(l line) bool { return l.Event.Code == "7034" }},
		{"tampering", "tamper signals", 3, 4, func(l line) bool { return strings.HasPrefix(l.FDR, "Falcon") }},
		{"protection-off", "switches", 1, 2, func(l line) bool { return l.Event.Code == "5001" }},
		{"silent-sensor", "heartbeats before", 1, 3, func(l line) bool { return l.FDR == "SensorHeartbeat" }},
		{"silent-sensor", "records after", 0, 0, func(l line) bool { return l.at > start+8000 && l.FDR != "" }},
	} {
		if n := count(c.id, c.match); n < c.min || n > c.max {
			t.Errorf("%s: expected %d to %d %s, found %d", c.id, c.min, c.max, c.what, n)
		}
	}
}

func TestASiteOutageSilencesItsAgentsOnly(t *testing.T) {
	f := fleetOf(t, "site-outage", 600, 9)
	lines := run(t, f)
	h := incidentOf(t, f, "no-network")
	from, until := h.Start.UnixMilli()+10_000, h.End.UnixMilli()
	if h.End.Sub(h.Start) != 20*time.Minute {
		t.Errorf("expected an outage of 20 minutes, found %s", h.End.Sub(h.Start))
	}
	inside := func(l line) bool {
		return slices.ContainsFunc(h.Hosts, func(host Host) bool {
			return l.Host.Name == host.Name || l.Aid != "" && l.Aid == host.AgentID
		})
	}
	others, late := 0, 0
	for _, l := range lines {
		switch in := inside(l); {
		case in && l.at > from && l.at < until:
			t.Fatalf("a record from the dark site: %+v", l)
		case in && l.topic == TopicMetrics && l.at >= until && l.at < until+20_000:
			late++
		case !in && l.at > from && l.at < until:
			others++
		}
	}
	if others == 0 || late == 0 {
		t.Errorf("expected records of the other sites and metrics that catch up, found %d and %d", others, late)
	}
}

func TestJudge(t *testing.T) {
	at := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC)
	truth := Truth{Incidents: []Incident{
		{ID: "spike", Start: at, Hosts: []Host{{Name: "fra-srv-00001"}}, Expect: []string{"cpu_spike"}, Tolerate: []string{"anomaly"}},
		{ID: "push", Start: at, Hosts: []Host{{Name: "fra-srv-00002", AgentID: "aa"}}, Expect: []string{"mass_silence", "bad_rollout"}},
		{ID: "healthy", Start: at},
	}}
	spike := Alert{Kind: "cpu_spike", Scope: "host", Time: at.Add(time.Minute), Hosts: []string{"fra-srv-00001"}}
	mass := Alert{Kind: "mass_silence", Scope: "cohort", Time: at.Add(time.Minute), Hosts: []string{"other", "aa"}}
	for _, c := range []struct {
		name               string
		alerts             []Alert
		missed, unexpected int
	}{
		{"nothing", nil, 2, 0},
		{"all", []Alert{spike, mass}, 0, 0},
		{"tolerated does not find", []Alert{{Kind: "anomaly", Time: at, Hosts: []string{"fra-srv-00001"}}, mass}, 1, 0},
		{"wrong host", []Alert{spike, mass, {Kind: "cpu_spike", Scope: "host", Time: at, Hosts: []string{"fra-srv-00009"}}}, 0, 1},
		{"too early", []Alert{spike, {Kind: "mass_silence", Scope: "cohort", Time: at.Add(-time.Minute)}}, 1, 1},
		{"wrong kind", []Alert{spike, mass, {Kind: "tamper", Time: at, Hosts: []string{"aa"}}}, 0, 1},
	} {
		missed, unexpected := truth.Judge(c.alerts)
		if len(missed) != c.missed || len(unexpected) != c.unexpected {
			t.Errorf("%s: expected %d missed and %d unexpected, found %v and %v", c.name, c.missed, c.unexpected, missed, unexpected)
		}
	}
}

func TestScenarioFilesAreReadStrictly(t *testing.T) {
	const head = "name: x\nstart: 2024-07-17T08:00:00Z\nduration: 1h\n"
	for _, c := range []struct{ src, want string }{
		{head + "flet: {}\n", `x.yml:4:1: unknown key "flet"`},
		{head + "incidents:\n  - {type: cpu_spke, id: a}\n", `did you mean "cpu_spike"?`},
		{head + "incidents:\n  - {type: cpu_spike, id: a, cpuu: 1}\n", `unknown key "cpuu"`},
		{head + "incidents:\n  - {type: cpu_spike, id: a, hosts: 0}\n", `incident a: hosts: expected at least 1, found 0`},
		{head + "incidents:\n  - {type: site_outage, id: a, site: oslo}\n", `incident a: site: expected one of`},
		{head + "fleet: {laptops: 1.5}\n", `fleet.laptops: expected a share between 0 and 1, found 1.5`},
	} {
		if _, err := LoadScenario("x.yml", []byte(c.src)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: expected an error with %q, found %v", c.src, c.want, err)
		}
	}
	if _, err := Shipped("july"); err == nil || !strings.Contains(fmt.Sprint(err), "july19") {
		t.Errorf("expected a hint at july19, found %v", err)
	}
}

func FuzzLoadScenario(f *testing.F) {
	for _, name := range Names() {
		src, err := shipped.ReadFile("scenarios/" + name + ".yml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := LoadScenario("fuzz.yml", src)
		if err != nil {
			return
		}
		// Whatever is accepted runs.
		fleet, err := New(Config{Agents: 100, Start: time.Unix(1_700_000_000, 0), Duration: time.Minute, Scenario: s})
		if err != nil {
			return
		}
		for n := 0; n < 1000; n++ {
			if _, ok := fleet.Next(); !ok {
				break
			}
		}
	})
}
