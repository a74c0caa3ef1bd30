package respond

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// receiver remembers acts and fails as the test says.
type receiver struct {
	got   []Act
	fails []error
}

func (r *receiver) Send(_ context.Context, a *Act) (int, error) {
	r.got = append(r.got, *a)
	if len(r.fails) == 0 {
		return 202, nil
	}
	err := r.fails[0]
	r.fails = r.fails[1:]
	return 503, err
}

// bench is a dispatcher before two receivers.
type bench struct {
	t            *testing.T
	d            *Dispatcher
	soar, worker receiver
	mu           sync.Mutex
	told         []map[string]any
	now          time.Time
	asks         []Ask
	dict         *ecs.Dictionary
	registry     *prometheus.Registry
}

func newBench(t *testing.T, cfg Config, asks ...Ask) *bench {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, now: time.Date(2024, 7, 19, 4, 12, 0, 0, time.UTC), dict: dict, asks: asks, registry: prometheus.NewRegistry()}
	b.d, err = New(cfg, Settings{
		Responders: []Named{{Name: "soar", Responder: &b.soar}, {Name: "worker", Responder: &b.worker}},
		Asks:       func(string) []Ask { return b.asks }, Document: Reporter{Dictionary: dict}.Document, Logger: slog.New(slog.DiscardHandler), Metrics: b.registry,
		Now: func() time.Time { return b.now },
		Publish: func(_ context.Context, docs []*event.Document) error {
			for _, d := range docs {
				var told map[string]any
				if err := json.Unmarshal(d.Body, &told); err != nil {
					t.Fatal(err)
				}
				b.mu.Lock()
				b.told = append(b.told, told)
				b.mu.Unlock()
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func alert(id, status, severity string, sequence int) *event.Document {
	body := fmt.Sprintf(`{"@timestamp":"2024-07-19T04:11:40.000Z","event":{"id":"%s-%s-%d","kind":"alert","action":"alert","start":"2024-07-19T04:09:30.000Z"},
		"rule":{"id":"r1","name":"Bad rollout","version":"1"},"agent":{"type":"crowdstrike-falcon"},"host":{"os":{"type":"windows"}},
		"edr":{"alert":{"id":%q,"kind":"bad_rollout","severity":%q,"status":%q,"reason":"12 of 933 failed","scope":"fleet","count":12,"denominator":933,
		"hosts":["h1","h2"],"evidence":{"verdict":"rollback"}},"content":{"version":"32","channel":"291"}}}`, id, status, sequence, id, severity, status)
	return &event.Document{ID: fmt.Sprint(id, status, sequence), Stream: event.Alerts, Body: []byte(body), AlertKind: "bad_rollout", Severity: severity, Rules: []string{"r1"}}
}

func (b *bench) write(docs ...*event.Document) ([]event.Result, error) {
	results := make([]event.Result, len(docs))
	err := b.d.Write(b.t.Context(), docs, results)
	return results, err
}

// responses lists edr.response of the events, by responder, in order.
func (b *bench) responses() []map[string]any {
	var list []map[string]any
	for _, t := range b.told {
		list = append(list, t["edr"].(map[string]any)["response"].(map[string]any))
	}
	slices.SortStableFunc(list, func(x, y map[string]any) int {
		return strings.Compare(x["responder"].(string), y["responder"].(string))
	})
	return list
}

// statuses lists the statuses of the events, by responder, in order.
func (b *bench) statuses() string {
	var list []string
	for _, r := range b.responses() {
		list = append(list, fmt.Sprint(r["action"], "/", r["responder"], ":", r["status"]))
	}
	return strings.Join(list, " ")
}

func TestActsAreAskedOfWhomTheRuleNames(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 10}, Ask{Action: "pause_rollout", To: []string{"worker"}}, Ask{Action: "open_case", MinSeverity: "critical", Parameters: map[string]string{"queue": "edr"}})
	if _, err := b.write(alert("a1", "firing", "high", 0), alert("a1", "resolved", "critical", 1)); err != nil {
		t.Fatal(err)
	}
	if len(b.soar.got) != 0 || len(b.worker.got) != 1 {
		t.Fatalf("the SOAR got %d acts, the worker %d", len(b.soar.got), len(b.worker.got))
	}
	if _, err := b.write(alert("a2", "firing", "critical", 0)); err != nil {
		t.Fatal(err)
	}
	if len(b.soar.got) != 1 || len(b.worker.got) != 3 {
		t.Fatalf("the SOAR got %d acts, the worker %d", len(b.soar.got), len(b.worker.got))
	}
	a := b.soar.got[0]
	want := Subject{Product: "crowdstrike-falcon", ContentVersion: "32", ContentChannel: "291", OS: "windows", Verdict: "rollback"}
	if a.Schema != Schema || a.Action != "open_case" || a.Parameters["queue"] != "edr" || a.Subject != want || a.Alert.Count != 12 || len(a.Alert.Hosts) != 2 || a.Alert.Start == "" {
		t.Errorf("act %+v", a)
	}
	if o := b.told[0]["event"].(map[string]any)["outcome"]; o != "success" || b.told[0]["event"].(map[string]any)["action"] != "response-taken" {
		t.Errorf("told %v", b.told[0])
	}
}

func TestAnActNamesTheVersionThatIsSuspected(t *testing.T) {
	for evidence, want := range map[string]Subject{
		`{"suspect_version":"32","suspect_kind":"content","suspect_channel":"291"}`: {Product: "p", ContentVersion: "32", ContentChannel: "291", Suspected: true},
		`{"suspect_version":"7.2","suspect_kind":"sensor","suspect_channel":""}`:    {Product: "p", SensorVersion: "7.2", Suspected: true},
		`{"suspect_version":"7.2"}`: {Product: "p"},
		`{}`:                        {Product: "p"},
	} {
		body := fmt.Sprintf(`{"rule":{"id":"r"},"agent":{"type":"p"},"edr":{"alert":{"id":"a","status":"firing","kind":"mass_silence","evidence":%s}}}`, evidence)
		if a, err := parse(&event.Document{Body: []byte(body)}); err != nil || a.Subject != want {
			t.Errorf("%s: %v, %+v", evidence, err, a.Subject)
		}
	}
	a, err := parse(alert("a1", "firing", "high", 0))
	if err != nil || a.Subject.Suspected {
		t.Errorf("%v, %+v", err, a.Subject)
	}
}

func TestNothingIsSentInADryRun(t *testing.T) {
	b := newBench(t, Config{MaxPerHour: 10}, Ask{Action: "pause_rollout"})
	results, err := b.write(alert("a1", "firing", "high", 0))
	if err != nil || results[0].Outcome != event.Indexed || len(b.soar.got)+len(b.worker.got) > 0 {
		t.Fatalf("%v, %v, %d acts", err, results, len(b.soar.got)+len(b.worker.got))
	}
	if got := b.statuses(); got != "pause_rollout/soar:dry_run pause_rollout/worker:dry_run" {
		t.Errorf("told %s", got)
	}
}

func TestOutcomesAreCountedFromZero(t *testing.T) {
	b := newBench(t, Config{MaxPerHour: 10}, Ask{Action: "pause_rollout", To: []string{"soar"}})
	if _, err := b.write(alert("a1", "firing", "high", 0)); err != nil {
		t.Fatal(err)
	}
	families, err := b.registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%v, %d families", err, len(families))
	}
	seen := 0
	for _, m := range families[0].Metric {
		labels := map[string]string{}
		for _, l := range m.Label {
			labels[l.GetName()] = l.GetValue()
		}
		want := 0.0
		if labels["responder"] == "soar" && labels["action"] == "pause_rollout" && labels["outcome"] == "dry_run" {
			want = 1
		}
		if got := m.GetCounter().GetValue(); got != want {
			t.Errorf("%v: %g, want %g", labels, got, want)
		}
		seen++
	}
	if want := 2 * len(ecs.ResponseActions()) * len(outcomes()); seen != want {
		t.Errorf("%d counters, want %d", seen, want)
	}
}

func TestActsAreDatedByTheClockUnlessOldRecordsArePlayed(t *testing.T) {
	b := newBench(t, Config{MaxPerHour: 10}, Ask{Action: "pause_rollout", To: []string{"soar"}})
	tell := Reporter{Dictionary: b.dict, Playback: true}.Document
	for _, doc := range []*event.Document{alert("a1", "firing", "high", 0), alert("a2", "firing", "high", 0)} {
		if _, err := b.write(doc); err != nil {
			t.Fatal(err)
		}
		b.d.set.Document = tell
	}
	if b.told[0]["@timestamp"] != "2024-07-19T04:12:00.000Z" || b.told[1]["@timestamp"] != "2024-07-19T04:11:40.000Z" {
		t.Errorf("told at %v and %v", b.told[0]["@timestamp"], b.told[1]["@timestamp"])
	}
	if c := b.told[0]["edr"].(map[string]any)["content"]; !reflect.DeepEqual(c, map[string]any{"version": "32", "channel": "291"}) {
		t.Errorf("about content %v", c)
	}
}

func TestAnActIsTakenOnce(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 10}, Ask{Action: "pause_rollout", To: []string{"soar"}})
	for i := range 3 { // Further documents of the episode, and a repetition after a restart of the partition.
		if _, err := b.write(alert("a1", "firing", "high", i%2)); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.soar.got) != 1 {
		t.Errorf("%d acts", len(b.soar.got))
	}
	other := newBench(t, Config{Enabled: true, MaxPerHour: 10}, b.asks...)
	if _, err := other.write(alert("a1", "firing", "high", 0)); err != nil || other.soar.got[0].ID != b.soar.got[0].ID {
		t.Errorf("another process gives the act another id: %v", err)
	}
}

func TestFailedActsAreTriedAgain(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 10}, Ask{Action: "pause_rollout", To: []string{"soar"}})
	down := fault.New(fault.Transient, fault.Unavailable, "down")
	b.soar.fails = []error{down, down}
	doc := alert("a1", "firing", "high", 0)
	for range 2 {
		results, err := b.write(doc)
		if !errors.Is(err, down) || results[0].Outcome != event.Pending {
			t.Fatalf("%v, %v", err, results)
		}
	}
	if results, err := b.write(doc); err != nil || results[0].Outcome != event.Indexed {
		t.Fatalf("%v, %v", err, results)
	}
	if got := b.statuses(); got != "pause_rollout/soar:failed pause_rollout/soar:failed pause_rollout/soar:sent" {
		t.Errorf("told %s", got)
	}
	attempts := map[any]bool{}
	for _, told := range b.told {
		attempts[told["event"].(map[string]any)["id"]] = true
	}
	if len(attempts) != 3 {
		t.Errorf("%d documents of three attempts have ids of their own", len(attempts))
	}
	b.soar.fails = []error{fault.New(fault.Permanent, fault.Rejected, "no")}
	if results, err := b.write(alert("a2", "firing", "high", 0)); err != nil || results[0].Outcome != event.Indexed || !strings.HasSuffix(b.statuses(), "refused") {
		t.Errorf("%v, %v: told %s", err, results, b.statuses())
	}
}

func TestActsAreLimited(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 3}, Ask{Action: "open_case", To: []string{"soar"}})
	for i := range 5 {
		if _, err := b.write(alert(fmt.Sprint("a", i), "firing", "high", 0)); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.soar.got) != 3 || strings.Count(b.statuses(), "suppressed") != 2 {
		t.Errorf("%d acts; told %s", len(b.soar.got), b.statuses())
	}
	b.now = b.now.Add(20 * time.Minute)
	for i := range 2 {
		if _, err := b.write(alert(fmt.Sprint("b", i), "firing", "high", 0)); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.soar.got) != 4 {
		t.Errorf("%d acts after twenty minutes, want one more", len(b.soar.got))
	}
}

func TestAnActOverTheLimitIsAskedForWhenTheAlertGrows(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 1}, Ask{Action: "pause_rollout", To: []string{"worker"}})
	if _, err := b.write(alert("a1", "firing", "high", 0), alert("a2", "firing", "high", 0), alert("a2", "firing", "high", 1)); err != nil {
		t.Fatal(err)
	}
	if len(b.worker.got) != 1 {
		t.Fatalf("%d acts, want 1", len(b.worker.got))
	}
	b.now = b.now.Add(time.Hour)
	if _, err := b.write(alert("a2", "firing", "high", 2), alert("a2", "firing", "high", 3)); err != nil {
		t.Fatal(err)
	}
	if len(b.worker.got) != 2 || b.worker.got[1].Alert.ID != "a2" {
		t.Errorf("%d acts an hour later, want one more about a2: told %s", len(b.worker.got), b.statuses())
	}
}

func TestTheLimitKeepsNoEndOfWhatHasBegun(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 2})
	b.d.lanes[0].to.NotifyFrom = "high"
	if _, err := b.write(alert("a1", "firing", "high", 0), alert("a2", "firing", "high", 0), alert("a3", "firing", "high", 0),
		alert("a1", "resolved", "high", 1), alert("a2", "resolved", "high", 1), alert("a3", "resolved", "high", 1)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range b.soar.got {
		got = append(got, a.Alert.ID+" "+a.Alert.Status)
	}
	if want := []string{"a1 firing", "a2 firing", "a1 resolved", "a2 resolved"}; !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
}

func TestEveryAlertIsToldToWhoWantsIt(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 10})
	b.d.lanes[0].to.NotifyFrom = "high"
	if _, err := b.write(alert("a1", "firing", "medium", 0), alert("a2", "firing", "high", 0), alert("a2", "resolved", "high", 1)); err != nil {
		t.Fatal(err)
	}
	if len(b.soar.got) != 2 || b.soar.got[0].ID == b.soar.got[1].ID || b.soar.got[0].Action != "notify" {
		t.Errorf("got %+v", b.soar.got)
	}
}

func TestWhoFollowsAlertsHearsOfTheirEnd(t *testing.T) {
	b := newBench(t, Config{Enabled: true, MaxPerHour: 10}, Ask{Action: "pause_rollout"}, Ask{Action: "open_case", On: []string{"firing"}})
	b.d.lanes[0].to.Follows = true
	if _, err := b.write(alert("a1", "firing", "high", 0), alert("a1", "resolved", "high", 1)); err != nil {
		t.Fatal(err)
	}
	if got, want := b.statuses(), "pause_rollout/soar:sent open_case/soar:sent pause_rollout/soar:sent pause_rollout/worker:sent open_case/worker:sent"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

func TestWhatIsNoAlertIsRefusedWithAReason(t *testing.T) {
	b := newBench(t, Config{MaxPerHour: 1})
	results, err := b.write(&event.Document{ID: "x", Stream: event.Alerts, Body: []byte(`{"rule":{"id":7}}`)}, &event.Document{ID: "y", Stream: event.Alerts, Body: []byte(`{}`)},
		&event.Document{ID: "z", Stream: event.Telemetry, Body: []byte(`{}`)})
	if err != nil || results[0].Outcome != event.Refused || results[1].Outcome != event.Refused || results[2].Outcome != event.Indexed {
		t.Fatalf("%v, %v", err, results)
	}
	if text := results[1].Err.Error(); !strings.Contains(text, "expected edr.alert.id") {
		t.Error(text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(alert("a", "firing", "high", 0).Body)
	f.Add([]byte(`{"edr":{"alert":{"id":"a","status":"firing","hosts":"h"}},"rule":{"id":["r"]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parse(&event.Document{Body: body})
		if err != nil {
			return
		}
		if a.Alert.ID == "" || a.Rule.ID == "" || a.Alert.Hosts == nil {
			t.Fatalf("%s: %+v", body, a)
		}
		if _, err := json.Marshal(a.with("notify", "x", nil)); err != nil && a.Requested.Year() < 10_000 && a.Requested.Year() >= 0 {
			t.Fatal(err)
		}
	})
}
