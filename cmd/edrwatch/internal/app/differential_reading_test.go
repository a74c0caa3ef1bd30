package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/fleetsync"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// reading is one way to read a recording.
type reading struct {
	t         testing.TB
	detection *Detection
	of        *recording
	rng       *rand.Rand
	parts     []*partition
	gateways  int
	exchanged bool
	kills     int
	keepState bool
	log       *exchangeLog
	told      *toldAlerts
	read      atomic.Int64 // records, again and again
	killAt    int64
	latest    int64
}

// partition is one partition as the broker has it: its records, and what was
// committed of them.
type partition struct {
	name      string
	topic     string
	records   []event.Record
	committed int
	state     []byte // kept with it; nil without
	stateAt   int
}

func newReading(t testing.TB, d *Detection, of *recording, rng *rand.Rand) *reading {
	r := &reading{t: t, detection: d, of: of, rng: rng, told: newTold(), log: &exchangeLog{changed: make(chan struct{})}}
	n := 1 + rng.IntN(9)
	r.gateways = 1 + rng.IntN(3)
	r.exchanged = r.gateways > 1 || rng.IntN(2) == 0
	r.kills = rng.IntN(3)
	r.keepState = r.exchanged && rng.IntN(2) == 0
	salt := rng.Uint64()
	byName := map[string]*partition{}
	for i := range of.records {
		e := &of.records[i]
		sum := salt
		for _, b := range e.Key {
			sum = (sum ^ uint64(b)) * 1099511628211
		}
		name := fmt.Sprintf("%s[%d]", e.Topic, sum>>8%uint64(n))
		p := byName[name]
		if p == nil {
			p = &partition{name: name, topic: e.Topic}
			byName[name] = p
			r.parts = append(r.parts, p)
		}
		p.records = append(p.records, event.Record{Offset: int64(i), Time: e.Time, Key: e.Key, Value: e.Value})
		r.latest = max(r.latest, e.Time*int64(time.Millisecond))
	}
	r.killAt = math.MaxInt64
	if r.kills > 0 {
		r.killAt = int64(rng.IntN(len(of.records)))
	}
	return r
}

// named reports whether names are learned. A gateway that follows one that was
// killed hears at once all names that the exchange has, also those that were not
// known yet when the records were that it reads again: what rebuilt state knows may
// then differ, for as long as names are news.
func (r *reading) named() bool { return !r.exchanged || r.kills == 0 }

// processors are those of a gateway's partitions.
func (g *gatewayRun) processors() []pipeline.Processor {
	if !g.r.named() {
		return nil
	}
	return g.names.List()
}

func (r *reading) String() string {
	return fmt.Sprintf("%s in %d partitions by %d gateways (exchange %t), %d killed, state kept %t", r.of.name, len(r.parts), r.gateways, r.exchanged, r.kills, r.keepState)
}

// gatewayRun is one gateway as long as it lives.
type gatewayRun struct {
	r        *reading
	names    *Processors
	fleet    *fleet.Fleet
	pacer    *pipeline.Pacer
	verdicts *rules.Verdicts
	found    *pipeline.Shard
	lanes    []*laneRun
	advanced chan struct{}
	mu       sync.Mutex
	ctx      context.Context
	stop     context.CancelFunc
	group    *errgroup.Group
	seed     uint64
}

func (r *reading) newGateway(ctx context.Context, parts []*partition) *gatewayRun {
	g := &gatewayRun{r: r, names: shipped(r.t, r.detection), advanced: make(chan struct{}), seed: r.rng.Uint64(), verdicts: r.detection.Rules.NewVerdicts(), found: pipeline.NewShard(pipeline.DefaultShardConfig(), nil, nil)}
	g.ctx, g.stop = context.WithCancel(ctx)
	g.group, g.ctx = errgroup.WithContext(g.ctx)
	g.pacer = pipeline.NewPacer(pipeline.PacerConfig{Step: time.Duration(fleet.StepLength), MaxHold: time.Hour, Close: g.close, Shared: r.exchanged})
	if r.exchanged {
		g.fleet = fleet.NewShared(fleet.DefaultConfig(), nil)
		g.group.Go(func() error { g.listen(); return nil })
	} else {
		g.fleet = fleet.New(fleet.DefaultConfig(), nil)
		g.fleet.Pace()
	}
	g.fleet.Know(g.names.Registry)
	g.take(parts)
	return g
}

// take begins to read partitions.
func (g *gatewayRun) take(parts []*partition) {
	var lanes []*laneRun
	for _, p := range parts {
		l := &laneRun{g: g, p: p, rng: rand.New(rand.NewPCG(g.seed, uint64(len(g.lanes)+len(lanes))))}
		l.session = g.r.detection.Rules.NewSession(rules.SessionOptions{Lateness: event.DefaultLateness, Fleet: g.fleet, Partition: p.name})
		l.shard = pipeline.NewShard(pipeline.DefaultShardConfig(), g.r.detection.NewMapper(), l.session, g.processors()...)
		l.member = g.pacer.Join(p.name, l.idle)
		if p.state != nil {
			if err := l.shard.Restore(p.state); err != nil {
				g.r.t.Error(err)
			}
			l.at = p.stateAt
			l.member.Restored(l.shard.Now())
		}
		lanes = append(lanes, l)
	}
	g.mu.Lock()
	g.lanes = append(g.lanes, lanes...)
	g.mu.Unlock()
	for _, l := range lanes {
		g.group.Go(l.run)
	}
}

// close judges a step.
func (g *gatewayRun) close(ctx context.Context, c pipeline.Closing) error {
	if c.Partial() {
		return fmt.Errorf("%v were not waited for", c.Left)
	}
	if !g.r.exchanged {
		g.names.Identifier.CloseStep()
		g.raise(c.End, g.fleet.Close(c.End, false))
		return nil
	}
	g.r.log.publish(c.End, g.fleet.Outbox(c.End, c.Ended), g.names.Identifier.EndStep(fleetsync.MostLinks))
	for {
		g.mu.Lock()
		advanced := g.advanced
		g.mu.Unlock()
		if g.fleet.Closed() >= c.End {
			return nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gatewayRun) raise(end int64, findings []fleet.Finding) {
	g.found.Reset()
	g.found.Raise(end, func(emit func(*event.Event)) { g.verdicts.Raise(findings, emit) })
	g.r.told.take(g.found)
}

// listen hears what all gateways tell, from the beginning.
func (g *gatewayRun) listen() {
	for at := 0; ; at++ {
		entry, ok := g.r.log.get(g.ctx, at)
		if !ok {
			return
		}
		entry.tell(g.r.t, g.fleet)
		g.mu.Lock()
		close(g.advanced)
		g.advanced = make(chan struct{})
		g.mu.Unlock()
		g.pacer.Demand(entry.end)
	}
}

// kill ends the gateway where it stands and returns its partitions.
func (g *gatewayRun) kill() []*partition {
	g.stop()
	g.pacer.Stop()
	g.mu.Lock()
	lanes := g.lanes
	g.mu.Unlock()
	var parts []*partition
	for _, l := range lanes {
		l.member.GiveUp()
		parts = append(parts, l.p)
	}
	_ = g.group.Wait()
	for _, l := range lanes {
		l.member.Leave()
		l.session.Close()
	}
	return parts
}

// laneRun is a partition as long as a gateway reads it.
type laneRun struct {
	g        *gatewayRun
	p        *partition
	rng      *rand.Rand
	session  *rules.Session
	shard    *pipeline.Shard
	member   *pipeline.Member
	at       int
	finished atomic.Bool
}

func (l *laneRun) muted() bool { return l.at < l.p.committed }

func (l *laneRun) tick(end int64) {
	l.shard.Reset()
	l.shard.Tick(end, l.muted())
	l.g.r.told.take(l.shard)
}

func (l *laneRun) idle(_ context.Context, end int64) error {
	l.tick(end)
	return nil
}

func (l *laneRun) run() error {
	for l.at < len(l.p.records) {
		for range l.rng.IntN(20) {
			runtime.Gosched()
		}
		if err := l.batch(1 + l.rng.IntN(1+l.rng.IntN(200))); err != nil {
			if errors.Is(err, pipeline.ErrGivenUp) || l.g.ctx.Err() != nil {
				return nil
			}
			return err
		}
		if l.rng.IntN(3) == 0 && l.at > l.p.committed {
			l.p.committed = l.at
		}
		if l.g.r.keepState && l.at == l.p.committed && l.rng.IntN(4) == 0 {
			kept, ok := l.shard.AppendSnapshot(nil)
			if !ok {
				return errors.New("the state cannot be kept")
			}
			l.p.state, l.p.stateAt = kept, l.at
		}
	}
	l.p.committed = l.at
	l.member.CaughtUp(math.MaxInt64)
	l.finished.Store(true)
	return nil
}

func (l *laneRun) batch(n int) error {
	if err := l.member.Enter(l.g.ctx); err != nil {
		return err
	}
	defer l.member.Exit()
	p := event.Partition{Prefix: "p", Topic: l.p.topic}
	for range min(n, len(l.p.records)-l.at) {
		rec := &l.p.records[l.at]
		if _, err := l.member.Pass(l.g.ctx, rec.Time*int64(time.Millisecond), l.tick); err != nil {
			return err
		}
		l.shard.Reset()
		l.shard.Process(&p, rec, l.muted())
		l.g.r.told.take(l.shard)
		l.at++
		l.g.r.read.Add(1)
	}
	return nil
}

// run reads everything.
func (r *reading) run(ctx context.Context) error {
	shares := make([][]*partition, r.gateways)
	for _, p := range r.parts {
		g := r.rng.IntN(r.gateways)
		shares[g] = append(shares[g], p)
	}
	if r.exchanged {
		var names []string
		for _, p := range r.parts {
			names = append(names, p.name)
		}
		r.log.expect(names)
	}
	var gateways []*gatewayRun
	for _, share := range shares {
		gateways = append(gateways, r.newGateway(ctx, share))
	}
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for range r.kills {
		for r.read.Load() < r.killAt && !allRead(gateways) {
			select {
			case <-poll.C:
			case <-ctx.Done():
				return r.stuck(gateways)
			}
		}
		victim := r.rng.IntN(len(gateways))
		parts := gateways[victim].kill()
		r.killAt = r.read.Load() + 1 + int64(r.rng.IntN(200))
		if r.exchanged && len(gateways) > 1 && r.rng.IntN(2) == 0 {
			gateways = slices.Delete(gateways, victim, victim+1)
			gateways[0].take(parts) // Another one takes them over.
			continue
		}
		gateways[victim] = r.newGateway(ctx, parts)
	}
	return r.finish(ctx, gateways)
}

// allRead reports whether nothing is left of any partition.
func allRead(gateways []*gatewayRun) bool {
	for _, g := range gateways {
		g.mu.Lock()
		lanes := g.lanes
		g.mu.Unlock()
		if slices.ContainsFunc(lanes, func(l *laneRun) bool { return !l.finished.Load() }) {
			return false
		}
	}
	return true
}

// finish waits until everything is read, and moves all partitions to the time of
// the last record.
func (r *reading) finish(ctx context.Context, gateways []*gatewayRun) error {
	last := r.latest - r.latest%fleet.StepLength
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for _, g := range gateways {
		g.mu.Lock()
		lanes := g.lanes
		g.mu.Unlock()
		for _, l := range lanes {
			for l.member.Ended() < last || !l.caughtUp() {
				select {
				case <-poll.C:
				case <-ctx.Done():
					return r.stuck(gateways)
				}
			}
		}
	}
	for _, g := range gateways {
		g.stop()
		g.pacer.Stop()
		if err := g.group.Wait(); err != nil {
			return err
		}
		for _, l := range g.lanes {
			l.tick(r.latest)
			l.member.Leave()
			l.session.Close()
		}
		g.verdicts.Close()
	}
	if r.exchanged {
		r.judgeLog()
	}
	return r.told.err
}

// judgeLog raises what the owner of the exchange does.
func (r *reading) judgeLog() {
	whole, verdicts := fleet.NewShared(fleet.DefaultConfig(), nil), r.detection.Rules.NewVerdicts()
	defer verdicts.Close()
	found := pipeline.NewShard(pipeline.DefaultShardConfig(), nil, nil)
	for _, entry := range r.log.entries {
		findings := entry.tell(r.t, whole)
		found.Reset()
		found.Raise(entry.end, func(emit func(*event.Event)) { verdicts.Raise(findings, emit) })
		r.told.take(found)
	}
}

func (r *reading) stuck(gateways []*gatewayRun) error {
	text := "nothing moves any more:"
	for i, g := range gateways {
		text += fmt.Sprintf(" gateway %d %+v, fleet closed %s awaits %v;", i, g.pacer.Status(), time.Unix(0, g.fleet.Closed()).UTC(), g.fleet.Awaited())
	}
	for _, g := range gateways {
		for _, l := range g.lanes {
			if !l.finished.Load() || l.member.Ended() < g.fleet.Closed() {
				text += fmt.Sprintf(" %s has ended %s and read %d of %d;", l.p.name, time.Unix(0, l.member.Ended()).UTC(), l.at, len(l.p.records))
			}
		}
		g.kill()
	}
	return errors.New(text)
}

func (l *laneRun) caughtUp() bool { return l.finished.Load() }

// exchangeLog is the topic of the exchange.
type exchangeLog struct {
	mu      sync.Mutex
	entries []logEntry
	changed chan struct{}
}

type logEntry struct {
	end        int64
	partitions []string // expected
	told       []loggedStep
	links      [][]byte // names
}

type loggedStep struct {
	fleet.Contribution
	bytes []byte
}

func (x *exchangeLog) expect(names []string) { x.add(logEntry{partitions: names}) }

func (x *exchangeLog) publish(end int64, told []fleet.Contribution, learned []*identity.Links) {
	e := logEntry{end: end}
	for _, l := range learned {
		e.links = append(e.links, l.AppendTo(nil))
	}
	for _, c := range told {
		s := loggedStep{Contribution: c}
		if c.Step != nil {
			s.bytes = fleet.AppendStep(nil, c.Step)
		}
		e.told = append(e.told, s)
	}
	x.add(e)
}

func (x *exchangeLog) add(e logEntry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.entries = append(x.entries, e)
	close(x.changed)
	x.changed = make(chan struct{})
}

func (x *exchangeLog) get(ctx context.Context, i int) (logEntry, bool) {
	for {
		x.mu.Lock()
		changed := x.changed
		if i < len(x.entries) {
			defer x.mu.Unlock()
			return x.entries[i], true
		}
		x.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return logEntry{}, false
		}
	}
}

func (e *logEntry) tell(t testing.TB, f *fleet.Fleet) []fleet.Finding {
	if e.partitions != nil {
		f.Expect(e.partitions)
		return nil
	}
	var told []fleet.Contribution
	for _, s := range e.told {
		c := fleet.Contribution{Partition: s.Partition, Rebuilt: s.Rebuilt}
		if s.bytes != nil {
			step, err := fleet.ParseStep(s.bytes)
			if err != nil {
				t.Error(err)
				return nil
			}
			c.Step = step
		}
		told = append(told, c)
	}
	for _, b := range e.links {
		l, err := identity.Read(b)
		if err != nil {
			t.Error(err)
			return nil
		}
		f.HearNames(e.end, l)
	}
	return f.Hear(e.end, told)
}
