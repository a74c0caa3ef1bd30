package app

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/decode"
	filesink "github.com/edrwatch/edrwatch/sinks/file"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// site is a broker with a topic of four partitions, and the exchange's.
type site struct {
	t    *testing.T
	addr string
}

func newSite(t *testing.T) *site {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("site"), kfake.SeedTopics(4, simulator.TopicFDR),
		kfake.SeedTopics(1, "edrwatch.fleet", "edrwatch.state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &site{t, cluster.ListenAddrs()[0]}
}

// member is one gateway of a site.
type member struct {
	t      *testing.T
	app    *App
	alerts string // file
	stop   context.CancelFunc
	done   chan error
}

func (s *site) config(dir string) config.Config {
	cfg := config.Default()
	cfg.Cluster = "site"
	cfg.HTTP.Listen, cfg.HTTP.HealthListen = "127.0.0.1:0", "127.0.0.1:0"
	source := kafkasource.DefaultConfig()
	source.Brokers, source.Group = []string{s.addr}, "g"
	source.Topics = []string{simulator.TopicFDR}
	cfg.Sources = []config.Source{{Name: "in", Type: "kafka", Decode: decode.DefaultConfig(), Settings: &source}}
	out := filesink.DefaultConfig()
	out.Path = filepath.Join(dir, "alerts.ndjson")
	cfg.Sinks = []config.Sink{{Name: "out", Type: "file", Required: true, Settings: &out, Route: pipeline.Route{Streams: []string{"alerts"}}}}
	dead := filesink.DefaultConfig()
	dead.Path = filepath.Join(dir, "dead.ndjson")
	cfg.DeadLetter = config.DeadLetter{Type: "file", Settings: &dead}
	return cfg
}

// exchanging makes the gateway one of several.
func (s *site) exchanging(cfg *config.Config) {
	cfg.Fleet.Exchange.Brokers, cfg.Fleet.Exchange.Topic = []string{s.addr}, "edrwatch.fleet"
}

func (s *site) start(change func(*config.Config)) *member {
	s.t.Helper()
	dir := s.t.TempDir()
	cfg := s.config(dir)
	change(&cfg)
	a, err := New(cfg, Options{Logger: discard(), Stdout: io.Discard, Build: buildinfo.Info{Version: "test"}})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.t.Context())
	m := &member{t: s.t, app: a, alerts: filepath.Join(dir, "alerts.ndjson"), stop: stop, done: make(chan error, 1)}
	go func() { m.done <- a.Run(ctx) }()
	return m
}

// end stops the gateway, which drains.
func (m *member) end() {
	m.t.Helper()
	m.stop()
	if err := <-m.done; err != nil {
		m.t.Errorf("Run = %v", err)
	}
	if err := m.app.Close(); err != nil {
		m.t.Errorf("Close = %v", err)
	}
}

// total is a metric of the gateway, all its series together.
func (m *member) total(name string) int64 {
	n, err := m.app.total(name)
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// owned is the number of partitions of a topic that the gateway has.
func (m *member) owned(topic string) int {
	n := 0
	if err := m.app.series(func(family string, s *dto.Metric) {
		if family == "edrwatch_kafka_lag_records" && label(s, "topic") == topic {
			n++
		}
	}); err != nil {
		m.t.Fatal(err)
	}
	return n
}

// settled waits until the gateways have judged everything that was produced.
func settled(t *testing.T, sent int64, members ...*member) {
	t.Helper()
	within(t, 60*time.Second, "all records and steps", func() bool {
		done, steps := int64(0), int64(0)
		for _, m := range members {
			if m.app.exchange != nil && m.app.exchange.Waiting() > 0 {
				return false
			}
			done += m.total("edrwatch_records_total")
			if m.app.exchange != nil {
				steps += m.total("edrwatch_fleet_steps_total")
			}
		}
		return done >= sent+steps
	})
}

// told is what a test minds of an alert.
type told struct {
	Event struct{ ID string }
	Rule  struct{ ID string }
	EDR   struct {
		Alert struct {
			ID, Kind, Status, Key, Scope string
			Count, Denominator           int
		}
	}
}

// fleetAlerts returns the alerts of a kind in the order in which they were written.
func (m *member) fleetAlerts(kind string) []told {
	m.t.Helper()
	f, err := os.Open(m.alerts)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	var list []told
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a told
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			continue // Written this moment.
		}
		if a.EDR.Alert.Kind == kind {
			list = append(list, a)
		}
	}
	return list
}

func alertIDs(list []told) []string {
	var ids []string
	for _, a := range list {
		ids = append(ids, a.EDR.Alert.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// feed produces the records of a scenario up to a time after its start, and
// goes on there the next time.
type feed struct {
	t     *testing.T
	fleet *simulator.Fleet
	w     *kafka.Writer
	begun int64
	next  *simulator.Emission
	tap   func(simulator.Emission) // sees what is sent; nil: nobody does
	sent  int64
}

func (s *site) feed(scenario string, agents int, d time.Duration) *feed {
	s.t.Helper()
	shipped, err := simulator.Shipped(scenario)
	if err != nil {
		s.t.Fatal(err)
	}
	fleet, err := simulator.New(simulator.Config{Seed: 1, Agents: agents, Scenario: shipped, Duration: d})
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &kafka.Transport{}
	f := &feed{t: s.t, fleet: fleet, begun: shipped.Start.UnixMilli(), w: &kafka.Writer{
		Addr: kafka.TCP(s.addr), BatchTimeout: time.Millisecond, BatchSize: 5000, Balancer: &kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll, Transport: transport,
	}}
	s.t.Cleanup(func() {
		_ = f.w.Close()
		transport.CloseIdleConnections()
	})
	return f
}

func (f *feed) until(d time.Duration) {
	f.t.Helper()
	var batch []kafka.Message
	send := func() {
		if err := f.w.WriteMessages(f.t.Context(), batch...); err != nil {
			f.t.Fatal(err)
		}
		f.sent += int64(len(batch))
		batch = batch[:0]
	}
	for {
		if f.next == nil {
			e, ok := f.fleet.Next()
			if !ok {
				break
			}
			f.next = &e
		}
		if f.next.Time-f.begun > d.Milliseconds() {
			break
		}
		if f.next.Topic != simulator.TopicFDR {
			f.next = nil // Partitions to which next to nothing comes would be waited for.
			continue
		}
		if f.tap != nil {
			f.tap(*f.next)
		}
		batch = append(batch, kafka.Message{Topic: f.next.Topic, Key: f.next.Key, Value: f.next.Value, Time: time.UnixMilli(f.next.Time)})
		f.next = nil
		if len(batch) == 5000 {
			send()
		}
	}
	if len(batch) > 0 {
		send()
	}
}

// gateways starts so many and waits until each has partitions.
func (s *site) gateways(n int, change func(*config.Config)) []*member {
	s.t.Helper()
	var members []*member
	for range n {
		members = append(members, s.start(change))
	}
	within(s.t, 30*time.Second, "partitions", func() bool {
		all, least := 0, 4
		for _, m := range members {
			n := m.owned(simulator.TopicFDR)
			all, least = all+n, min(least, n)
		}
		return all == 4 && least > 0
	})
	return members
}

// july19 is what is reported about the bad version by a fleet of so many gateways.
func july19(t *testing.T, gateways int, exchanged bool) []told {
	s := newSite(t)
	members := s.gateways(gateways, func(cfg *config.Config) {
		if exchanged {
			s.exchanging(cfg)
		}
	})
	f := s.feed("july19-small", 1000, 45*time.Minute)
	// The records of hours come in seconds here: all gateways are heard before one
	// of them can be far ahead, as they are where steps take their ten seconds.
	f.until(5 * time.Minute)
	settled(t, f.sent, members...)
	f.until(45 * time.Minute)
	settled(t, f.sent, members...)
	var all []told
	for _, m := range members {
		m.end()
		all = append(all, m.fleetAlerts("bad_rollout")...)
	}
	slices.SortFunc(all, func(a, b told) int { return cmp.Compare(a.EDR.Alert.Count, b.EDR.Alert.Count) })
	return all
}

// TestSeveralGatewaysOneVerdict shares the partitions of July 19 among two
// gateways. One alone would compare a version with half of the fleet, and both
// would raise an alert.
func TestSeveralGatewaysOneVerdict(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	alone := july19(t, 1, false)
	if ids := alertIDs(alone); len(ids) != 1 || alone[0].EDR.Alert.Key != "crowdstrike-falcon/content 291 32" {
		t.Fatalf("one gateway without an exchange tells %+v", alone)
	}
	for _, gateways := range []int{1, 2} {
		shared := july19(t, gateways, true)
		if ids := alertIDs(shared); !slices.Equal(ids, alertIDs(alone)) {
			t.Fatalf("%d gateways raised the alerts %v, one alone %v", gateways, ids, alertIDs(alone))
		}
		if first := shared[0].EDR.Alert; first != alone[0].EDR.Alert {
			t.Errorf("%d gateways first told %+v, one alone %+v", gateways, first, alone[0].EDR.Alert)
		}
	}
}

// TestTakeover stops the gateway that raises the fleet's alerts in the middle
// of the incident: the other one goes on with it.
func TestTakeover(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	s := newSite(t)
	members := s.gateways(2, s.exchanging)
	f := s.feed("july19-small", 1000, 45*time.Minute)
	f.until(40 * time.Minute)
	settled(t, f.sent, members...)
	owner, other := members[0], members[1]
	if owner.owned("edrwatch.fleet") == 0 {
		owner, other = other, owner
	}
	owner.end()
	told := owner.fleetAlerts("bad_rollout")
	if len(alertIDs(told)) != 1 || len(other.fleetAlerts("bad_rollout")) != 0 {
		t.Fatalf("before the owner stopped it told of %v, the other one of %v", alertIDs(told), alertIDs(other.fleetAlerts("bad_rollout")))
	}
	within(t, 30*time.Second, "the other one to take over", func() bool {
		return other.owned("edrwatch.fleet") == 1 && other.owned(simulator.TopicFDR) == 4
	})
	f.until(45 * time.Minute)
	within(t, 60*time.Second, "the incident to grow", func() bool { return len(other.fleetAlerts("bad_rollout")) > 0 })
	other.end()
	later := other.fleetAlerts("bad_rollout")
	if !slices.Equal(alertIDs(told), alertIDs(later)) {
		t.Errorf("the alerts are %v after the takeover, and were %v", alertIDs(later), alertIDs(told))
	}
	if first, last := later[0].EDR.Alert, told[len(told)-1].EDR.Alert; first.Count <= last.Count || first.Denominator <= last.Denominator {
		t.Errorf("after %+v the new owner tells %+v", last, first)
	}
	for _, a := range later {
		for _, b := range told {
			if a.Event.ID == b.Event.ID {
				t.Errorf("both told %+v", a)
			}
		}
	}
}

// TestJudgeGoesOnFromItsState restarts the only gateway in the middle of the
// incident, with state that is kept and steps that are not read again.
func TestJudgeGoesOnFromItsState(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	s := newSite(t)
	keeping := func(cfg *config.Config) {
		s.exchanging(cfg)
		cfg.State.Brokers, cfg.State.Topic, cfg.State.Interval = []string{s.addr}, "edrwatch.state", time.Second
	}
	f := s.feed("july19-small", 1000, 45*time.Minute)
	one := s.gateways(1, keeping)[0]
	f.until(40 * time.Minute)
	settled(t, f.sent, one)
	one.end()
	if n := one.total("edrwatch_checkpoints_total"); n == 0 {
		t.Fatal("no state was kept")
	}
	told := one.fleetAlerts("bad_rollout")
	two := s.gateways(1, keeping)[0]
	within(t, 30*time.Second, "the exchange to be owned", func() bool { return two.owned("edrwatch.fleet") == 1 })
	if n := two.total("edrwatch_checkpoint_restores_total"); n == 0 {
		t.Error("no state was restored")
	}
	f.until(45 * time.Minute)
	within(t, 60*time.Second, "the incident to grow", func() bool { return len(two.fleetAlerts("bad_rollout")) > 0 })
	if n, err := two.rebuilt("edrwatch.fleet"); err != nil || n > 5 {
		t.Errorf("%d steps were read again (%v), though the judge's state was kept after nearly all of them", n, err)
	}
	two.end()
	later := two.fleetAlerts("bad_rollout")
	if !slices.Equal(alertIDs(told), alertIDs(later)) {
		t.Errorf("the alerts are %v after the restart, and were %v", alertIDs(later), alertIDs(told))
	}
	if first, last := later[0].EDR.Alert, told[len(told)-1].EDR.Alert; first.Count <= last.Count {
		t.Errorf("after %+v the next gateway tells %+v", last, first)
	}
}

// rebuilt is the number of records of a topic that were read again.
func (m *member) rebuilt(topic string) (n int, err error) {
	err = m.app.series(func(family string, s *dto.Metric) {
		if family == "edrwatch_records_rebuilt_total" && label(s, "topic") == topic {
			n += int(s.GetCounter().GetValue())
		}
	})
	return n, err
}
