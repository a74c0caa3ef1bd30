package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrGivenUp is returned by what waits for other partitions when its own is
// given up.
var ErrGivenUp = errors.New("the partition is given up")

// Member is one partition at a Pacer.
type Member struct {
	pacer *Pacer
	name  string
	tick  func(ctx context.Context, end int64) error

	// Guarded by the pacer's mutex.
	at      int64     // end of the last step that it has ended; 0 before the first
	next    int64     // beginning of the step of the record that it waits with
	waiting bool      // for a step to be closed
	free    int64     // nothing is left of it up to here
	busy    bool      // a record came since that was not judged yet
	moved   time.Time // when it last did something
	left    bool      // nobody waits for it
	gone    bool      // it was given up
	// A partition handles its records, or is moved to the end of a step without
	// any: not both at the same time.
	handling, ticking bool
	holding           chan struct{} // closed while others wait for it
	ctx               context.Context
	cancel            context.CancelFunc
}

// holds reports whether a step that ends at end cannot be closed because of the
// partition.
func (m *Member) holds(end int64) bool {
	return !m.left && m.at < end && (m.busy || m.free < end)
}

// hold tells the partition that others wait for it.
func (m *Member) hold() {
	select {
	case <-m.holding:
	default:
		close(m.holding)
	}
}

// progress notes that the partition has done something.
func (m *Member) progress() {
	m.moved = m.pacer.cfg.Now()
	select {
	case <-m.holding:
		m.holding = make(chan struct{})
	default:
	}
	if m.left && m.at >= m.pacer.steps.closed {
		m.left = false
		m.pacer.cfg.Logger.Info("a partition is back and waited for again", "partition", m.name)
	}
}

// Enter begins a batch; Exit ends it.
func (m *Member) Enter(ctx context.Context) error {
	m.pacer.mu.Lock()
	defer m.pacer.mu.Unlock()
	m.busy, m.handling = true, true
	m.progress()
	return m.wait(ctx, func() bool { return !m.ticking })
}

// Exit ends what Enter began.
func (m *Member) Exit() {
	p := m.pacer
	p.mu.Lock()
	defer p.mu.Unlock()
	m.handling = false
	m.progress()
	p.signal()
	p.look()
}

// Restored says up to where kept state reaches that the partition goes on from,
// nanoseconds since 1970.
func (m *Member) Restored(at int64) {
	m.pacer.mu.Lock()
	defer m.pacer.mu.Unlock()
	m.at = m.pacer.steps.floor(at)
}

// Pass ends all steps before a record's, which comes next, and waits until they
// are closed. At is the broker's time of the record, nanoseconds since 1970; tick
// ends a step. It returns the end of the record's step, or ErrGivenUp when the
// partition is given up meanwhile. It is to be called between Enter and Exit.
func (m *Member) Pass(ctx context.Context, at int64, tick func(end int64)) (end int64, err error) {
	p := m.pacer
	p.mu.Lock()
	defer p.mu.Unlock()
	beginning := p.steps.floor(at)
	m.progress()
	defer func() { m.waiting = false }()
	p.demand(beginning)
	m.next = beginning
	if m.at == 0 {
		if err := m.place(ctx, beginning); err != nil {
			return 0, err
		}
	}
	for m.at < beginning {
		if !p.closing {
			p.steps.known(beginning)
		}
		end := min(p.steps.after(m.at), beginning)
		p.mu.Unlock()
		tick(end)
		p.mu.Lock()
		m.at = max(m.at, end)
		m.waiting = true
		p.signal()
		p.look()
		if err := m.wait(ctx, func() bool { return p.steps.closed >= m.at }); err != nil {
			return 0, err
		}
		m.waiting = false
		m.progress()
	}
	return beginning + p.steps.length, nil
}

// place finds the step that a partition begins with which has judged nothing.
func (m *Member) place(ctx context.Context, beginning int64) error {
	p := m.pacer
	if p.steps.closed == 0 {
		m.waiting = true
		p.look()
		if err := m.wait(ctx, func() bool { return p.steps.closed > 0 }); err != nil {
			return err
		}
		m.waiting = false
	}
	m.at = min(beginning, p.steps.closed)
	return nil
}

// wait waits until something holds; the mutex is released meanwhile.
func (m *Member) wait(ctx context.Context, until func() bool) error {
	p := m.pacer
	for !until() {
		if m.gone {
			return ErrGivenUp
		}
		changed := p.changed
		p.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		case <-p.ctx.Done():
			err = ErrGivenUp
		}
		p.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// end moves the partition to the end of a step, where it has not ended it by
// itself.
func (m *Member) end(end int64) error {
	p := m.pacer
	p.mu.Lock()
	defer p.mu.Unlock()
	err := m.wait(p.ctx, func() bool { return m.at >= end || m.left || !m.handling })
	if err != nil || m.at >= end || m.left {
		return err
	}
	m.ticking = true
	p.mu.Unlock()
	err = m.tick(m.ctx, end)
	p.mu.Lock()
	m.ticking = false
	m.at = max(m.at, end)
	p.signal()
	return err
}

// Asked returns how far in the log somebody stands: to be called before the log
// is asked whether anything is left, for CaughtUp.
func (m *Member) Asked() int64 {
	m.pacer.mu.Lock()
	defer m.pacer.mu.Unlock()
	return m.pacer.target
}

// CaughtUp says that nothing was left in the partition's log when it was asked
// after Asked had returned asked, and that all before was judged.
func (m *Member) CaughtUp(asked int64) {
	p := m.pacer
	p.mu.Lock()
	defer p.mu.Unlock()
	m.busy = false
	m.free = max(m.free, asked)
	m.progress()
	p.look()
}

// Ahead says how far in the log the partition has been read ahead of what was
// judged, so that others can find out early whether they have anything left
// until then; nanoseconds since 1970.
func (m *Member) Ahead(at int64) {
	p := m.pacer
	p.mu.Lock()
	defer p.mu.Unlock()
	m.busy = true
	m.progress()
	p.demand(p.steps.floor(at))
	p.look()
}

// Waited reports whether another partition waits: then it is worth while to ask
// the log at once whether anything is left.
func (m *Member) Waited() bool {
	m.pacer.mu.Lock()
	defer m.pacer.mu.Unlock()
	return slices.ContainsFunc(m.pacer.members, func(o *Member) bool { return o != m && o.waiting })
}

// Holding returns a channel that is closed while others wait for the partition.
func (m *Member) Holding() <-chan struct{} {
	m.pacer.mu.Lock()
	defer m.pacer.mu.Unlock()
	return m.holding
}

// GiveUp lets Pass return: the partition will be given up.
func (m *Member) GiveUp() {
	m.pacer.mu.Lock()
	defer m.pacer.mu.Unlock()
	m.gone = true
	m.cancel()
	m.pacer.signal()
}

// Leave takes the partition out.
func (m *Member) Leave() {
	p := m.pacer
	p.mu.Lock()
	defer p.mu.Unlock()
	m.gone = true
	m.cancel()
	for m.ticking { // It gives up at once.
		changed := p.changed
		p.mu.Unlock()
		<-changed
		p.mu.Lock()
	}
	p.members = slices.DeleteFunc(p.members, func(o *Member) bool { return o == m })
	p.signal()
	p.look()
}
