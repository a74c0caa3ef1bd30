package identity

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/enrich"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Step is after how much of the shard's clock what it collected is handed on.
const Step = 10 * time.Second

// mostLinks is how many facts a shard hands on at a time.
const mostLinks = 1 << 15

// Identifier makes events say who they are about, and learns from them. It is
// shared by all shards; each works with a [ShardIdentifier] of its own.
type Identifier struct {
	registry *Registry
	enricher *enrich.Enricher
	deliver  func(at int64, l *Links)
	paced    atomic.Bool

	mu     sync.Mutex
	shards map[*ShardIdentifier]struct{}
	ended  []*Links // of shards that were closed, and not applied yet
}

// NewIdentifier returns one that fills events in from the registry and from the
// user's files. What a shard collected in a [Step] goes to deliver with the time
// at which the step ended, nanoseconds since 1970; nil applies it at once. The
// enricher may be nil.
func NewIdentifier(r *Registry, x *enrich.Enricher, deliver func(at int64, l *Links)) *Identifier {
	if deliver == nil {
		deliver = func(_ int64, l *Links) { r.Apply(l) }
	}
	return &Identifier{registry: r, enricher: x, deliver: deliver}
}

// Pace leaves it to [Identifier.CloseStep], or [Identifier.EndStep], to apply what shards collect. It is
// called before the first event.
func (x *Identifier) Pace() { x.paced.Store(true) }

// CloseStep applies what all shards have collected, when all of them have ended a
// step and none has begun the next: so that what an event resolves to does not
// depend on how fast partitions are read.
func (x *Identifier) CloseStep() { x.registry.Apply(x.EndStep(mostLinks)...) }

// EndStep returns what all shards have collected, at most limit facts of each, for
// whoever applies it when the step is closed in all gateways. What a shard has
// more comes with the next step.
func (x *Identifier) EndStep(limit int) []*Links {
	x.mu.Lock()
	defer x.mu.Unlock()
	batches := x.ended
	x.ended = nil
	for s := range x.shards {
		if l, _ := s.rd.TakeLinks(limit); !l.Empty() {
			batches = append(batches, l)
		}
	}
	return batches
}

// ForShard returns what one shard works with.
func (x *Identifier) ForShard() *ShardIdentifier {
	s := &ShardIdentifier{x: x, rd: x.registry.Reader()}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.shards == nil {
		x.shards = map[*ShardIdentifier]struct{}{}
	}
	x.shards[s] = struct{}{}
	return s
}

// Process fills an event in and learns nothing. It implements
// pipeline.Processor for whoever has no shard, and allocates.
func (x *Identifier) Process(e *event.Event) {
	s := &ShardIdentifier{x: x, rd: x.registry.Reader()}
	defer s.rd.Close()
	s.event(e)
}

// ShardIdentifier belongs to one goroutine.
type ShardIdentifier struct {
	x    *Identifier
	rd   *Reader
	next int64 // when the step in progress ends
}

// Process fills an event in and learns from it. It allocates nothing but for what
// is new.
func (s *ShardIdentifier) Process(e *event.Event) {
	if e.Clock >= s.next && !s.x.paced.Load() {
		s.endStep(e.Clock)
	}
	s.event(e)
}

func (s *ShardIdentifier) endStep(now int64) {
	if s.next != 0 {
		if l, _ := s.rd.TakeLinks(mostLinks); !l.Empty() {
			s.x.deliver(s.next, l)
		}
	}
	s.next = now - now%int64(Step) + int64(Step)
}

func (s *ShardIdentifier) event(e *event.Event) {
	rd := s.rd
	rd.mu.Lock()
	defer rd.mu.Unlock()
	rd.resolve(e, e.Clock)
	rd.properties(e, s.x.enrich(e))
	rd.learn(e)
}

// enrich adds what the files say and returns by what each property was said.
func (x *Identifier) enrich(e *event.Event) origins {
	by := origins{ByRecord, ByRecord, ByRecord, ByRecord, ByRecord}
	if x.enricher == nil {
		return by
	}
	said := e.Has(ecs.EDRSite)
	for i, selector := range x.enricher.Enrich(e) {
		if selector != enrich.None {
			by[Site+Property(i)] = [...]Rank{enrich.ByNetwork: ByNetwork, enrich.ByTag: ByTag, enrich.ByName: ByName}[selector]
			said = said || i == 0
		}
	}
	if x.enricher.Egress(e); !said {
		by[Site] = ByNetwork
	}
	return by
}

// Close hands on what was collected and gives the reader back.
func (s *ShardIdentifier) Close() {
	l, _ := s.rd.TakeLinks(mostPending)
	s.rd.Close()
	s.x.mu.Lock()
	delete(s.x.shards, s)
	paced := s.x.paced.Load()
	if paced && !l.Empty() {
		s.x.ended = append(s.x.ended, l)
	}
	s.x.mu.Unlock()
	if !paced && !l.Empty() {
		s.x.deliver(s.next, l)
	}
}
