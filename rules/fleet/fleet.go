package fleet

import (
	"sync"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// Fleet brings the steps of all shards of a gateway before one Judge. Where
// several gateways share the partitions each publishes the steps of its shards,
// and hears those of all. It is safe for concurrent use.
type Fleet struct {
	cfg      Config
	now      func() time.Time
	publish  func(*Step) // nil: the shards here are the whole fleet

	mu        sync.Mutex
	judge     *Judge
	shards    *collector
	gateways  *collector
	rosters   map[Roster]struct{}
	names     *identity.Registry       // nil: none
	inbox     map[*Shard][][]HostEvent // what waits for shards
	knowledge *knowledge               // as counted last
	counted   time.Time                // when
	latest    int64                    // end of the latest step of a shard here
	heard     int64                    // the latest record of the exchange, nanoseconds since 1970
	told      time.Time                // when it was announced last that steps will come

	informing sync.Mutex        // of what follows
	informed  map[uint64]uint32 // fingerprint of what Part and Changed returned last, by Hash of the agent
}

// Shards and gateways of which nothing came for so long are not waited for. A
// shard's steps come when its records do; a gateway's, every ten seconds.
const (
	idleShard   = 5 * time.Second
	idleGateway = 15 * time.Second
	goneGateway = 10 * time.Minute
	// announceEvery is how often a gateway says that it is not ready yet.
	announceEvery = 5 * time.Second
)

// New returns a fleet without shards. Now is the gateway's clock, which tells a
// slow partition from an idle one and nothing else; nil for a replay, whose
// findings depend on its records alone.
func New(cfg Config, now func() time.Time) *Fleet {
	return &Fleet{cfg: cfg.withDefaults(), now: now, judge: newJudge(cfg, now == nil), shards: newCollector(idleShard), gateways: newCollector(idleGateway), rosters: map[Roster]struct{}{},
		inbox: map[*Shard][][]HostEvent{}}
}

// NewMember returns the part of a gateway in a fleet of several. The steps of
// its shards go to publish, which must not block and may keep them, and the
// judge only learns what Hear is told.
func NewMember(cfg Config, now func() time.Time, publish func(*Step)) *Fleet {
	f := New(cfg, now)
	f.publish = publish
	return f
}

// Shard returns a new shard of the fleet; Leave takes it out again.
func (f *Fleet) Shard() *Shard {
	s := NewShard(f.cfg)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shards.join(s)
	f.announce()
	return s
}

// announce tells the other gateways that this one has partitions and will tell
// what their agents do, so that its first step is waited for: while it reads
// records again it makes none, and the others may be far ahead by then. It is a
// step without an end.
func (f *Fleet) announce() {
	if f.publish == nil {
		return
	}
	if now := f.clock(); now.IsZero() || now.Sub(f.told) >= announceEvery {
		f.told = now
		f.publish(&Step{})
	}
}

// Begin says that the first record came to a shard: its first step is waited
// for, because partitions do not begin to be read at the same moment.
func (f *Fleet) Begin(s *Shard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.shards.members[s]; m != nil {
		m.seen = f.clock()
	}
}

// Leave takes a shard out whose partition is given up.
func (f *Fleet) Leave(s *Shard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shards.leave(s)
	delete(f.inbox, s)
}

// Take adds a step of a shard and judges the steps that all shards have made.
// Rebuilt says that the step is of records that were judged before and are
// read again, so that the shard knows its agents; of these only what was not
// told already counts.
func (f *Fleet) Take(s *Shard, step *Step, rebuilt bool) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = max(f.latest, step.At)
	m := f.shards.members[s]
	if m == nil {
		return nil
	}
	if rebuilt && (f.publish != nil || step.At <= m.joined) {
		m.seen = f.clock() // It will tell what the others tell now, and is waited for.
		f.announce()
		return nil
	}
	if f.publish == nil { // Else it is heard from the exchange, like the others'.
		f.deliver(s, step)
	}
	merged := f.shards.take(s, m, step, f.clock())
	if f.publish == nil {
		return f.judgeAll(merged)
	}
	for _, whole := range merged {
		f.publish(whole)
	}
	return nil
}

// clock is the gateway's, zero in a replay.
func (f *Fleet) clock() time.Time {
	if f.now == nil {
		return time.Time{}
	}
	return f.now()
}

// Hear adds a step that a gateway published, in the order of the exchange, and
// judges the steps that all gateways have made. At is the time of the record,
// nanoseconds since 1970: what is found depends on the records alone. A step
// that was published twice counts once; one without an end announces a gateway.
func (f *Fleet) Hear(gateway string, step *Step, at int64) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = max(f.heard, at)
	now := time.Unix(0, f.heard)
	m := f.gateways.members[gateway]
	if m == nil {
		f.gateways.forget(now.Add(-goneGateway))
		m = f.gateways.join(gateway)
	}
	if step.At == 0 {
		m.seen = now // It is there, and waited for as long as for one that is slow.
		return nil
	}
	if step.At <= m.at {
		return nil
	}
	f.deliver(nil, step)
	return f.judgeAll(f.gateways.take(gateway, m, step, now))
}

// Depart takes a gateway out that says it leaves, and judges what only its next
// step was waited for.
func (f *Fleet) Depart(gateway string) []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gateways.leave(gateway)
	return f.judgeAll(f.gateways.due(time.Unix(0, f.heard)))
}

// WaitFor says how long a gateway of which nothing comes is waited for; 15 s
// where it does not.
func (f *Fleet) WaitFor(idle time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gateways.idle = idle
}

func (f *Fleet) judgeAll(steps []*Step) []Finding {
	var findings []Finding
	for _, step := range steps {
		findings = append(findings, f.judge.Take(step)...)
	}
	return findings
}

// Dark reports whether the agent's site is known to be dark. An agent of which
// no site is known is taken to be of one that lost its agents when it was lost.
func (f *Fleet) Dark(a *Agent) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.Site != "" {
		return f.judge.SiteDark(a.Site)
	}
	return f.judge.lostWithSite(a.LastSeen, a.cadence)
}
