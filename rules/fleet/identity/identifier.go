package identity

import (
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
	paced    bool
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

// Pace leaves it to others to hand on what shards collect: by
// [ShardIdentifier.TakeLinks], when a step is closed for all partitions. It is
// called before the first shard.
func (x *Identifier) Pace() { x.paced = true }

// ForShard returns what one shard works with.
func (x *Identifier) ForShard() *ShardIdentifier {
	return &ShardIdentifier{x: x, rd: x.registry.Reader()}
}

// Process fills an event in and learns nothing. It implements
// pipeline.Processor for whoever has no shard, and allocates.
func (x *Identifier) Process(e *event.Event) {
	s := x.ForShard()
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
	if e.Clock >= s.next && !s.x.paced {
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

// TakeLinks returns what was collected since the last call, as that of [Reader].
func (s *ShardIdentifier) TakeLinks(limit int) (l *Links, left int) { return s.rd.TakeLinks(limit) }

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

// Close hands on what was collected, unless others do, and gives the reader back.
func (s *ShardIdentifier) Close() {
	if l, _ := s.rd.TakeLinks(mostPending); !l.Empty() && !s.x.paced {
		s.x.deliver(s.next, l)
	}
	s.rd.Close()
}
