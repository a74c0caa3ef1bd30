package canary

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/edrwatch/edrwatch/mappings"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
)

const topic = "edr.crowdstrike.fdr"

// way is what a beat takes: the shipped mappings and a set of rules.
type way struct {
	mu      sync.Mutex
	shard   *pipeline.Shard
	session *rules.Session
	set     *rules.Ruleset
	canary  *Canary
	err     error // of writing
	lost    bool  // records do not come out of the feed
	delay   time.Duration
	offset  int64
	told    []Problem
	worker  event.Worker // of the partition
}

func (y *way) Detect(now int64, e *event.Event, emit func(*event.Event)) {
	y.session.Detect(now, e, emit)
}
func (y *way) Canary(now int64, e *event.Event) { y.session.Canary(y.set, now, e, y.canary.Hear) }

// Write takes records through the way.
func (y *way) Write(_ context.Context, topic string, partition int32, records []Record) error {
	time.Sleep(y.delay) // Not under the lock: time stands still while somebody waits for one.
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.err != nil || y.lost {
		return y.err
	}
	p := event.Partition{Prefix: "x", Topic: topic, Number: partition}
	for _, r := range records {
		y.offset++
		y.shard.Process(&p, &event.Record{Offset: y.offset, Time: r.Time.UnixMilli(), Key: r.Key, Value: r.Value, Headers: []event.Header{{Key: event.CanaryHeader}}}, false)
	}
	return nil
}

func (y *way) change(f func()) {
	y.mu.Lock()
	defer y.mu.Unlock()
	f()
}

func (y *way) problems() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	var list []string
	for _, p := range y.told {
		text := string(p.State)
		if p.Over {
			text += " over"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

type noWorker struct{}

func (noWorker) Handle(context.Context, *event.Batch) error { return nil }
func (noWorker) Close()                                     {}

// open plays the canary of a feed until the test ends.
func open(t *testing.T, tree fs.FS, registry *prometheus.Registry) (*way, *Canary) {
	t.Helper()
	mapped, err := mappings.Parse(mappings.Library())
	if err != nil {
		t.Fatal(err)
	}
	dict, err := ecs.New(mapped.Fields()...)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := mapped.Compile(dict)
	if err != nil {
		t.Fatal(err)
	}
	files, err := rules.Parse(tree)
	if err != nil {
		t.Fatal(err)
	}
	set, err := files.Compile(dict)
	if err != nil {
		t.Fatal(err)
	}
	y := &way{set: set, session: set.NewSession(rules.SessionOptions{}), delay: 70 * time.Millisecond}
	y.shard = pipeline.NewShard(pipeline.DefaultShardConfig(), plan.NewMapper(), y)
	cfg := DefaultConfig()
	cfg.Enabled = true
	c, err := New(cfg, Settings{Logger: slog.New(slog.DiscardHandler), Metrics: registry, Report: func(_ context.Context, p Problem) error {
		y.change(func() { y.told = append(y.told, p) })
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	y.canary = c
	worker, err := c.Open("edrwatch", y, func(context.Context, event.Partition) (event.Worker, error) { return noWorker{}, nil })(t.Context(), event.Partition{Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	y.worker = worker
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() {
		worker.Close()
		cancel()
		<-done
	})
	return y, c
}

// expect waits and compares the canary's state and what was reported.
func expect(t *testing.T, y *way, c *Canary, wait time.Duration, state State, told string) Status {
	t.Helper()
	time.Sleep(wait)
	synctest.Wait()
	s := c.Statuses()
	if len(s) != 1 || s[0].Feed != topic || s[0].State != state {
		t.Errorf("the canary is %+v, want it %s", s, state)
	}
	if got := y.problems(); got != told {
		t.Errorf("told of %q, want %q", got, told)
	}
	return s[0]
}

func TestCanaryProvesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		y, c := open(t, rules.Library(), registry)
		expect(t, y, c, 2*time.Minute+time.Second, Heard, "")
		expect(t, y, c, 5*time.Minute, Proving, "")
		s := expect(t, y, c, 25*time.Minute, Proved, "")
		if s.Rule != "EDR agent on a server has gone silent" || s.NoticedAfter < 15*60 || s.NoticedAfter > 22*60 || s.RoundTrip < 0.07 || s.RoundTrip > 0.2 {
			t.Errorf("status %+v", s)
		}
		expect(t, y, c, time.Hour, Proving, "")
		expect(t, y, c, 25*time.Minute, Proved, "")
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP edrwatch_canary_proofs_total Silences of a feed's canary, by outcome: proved (a rule noticed), mute (none did in time).
# TYPE edrwatch_canary_proofs_total counter
edrwatch_canary_proofs_total{feed="edr.crowdstrike.fdr",outcome="mute"} 0
edrwatch_canary_proofs_total{feed="edr.crowdstrike.fdr",outcome="proved"} 2
`), "edrwatch_canary_proofs_total"); err != nil {
			t.Error(err)
		}
		if n := len(y.shard.Documents()); n > 0 {
			t.Errorf("the canary became %d documents", n)
		}
	})
}

func TestDeafCanary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y, c := open(t, rules.Library(), prometheus.NewRegistry())
		expect(t, y, c, 10*time.Minute+time.Second, Proving, "")
		y.change(func() { y.lost = true })
		s := expect(t, y, c, 8*time.Minute, Deaf, "deaf")
		if !strings.Contains(s.Reason, "native mapping") {
			t.Errorf("reason %q", s.Reason)
		}
		y.change(func() { y.err = errors.New("no permission") })
		expect(t, y, c, 2*time.Hour, Deaf, "deaf") // Once an episode; nobody who is not heard is proved.
		y.change(func() { y.err, y.lost = nil, false })
		expect(t, y, c, 2*time.Minute, Heard, "deaf, deaf over")
		expect(t, y, c, 40*time.Minute, Proved, "deaf, deaf over")
		y.change(func() { y.err = errors.New("no permission") })
		if s := expect(t, y, c, 8*time.Minute, Deaf, "deaf, deaf over, deaf"); !strings.Contains(s.Reason, "no permission") {
			t.Errorf("reason %q", s.Reason)
		}
		y.mu.Lock()
		defer y.mu.Unlock()
		if y.told[0].Since != y.told[1].Since || y.told[2].Since == y.told[0].Since {
			t.Errorf("episodes: %+v", y.told)
		}
	})
}

func TestMuteCanary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := fstest.MapFS{"cpu.yml": {Data: []byte("id: 00000000-0000-4000-8000-000000000001\nname: CPU\nversion: 1\nkind: cpu_spike\nmaturity: experimental\n" +
			"description: CPU.\nseverity: low\ntype: match\ncondition: edr.resource.cpu_pct > 90\n")}}
		y, c := open(t, tree, prometheus.NewRegistry())
		expect(t, y, c, 40*time.Minute, Proving, "")
		s := expect(t, y, c, 15*time.Minute, Mute, "mute")
		if !strings.Contains(s.Reason, "type silence") {
			t.Errorf("reason %q", s.Reason)
		}
		expect(t, y, c, 3*time.Hour, Mute, "mute")
		y.worker.Close() // The partition goes to another gateway.
		synctest.Wait()
		if got := y.problems(); got != "mute, mute over" || len(c.Statuses()) > 0 {
			t.Errorf("told of %q, canaries %+v", got, c.Statuses())
		}
	})
}

// TestAnotherGatewayOwnsTheFeed plays nothing for what it does not own.
func TestAnotherGatewayOwnsTheFeed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Feeds = []string{"a"}
	c, err := New(cfg, Settings{Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	opened := c.Open("g", nil, func(context.Context, event.Partition) (event.Worker, error) { return noWorker{}, nil })
	for _, p := range []event.Partition{{Topic: "a", Number: 1}, {Topic: "b"}} {
		if w, err := opened(t.Context(), p); err != nil || w != (noWorker{}) || len(c.Statuses()) > 0 {
			t.Errorf("%+v: worker %T, error %v, canaries %+v", p, w, err, c.Statuses())
		}
	}
	c.Hear(rules.CanarySign{Agent: AgentID("witness", "other", "a")})
}
