package rules

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// reading is how a log is read: by how many gateways, in how many partitions,
// and where all of them are killed and go on from snapshots; 0: nowhere.
type reading struct {
	gateways, partitions int
	restart              time.Duration
}

func (r reading) String() string {
	return fmt.Sprintf("%d gateways, %d partitions, restarted after %s", r.gateways, r.partitions, r.restart)
}

// logged is a record of a log.
type logged struct {
	at     time.Duration
	topic  string
	fields []any
}

// wideGateway is one gateway of a reading.
type wideGateway struct {
	fleet    *fleet.Fleet
	sessions map[string]*Session
}

// wideReader reads a log as the gateways of a fleet do.
type wideReader struct {
	t        *testing.T
	set      *Ruleset
	again    *Ruleset // What the rules are after a minute; nil: the same.
	how      reading
	gateways []*wideGateway
	judge    *fleet.Fleet // Of several gateways; nil for one.
	verdicts *Verdicts
	alerts   []string
	partial  int
}

func newWideReader(t *testing.T, set *Ruleset, how reading) *wideReader {
	r := &wideReader{t: t, set: set, how: how, verdicts: set.NewVerdicts()}
	r.begin()
	return r
}

func (r *wideReader) begin() {
	r.gateways, r.judge = nil, nil
	for range r.how.gateways {
		g := &wideGateway{sessions: map[string]*Session{}}
		if r.how.gateways == 1 {
			g.fleet = fleet.New(fleet.DefaultConfig(), nil)
			g.fleet.Pace()
		} else {
			g.fleet = fleet.NewShared(fleet.DefaultConfig(), nil)
		}
		r.gateways = append(r.gateways, g)
	}
	if r.how.gateways > 1 {
		r.judge = fleet.NewShared(fleet.DefaultConfig(), nil)
		r.set.JoinFleet(r.judge, SessionOptions{})
	}
}

// session is that of the partition of a record's key.
func (r *wideReader) session(topic, key string) *Session {
	sum := fnv.New32a()
	sum.Write([]byte(key))
	return r.partition(topic, int(sum.Sum32())%r.how.partitions)
}

// partition is the session of one.
func (r *wideReader) partition(topic string, number int) *Session {
	name := fmt.Sprintf("%s[%d]", topic, number)
	g := r.gateways[number%len(r.gateways)]
	if g.sessions[name] == nil {
		g.sessions[name] = r.set.NewSession(SessionOptions{Fleet: g.fleet, Partition: name})
	}
	return g.sessions[name]
}

func (r *wideReader) emit(a *event.Event) {
	var doc struct {
		EDR struct {
			Alert struct {
				ID, Status, Key, Severity, Parent string
				Count, Denominator                int
				Hosts                             []string
			}
		}
		Rule struct{ Name string }
	}
	if err := json.Unmarshal(a.AppendJSON(nil), &doc); err != nil {
		r.t.Fatal(err)
	}
	x := doc.EDR.Alert
	r.alerts = append(r.alerts, fmt.Sprintf("%s %s %s %s %s count %d of %d %s %v %s parent %s", time.Duration(a.Timestamp()-start), doc.Rule.Name, x.Status, x.Key, x.ID, x.Count, x.Denominator, x.Severity, x.Hosts, doc.EDR.Alert.Severity, x.Parent))
	if strings.Contains(string(a.AppendJSON(nil)), `"partial":true`) {
		r.partial++
	}
}

// play reads records in the order of their time and returns the alerts, sorted.
func (r *wideReader) play(records []logged, end time.Duration) []string {
	step := time.Duration(fleet.StepLength)
	e := event.New(r.set.Dictionary())
	for _, rec := range records {
		for i := range r.how.partitions {
			r.partition(rec.topic, i)
		}
	}
	if r.judge != nil {
		for _, g := range r.gateways {
			for _, of := range append(r.gateways, &wideGateway{fleet: r.judge}) {
				of.fleet.Expect(g.fleet.Partitions())
			}
		}
	}
	for closed := time.Duration(0); closed < end; closed += step {
		for len(records) > 0 && records[0].at < closed+step {
			rec := records[0]
			records = records[1:]
			e.Reset()
			e.Set(ecs.Timestamp, event.Time(start+int64(rec.at)))
			e.Feed = rec.topic
			key := ""
			for i := 0; i < len(rec.fields); i += 2 {
				id, ok := r.set.Dictionary().Lookup(rec.fields[i].(string))
				if !ok {
					r.t.Fatalf("no field %v", rec.fields[i])
				}
				switch v := rec.fields[i+1].(type) {
				case string:
					e.SetString(id, v)
					if id == ecs.AgentID || id == ecs.HostName && key == "" {
						key = v
					}
				case int:
					e.Set(id, event.Int(int64(v)))
				case float64:
					e.Set(id, event.Float(v))
				}
			}
			r.session(rec.topic, key).Detect(start+int64(rec.at), e, r.emit)
		}
		if r.how.restart > closed && r.how.restart <= closed+step {
			r.goOn() // In the middle of a step.
		}
		if again := r.again; again != nil && closed == 60*time.Second {
			r.reload(again.Inherit(r.set))
		}
		r.close(start + int64(closed+step))
	}
	slices.Sort(r.alerts)
	return r.alerts
}

// reload puts everybody on another set, one after the other.
func (r *wideReader) reload(set *Ruleset) {
	r.set, r.verdicts = set, set.NewVerdicts()
	for _, g := range r.gateways {
		for _, name := range sortedKeys(g.sessions) {
			g.sessions[name].Reload(set, r.emit)
		}
	}
	if r.judge != nil {
		set.JoinFleet(r.judge, SessionOptions{})
	}
}

// close ends a step for all.
func (r *wideReader) close(end int64) {
	for _, g := range r.gateways {
		for _, name := range sortedKeys(g.sessions) {
			g.sessions[name].Detect(end, nil, r.emit)
		}
	}
	if r.judge == nil {
		r.verdicts.Raise(r.gateways[0].fleet.Close(end, false), r.emit)
		return
	}
	var told [][]fleet.Contribution
	for _, g := range r.gateways {
		list := g.fleet.Outbox(end, g.fleet.Partitions())
		for i := range list {
			if list[i].Step == nil {
				continue
			}
			parsed, err := fleet.ParseStep(fleet.AppendStep(nil, list[i].Step))
			if err != nil {
				r.t.Fatal(err)
			}
			list[i].Step = parsed
		}
		told = append(told, list)
	}
	for _, list := range told {
		for _, g := range r.gateways {
			g.fleet.Hear(end, list)
		}
		r.verdicts.Raise(r.judge.Hear(end, list), r.emit)
	}
}

// goOn kills everybody, and begins from what was kept.
func (r *wideReader) goOn() {
	kept := map[string][]byte{}
	var judged []byte
	for _, g := range r.gateways {
		for name, s := range g.sessions {
			kept[name], _ = s.AppendSnapshot(nil)
		}
	}
	if r.judge != nil {
		judged = r.judge.AppendSnapshot(nil)
	}
	before := r.gateways
	r.begin()
	if r.judge != nil {
		if err := r.judge.Restore(judged); err != nil {
			r.t.Fatal(err)
		}
	}
	for i, g := range before {
		if r.judge != nil {
			if err := r.gateways[i].fleet.Restore(judged); err != nil {
				r.t.Fatal(err)
			}
		}
		for _, name := range sortedKeys(g.sessions) {
			s := r.set.NewSession(SessionOptions{Fleet: r.gateways[i].fleet, Partition: name})
			if err := s.Restore(kept[name]); err != nil {
				r.t.Fatal(err)
			}
			r.gateways[i].sessions[name] = s
		}
	}
}

// readings are those that have to give the same alerts.
func readings() []reading {
	return []reading{
		{1, 1, 0}, {1, 4, 0}, {1, 8, 0}, {1, 16, 0}, {3, 4, 0}, {3, 16, 0},
		{1, 1, 95 * time.Second}, {1, 8, 95 * time.Second}, {1, 16, 190 * time.Second}, {3, 8, 95 * time.Second}, {3, 16, 41 * time.Second},
	}
}

// sameAlerts reads a log in all ways and returns the alerts, which are the same.
func sameAlerts(t *testing.T, set *Ruleset, records []logged, end time.Duration) []string {
	t.Helper()
	var want []string
	for _, how := range readings() {
		got := newWideReader(t, set, how).play(records, end)
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", how, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	return want
}

// switchedOff is a log of hosts that switch protection off, among others.
func switchedOff(hosts int, every time.Duration) []logged {
	var records []logged
	for i := range hosts {
		records = append(records, logged{time.Duration(i) * every, "edr", []any{
			"event.action", "protection-disabled", "agent.type", "x", "agent.id", fmt.Sprintf("a%02d", i), "host.name", fmt.Sprintf("h%02d", i),
		}})
	}
	return records
}

const offOnMany = `condition: event.action == "protection-disabled"
field: entity
group_by: [agent.type]
scope: fleet
window: 30m
having: {gte: 12}
severity_mapping: [{when: event.action == "protection-disabled", severity: critical}]`

// TestFleetCountsMeanTheFleet has twelve hosts switch protection off, by as many
// partitions and gateways as there may be: it is one alert, with the same id.
func TestFleetCountsMeanTheFleet(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "value_count", offOnMany))
	alerts := sameAlerts(t, set, switchedOff(12, 20*time.Second), 45*time.Minute)
	if len(alerts) != 2 || !strings.Contains(strings.Join(alerts, " "), "firing x") || !strings.Contains(alerts[1], "count 12") || !strings.Contains(alerts[1], "critical") {
		t.Errorf("alerts\n%s", strings.Join(alerts, "\n"))
	}
}

// alive are heartbeats of agents, a minute apart.
func alive(agents int, until time.Duration) []logged {
	var records []logged
	for at := time.Duration(0); at < until; at += time.Minute {
		for i := range agents {
			records = append(records, logged{at + time.Duration(i*100)*time.Millisecond, "edr", []any{
				"event.action", "sensor-heartbeat", "agent.type", "x", "agent.id", fmt.Sprintf("a%02d", i), "host.name", fmt.Sprintf("h%02d", i),
			}})
		}
	}
	return records
}

func inOrder(lists ...[]logged) []logged {
	records := slices.Concat(lists...)
	slices.SortStableFunc(records, func(a, b logged) int { return int(a.at - b.at) })
	return records
}

// TestShareOfTheFleet asks for a share of agents that are spread over all
// partitions: the alert comes when enough of all have switched protection off,
// and carries the whole fleet as denominator.
func TestShareOfTheFleet(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "value_count", strings.Replace(offOnMany, "{gte: 12}", "{percent: 4, min: 5}", 1)))
	records := inOrder(alive(200, 20*time.Minute), switchedOff(12, time.Minute))
	alerts := sameAlerts(t, set, records, 20*time.Minute)
	if len(alerts) != 1 || !strings.Contains(alerts[0], "count 8 of 200") || !strings.HasPrefix(alerts[0], "7m10s") {
		t.Errorf("alerts\n%s", strings.Join(alerts, "\n"))
	}
}

// TestMatchesAreBounded has one agent after the other match far more often in
// one step than a step may tell of: memory stays bounded, what is judged does not
// depend on partitions, and the alert says that something is missing.
func TestMatchesAreBounded(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "threshold", "condition: event.action == \"error\"\ngroup_by: [agent.type]\nscope: fleet\nwindow: 30m\nhaving: {gte: 9000}"))
	var records []logged
	for i := range 10 * fleet.MaxMatches {
		records = append(records, logged{time.Duration(i) * 100 * time.Microsecond, "edr", []any{"event.action", "error", "agent.type", "x", "agent.id", fmt.Sprintf("a%d", i%500)}})
	}
	for i := range 1000 {
		records = append(records, logged{15*time.Second + time.Duration(i)*time.Millisecond, "edr", []any{"event.action", "error", "agent.type", "x", "agent.id", "a1"}})
	}
	var want []string
	for _, how := range []reading{{1, 1, 0}, {1, 8, 0}, {3, 8, 0}} {
		r := newWideReader(t, set, how)
		got := r.play(records, time.Minute)
		if want == nil {
			want = got
		}
		if len(got) != 1 || !slices.Equal(got, want) {
			t.Errorf("%s: %v, expected %v", how, got, want)
		}
		if r.partial != 1 {
			t.Errorf("%s: the alert does not say that something is missing", how)
		}
	}
}

// TestIncidentsAreOfTheFleet has agents in all partitions crash one after the
// other: their alerts are one incident, which the later ones name as parent.
func TestIncidentsAreOfTheFleet(t *testing.T) {
	set := compileRules(t, dictionary(t), ruleYAML(1, "match", "condition: event.action == \"sensor-crashed\"\nsuppress: 2m\nrollup: {by: [agent.type], percent: 4, min: 5, within: 10m}"))
	var crashes []logged
	for i := range 16 {
		crashes = append(crashes, logged{6*time.Minute + time.Duration(i)*7*time.Second, "edr", []any{
			"event.action", "sensor-crashed", "agent.type", "x", "agent.id", fmt.Sprintf("a%02d", 3*i), "host.name", fmt.Sprintf("h%02d", 3*i),
		}})
	}
	alerts := sameAlerts(t, set, inOrder(alive(200, 20*time.Minute), crashes), 20*time.Minute)
	incidents, folded := 0, 0
	for _, a := range alerts {
		switch {
		case strings.Contains(a, "of 200"):
			incidents++
		case strings.Contains(a, "info"):
			folded++
		}
	}
	// Eight make it. Those that come later are folded, and name it once more when they end.
	if incidents != 3 || folded != 16 {
		t.Errorf("%d documents of the incident, %d of alerts that are folded\n%s", incidents, folded, strings.Join(alerts, "\n"))
	}
}

// TestTopicsTellOfOneAgent has two topics tell of one agent, by different names
// and by that of its host alone.
func TestTopicsTellOfOneAgent(t *testing.T) {
	sequence := func(first, second string) string {
		return fmt.Sprintf("across: topics\nmaxspan: 1h\nsteps:\n  - {name: one, condition: 'event.action == %q'}\n  - {name: two, condition: 'event.action == %q'}", first, second)
	}
	set := compileRules(t, dictionary(t), ruleYAML(1, "sequence", sequence("uninstall-token-revealed", "sensor-uninstalled"))+ruleYAML(2, "sequence", sequence("sensor-crashed", "host-crashed")))
	var records []logged
	for i := range 3 {
		at, id, host := time.Duration(i)*30*time.Second, fmt.Sprintf("a%d", i), fmt.Sprintf("h%d", i)
		entity := fmt.Sprintf("%016x", i+1)
		records = append(records,
			logged{at, "console", []any{"event.action", "uninstall-token-revealed", "agent.id", id, "edr.entity.id", entity}},
			logged{at + 40*time.Second, "edr", []any{"event.action", "sensor-uninstalled", "agent.type", "x", "host.name", host, "edr.entity.id", entity}},
			logged{at + time.Second, "edr", []any{"event.action", "sensor-crashed", "agent.type", "x", "agent.id", id, "host.name", host}},
			logged{at + 2*time.Second, "windows", []any{"event.action", "host-crashed", "host.name", strings.ToUpper(host) + ".example.com"}},
			logged{at + 3*time.Second, "windows", []any{"event.action", "host-crashed", "host.name", "other" + host}},
		)
	}
	alerts := sameAlerts(t, set, inOrder(records), 5*time.Minute)
	if len(alerts) != 6 {
		t.Errorf("alerts\n%s", strings.Join(alerts, "\n"))
	}
}

func TestSharesAndAcrossAreChecked(t *testing.T) {
	for rest, want := range map[string]string{
		"having: {percent: 2}":                                                "percent needs min",
		"having: {min: 5}":                                                    "min goes with percent",
		"having: {percent: 0, min: 5}":                                        "expected more than 0 and up to 100",
		"having: {percent: 101, min: 5}":                                      "expected more than 0 and up to 100",
		"having: {percent: 2, min: 1}":                                        "expected 2 to 1000",
		"having: {percent: 2, min: 5, gte: 3}":                                "nothing else can",
		"having: {percent: 2, min: 5}\nwindow_kind: tumbling":                 "sliding window",
		"having: {gte: 2}\nacross: topics":                                    "group_by names something else",
		"having: {gte: 2}\nacross: partitions":                                "topics",
		"having: {gte: 2}\nrollup: {percent: 2, within: 1m}":                  "percent needs min",
		"having: {gte: 2}\nrollup: {min: 2, within: 1m}":                      "min goes with percent",
		"having: {gte: 2}\nrollup: {over: 5, percent: 2, min: 5, within: 1m}": "over cannot as well",
	} {
		_, err := ParseFile("r.yml", []byte(ruleYAML(1, "value_count", "condition: event.action == \"error\"\nfield: entity\ngroup_by: [agent.type]\nwindow: 10m\n"+rest)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v, want %s", rest, err, want)
		}
	}
	for group, want := range map[string]string{"[entity]": "many agents", "[agent.type, host.name]": "many agents"} {
		_, err := ParseFile("r.yml", []byte(ruleYAML(1, "value_count", "condition: event.action == \"error\"\nfield: entity\nwindow: 10m\nhaving: {percent: 2, min: 5}\ngroup_by: "+group)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v, want %s", group, err, want)
		}
	}
}

// TestReloadKeepsWhatTheFleetHasCounted reloads rules of which one is only worded
// otherwise and one judges otherwise: the first goes on, the second starts without state.
func TestReloadKeepsWhatTheFleetHasCounted(t *testing.T) {
	other := strings.Replace(offOnMany, "gte: 12", "gte: 6", 1)
	set := compileRules(t, dictionary(t), ruleYAML(1, "value_count", offOnMany)+ruleYAML(2, "value_count", other))
	worded := strings.Replace(offOnMany, "scope: fleet", "scope: fleet\ndescription: said otherwise", 1)
	again := compileRules(t, dictionary(t), ruleYAML(1, "value_count", worded)+ruleYAML(2, "value_count", strings.Replace(other, "gte: 6", "gte: 10", 1)))
	for _, how := range []reading{{1, 1, 0}, {1, 8, 0}, {3, 8, 0}} {
		r := newWideReader(t, set, how)
		r.again = again
		alerts := strings.Join(r.play(switchedOff(12, 20*time.Second), 10*time.Minute), "\n")
		// Four had done it by then: the second counts the eight that come.
		if strings.Count(alerts, "\n") != 0 || !strings.Contains(alerts, "rule 1 firing x") || !strings.Contains(alerts, "count 12") {
			t.Errorf("%s:\n%s", how, alerts)
		}
	}
}
