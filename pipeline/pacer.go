package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// PacerConfig says how partitions are judged in step.
type PacerConfig struct {
	// Step is the time of the log that is judged at once.
	Step time.Duration
	// MaxHold is for how long, by the gateway's clock, a partition with lag of
	// which nothing comes holds the others.
	MaxHold time.Duration
	// Shared says that other gateways have partitions, too: long gaps without a
	// record are not passed over, because they may have some, and a step is closed
	// again when a partition comes meanwhile, for which the others may wait.
	Shared bool
	// Close judges a step, and returns when what was found is delivered. Until it
	// returns nobody judges a record of the next step. An error ends nothing: the
	// step counts as closed.
	Close  func(ctx context.Context, c Closing) error
	Logger *slog.Logger
	Now    func() time.Time // default time.Now
}

// Closing is a step that is to be judged.
type Closing struct {
	End   int64    // nanoseconds since 1970
	Ended []string // the partitions that have ended it
	Left  []string // those that have not, and are not waited for
}

// Partial reports whether a partition was not waited for.
func (c *Closing) Partial() bool { return len(c.Left) > 0 }

// Pacer lets the partitions of a gateway be judged in step by the time of the
// log: a record of a step is judged when no partition has one of the step before
// left, however fast each is read. It is safe for concurrent use.
type Pacer struct {
	cfg PacerConfig

	mu      sync.Mutex
	steps   steps
	target  int64 // where in the log somebody stands, or has read ahead: a beginning of a step
	members []*Member
	closing bool
	abort   context.CancelFunc // of the closing of a step; nil where it cannot be given up
	changed chan struct{}      // closed when something that is waited for changes
	timer   *time.Timer        // looks after those that hold the others
	ctx     context.Context
	stop    context.CancelFunc
}

// NewPacer returns a pacer without partitions.
func NewPacer(cfg PacerConfig) *Pacer {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Pacer{cfg: cfg, steps: steps{length: int64(cfg.Step)}, changed: make(chan struct{}), ctx: ctx, stop: stop}
}

// Stop gives up what is being closed. No partition is judged afterwards.
func (p *Pacer) Stop() {
	p.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
}

// Join adds a partition, which holds the others until it is known where in the
// log it stands. Tick moves it to the end of a step that it has no record of,
// while it handles nothing.
func (p *Pacer) Join(name string, tick func(ctx context.Context, end int64) error) *Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &Member{pacer: p, name: name, tick: tick, moved: p.cfg.Now(), holding: make(chan struct{})}
	m.ctx, m.cancel = context.WithCancel(p.ctx)
	if p.abort != nil {
		p.abort()
	}
	p.members = append(p.members, m)
	slices.SortFunc(p.members, func(a, b *Member) int { return cmp.Compare(a.name, b.name) })
	return m
}

// Demand says that another gateway stands at a time of the log, nanoseconds
// since 1970: the partitions of this one that have nothing left until then go
// there.
func (p *Pacer) Demand(at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.demand(p.steps.floor(at))
	p.look()
}

func (p *Pacer) demand(beginning int64) {
	if beginning > p.target {
		p.target = beginning
		p.signal()
	}
}

// signal wakes all that wait.
func (p *Pacer) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// look closes the next step if it can be.
func (p *Pacer) look() {
	if p.closing || len(p.members) == 0 || p.ctx.Err() != nil {
		return
	}
	if p.steps.closed == 0 && !p.begin() {
		p.watch()
		return
	}
	for _, m := range p.members {
		m.follow()
	}
	end := p.steps.next()
	if end > p.target {
		return // Nobody is there yet.
	}
	for _, m := range p.members {
		if m.holds(end) {
			p.watch()
			return
		}
	}
	p.closing = true
	go p.close(end)
}

// begin finds the first step, when it is known where all partitions stand.
func (p *Pacer) begin() bool {
	first := int64(0)
	for _, m := range p.members {
		at := m.at // Where kept state ends.
		if at == 0 && m.waiting {
			at = m.next
		}
		if at > 0 && !m.left && (first == 0 || at < first) {
			first = at
		}
	}
	if first == 0 && p.cfg.Shared {
		first = p.target // Nothing is here; the others have come so far.
	}
	if first == 0 {
		return false
	}
	for _, m := range p.members {
		if m.at == 0 && m.holds(first) && !m.waiting {
			return false
		}
	}
	p.steps.begin(first)
	if p.cfg.Shared {
		// The others have to know that nothing was before.
		p.steps.closed -= p.steps.length
	}
	p.signal()
	return true
}

// close ends a step: those that have nothing left are moved to its end, it is
// judged, and all go on.
func (p *Pacer) close(end int64) {
	p.mu.Lock()
	members := slices.Clone(p.members)
	p.mu.Unlock()
	var group errgroup.Group
	for _, m := range members {
		group.Go(func() error {
			if err := m.end(end); err != nil {
				return fmt.Errorf("partition %s: %w", m.name, err)
			}
			return nil
		})
	}
	err := group.Wait()
	c, ctx, done := p.prepare(end, members)
	err = errors.Join(err, p.cfg.Close(ctx, c))
	aborted := ctx.Err() != nil && p.ctx.Err() == nil
	done()
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrGivenUp) && !errors.Is(err, context.Canceled) {
		p.cfg.Logger.Warn("a step of the fleet was closed with an error", "end", time.Unix(0, end).UTC(), "error", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing, p.abort = false, nil
	if !aborted {
		p.steps.close(p.upcoming(end))
	}
	p.signal()
	p.look()
}

// prepare says who has ended a step.
func (p *Pacer) prepare(end int64, members []*Member) (Closing, context.Context, context.CancelFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Closing{End: end}
	for _, m := range members {
		switch {
		case m.gone:
		case m.at >= end:
			c.Ended = append(c.Ended, m.name)
		case m.left:
			c.Left = append(c.Left, m.name)
		}
	}
	ctx, cancel := context.WithCancel(p.ctx)
	if p.cfg.Shared {
		p.abort = cancel
		if len(p.members) > len(members) {
			cancel() // Somebody came meanwhile.
		}
	}
	return c, ctx, cancel
}

// upcoming is the beginning of the first step after one of which a record is
// known.
func (p *Pacer) upcoming(end int64) int64 {
	if p.cfg.Shared {
		return end
	}
	first := p.target
	for _, m := range p.members {
		if m.waiting && m.next >= end {
			first = min(first, m.next)
		}
	}
	return first
}

// watch makes sure that somebody looks when a partition that holds the others
// has done so for too long.
func (p *Pacer) watch() {
	for _, m := range p.members {
		if m.holds(p.steps.next()) && !m.waiting {
			m.hold()
			break // The one by one: what it needs beyond the budget is bounded.
		}
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(p.cfg.MaxHold, p.lookAtHolders)
	}
}

// lookAtHolders goes on without partitions that have held the others for too
// long.
func (p *Pacer) lookAtHolders() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	if p.ctx.Err() != nil {
		return
	}
	waited := slices.ContainsFunc(p.members, func(m *Member) bool { return m.waiting })
	now, next, wait := p.cfg.Now(), p.steps.next(), p.cfg.MaxHold
	for _, m := range p.members {
		if !waited || m.waiting || !m.holds(next) {
			continue
		}
		if rest := p.cfg.MaxHold - now.Sub(m.moved); rest > 0 {
			wait = min(wait, rest)
			continue
		}
		m.left = true
		p.signal()
		p.cfg.Logger.Warn("a partition stands still with records left; the fleet is judged without it, and alerts say so, until it is back",
			"partition", m.name, "since", m.moved.UTC(), "max_hold", p.cfg.MaxHold)
	}
	p.look()
	if p.timer == nil && waited {
		p.timer = time.AfterFunc(max(wait, time.Millisecond), p.lookAtHolders)
	}
}

// PaceStatus shows how far the fleet is judged and what it waits for.
type PaceStatus struct {
	// Closed is the end of the last step that was judged; zero before.
	Closed time.Time
	// Target is how far records have been read.
	Target time.Time
	// Holding are the partitions that the next step waits for, while somebody
	// waits; Left those that it does not wait for any more.
	Holding, Left []string
}

// Status is safe to call at any time.
func (p *Pacer) Status() PaceStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	var s PaceStatus
	if p.steps.closed > 0 {
		s.Closed = time.Unix(0, p.steps.closed).UTC()
	}
	if p.target > 0 {
		s.Target = time.Unix(0, p.target).UTC()
	}
	waited := slices.ContainsFunc(p.members, func(m *Member) bool { return m.waiting })
	for _, m := range p.members {
		switch {
		case m.left:
			s.Left = append(s.Left, m.name)
		case waited && !m.waiting && m.holds(p.steps.next()):
			s.Holding = append(s.Holding, m.name)
		}
	}
	return s
}
