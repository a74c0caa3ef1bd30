package kafka

import (
	"context"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// begin finds the offset to read from, trying until ctx ends; false means that
// it did.
func (p *partition) begin(ctx context.Context) bool {
	wait := newBackoff()
	var failed time.Time
	for ctx.Err() == nil {
		err := p.locate(ctx, failed)
		if err == nil {
			p.source.health.set(p.name(), nil)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		failed = time.Now()
		p.source.health.set(p.name(), p.source.cfg.explain(fmt.Errorf("finding the offset to begin at for %s: %w", p.name(), err)))
		wait.sleep(ctx)
	}
	return false
}

// locate sets position and committed. A partition that nobody committed for
// begins where the configuration says, and that is committed at once, lest
// records that come before the first commit get lost under "latest".
func (p *partition) locate(ctx context.Context, failed time.Time) error {
	s := p.source
	horizon := time.Duration(0)
	if s.horizon != nil {
		horizon = min(s.horizon(), s.cfg.MaxRewind)
	}
	if p.committed >= 0 && !p.resumed && (horizon <= 0 || p.committed == 0) {
		p.position = p.committed
		p.acked.Store(p.position)
		return nil
	}
	w, err := s.cluster.dialLeader(ctx, p.topic, p.number, failed)
	if err != nil {
		return err
	}
	defer w.close()
	if p.committed < 0 {
		from := int64(kafkago.FirstOffset)
		if s.cfg.Start == "latest" {
			from = kafkago.LastOffset
		}
		if p.position, err = w.listOffset(ctx, p.topic, p.number, from, 0); err != nil {
			return err
		}
		p.committed = p.position
		p.commitable.Store(p.position)
		p.acked.Store(p.position)
		p.commit()
		s.logger.Info("beginning a partition without a committed offset", "topic", p.topic, "partition", p.number, "start", s.cfg.Start, "offset", p.position)
		return nil
	}
	if p.resumed {
		return p.goOn(ctx, w)
	}
	start, err := p.rewound(ctx, w, horizon)
	if err != nil {
		return err
	}
	p.position = start
	p.acked.Store(p.position)
	if start < p.committed {
		s.logger.Info("reading again to rebuild state", "topic", p.topic, "partition", p.number,
			"from", start, "committed", p.committed, "horizon", horizon)
	}
	return nil
}

// goOn sets position to where the worker's kept state ends. What retention has
// taken since was acknowledged, and is missing from the state alone.
func (p *partition) goOn(ctx context.Context, w *wire) error {
	first, err := w.listOffset(ctx, p.topic, p.number, kafkago.FirstOffset, 0)
	if err != nil {
		return err
	}
	p.position = min(max(p.resume, first), p.committed)
	p.acked.Store(p.position)
	p.source.logger.Info("going on from kept state", "topic", p.topic, "partition", p.number, "from", p.position, "kept", p.resume, "committed", p.committed)
	return nil
}

// rewound returns the offset from which state is rebuilt: that of the first
// record of the horizon before the last committed one.
func (p *partition) rewound(ctx context.Context, w *wire, horizon time.Duration) (int64, error) {
	fr, err := p.source.fetch(ctx, w, fetchOf{p.topic, p.number, p.committed - 1, 1, p.source.cfg.FetchMaxWait}, p.waitedFor)
	if err != nil {
		return 0, err
	}
	defer p.release(fr)
	if fr.code == int16(kafkago.OffsetOutOfRange) {
		return p.committed, nil // gone by retention: nothing to rebuild from
	}
	if fr.code != 0 {
		return 0, kafkago.Error(fr.code)
	}
	last := int64(0)
	for records := fr.records; len(records) > 0; {
		h, _, rest, _ := nextBatch(records)
		if h.last >= p.committed-1 {
			// The first record's time is a little early, which rebuilds a little more.
			if last = h.firstTime; h.logAppendTime() {
				last = h.maxTS
			}
			break
		}
		records = rest
	}
	if last <= 0 {
		return p.committed, nil
	}
	start, err := w.listOffset(ctx, p.topic, p.number, max(last-horizon.Milliseconds(), 0), 0)
	if err != nil {
		return 0, err
	}
	if start < 0 || start > p.committed {
		return p.committed, nil
	}
	return start, nil
}
