package splunk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// firstPoll is the pause before the first question; each further one doubles
// up to the configured interval.
const firstPoll = 250 * time.Millisecond

// ackable is an accepted part that no indexer has acknowledged yet.
type ackable struct {
	endpoint *endpoint
	id       int64
	part     part
}

// awaitAcks asks until all parts are acknowledged. What is not when patience
// ends stays pending and is sent again: an answer of "not yet" can also mean
// lost, and a positive one is given only once.
func (s *Sink) awaitAcks(ctx context.Context, waiting []ackable) error {
	var last error
	give := time.NewTimer(s.cfg.Ack.GiveUp)
	defer give.Stop()
	for pause := min(firstPoll, s.cfg.Ack.Interval); ; pause = min(2*pause, s.cfg.Ack.Interval) {
		next := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			next.Stop()
			return context.Cause(ctx)
		case <-give.C:
			next.Stop()
			return s.unacknowledged(waiting, last)
		case <-next.C:
		}
		waiting, last = s.pollAll(ctx, waiting)
		if len(waiting) == 0 {
			return nil
		}
		if f := fault.Of(last); f != nil && f.Class == fault.Operator && f.Reason == fault.Misconfigured {
			return last
		}
	}
}

func (s *Sink) unacknowledged(waiting []ackable, last error) error {
	if last != nil {
		return last
	}
	events := 0
	for _, w := range waiting {
		events += len(w.part.docs)
	}
	return fault.New(fault.Transient, fault.Unavailable, "%d events were not acknowledged by an indexer within %v", events, s.cfg.Ack.GiveUp)
}

// pollAll asks each collector once and returns what still waits.
func (s *Sink) pollAll(ctx context.Context, waiting []ackable) (still []ackable, last error) {
	for _, e := range s.client.endpoints {
		var mine []ackable
		for _, w := range waiting {
			if w.endpoint == e {
				mine = append(mine, w)
			}
		}
		if len(mine) == 0 {
			continue
		}
		acked, err := s.poll(ctx, e, mine)
		if err != nil {
			last = err
		}
		for _, w := range mine {
			if acked[w.id] {
				w.part.end(event.Result{Outcome: event.Indexed})
			} else {
				still = append(still, w)
			}
		}
	}
	return still, last
}

// poll asks one collector for acknowledgements.
func (s *Sink) poll(ctx context.Context, e *endpoint, waiting []ackable) (map[int64]bool, error) {
	question := struct {
		Acks []int64 `json:"acks"`
	}{}
	for _, w := range waiting {
		question.Acks = append(question.Acks, w.id)
	}
	body, err := json.Marshal(question)
	if err != nil {
		return nil, fmt.Errorf("asking for acknowledgements: %w", err)
	}
	a, err := s.client.post(ctx, e, "/services/collector/ack?channel="+e.channel, body, false, len(body))
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusOK {
		acked, err := decodeAcks(a.body)
		if err != nil {
			return nil, fault.New(fault.Transient, fault.Garbled, "reading acknowledgements: %w: %s", err, httpx.Excerpt(a.body))
		}
		return acked, nil
	}
	v := judge(a.status, a.header, a.body, time.Now())
	if v.action == noAck {
		if err := s.withoutAck(); err != nil {
			return nil, err
		}
		all := make(map[int64]bool, len(waiting))
		for _, w := range waiting {
			all[w.id] = true
		}
		return all, nil
	}
	if v.failure.Reason == fault.Unauthorized {
		s.client.refresh()
	}
	v.failure.Err = fmt.Errorf("asking for acknowledgements: %w", v.failure.Err)
	if v.failure.Class == fault.Permanent {
		// It is not about the events, which are with Splunk.
		v.failure.Class, v.failure.Reason = fault.Transient, fault.Garbled
	}
	return nil, v.failure
}

// decodeAcks reads {"acks":{"0":true,"1":false}}.
func decodeAcks(body []byte) (map[int64]bool, error) {
	var answer struct {
		Acks map[string]bool `json:"acks"`
	}
	if err := decodeOne(body, &answer); err != nil {
		return nil, err
	}
	if answer.Acks == nil {
		return nil, errors.New(`"acks" is missing`)
	}
	acked := make(map[int64]bool, len(answer.Acks))
	for text, is := range answer.Acks {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("expected the number of an acknowledgement, found %q", text)
		}
		acked[id] = is
	}
	return acked, nil
}

// withoutAck handles a token that does not acknowledge: an error when
// acknowledgement is required, else a warning, once, and no waiting any more.
func (s *Sink) withoutAck() error {
	if s.cfg.Ack.Required {
		return fault.New(fault.Operator, fault.Misconfigured, "the token does not acknowledge").
			WithHint("switch on indexer acknowledgement for the token, or set ack.required to false")
	}
	if s.acks.CompareAndSwap(true, false) {
		s.log.Warn("the token does not acknowledge; events count as written when the collector has accepted them",
			"setting", "ack.enabled")
	}
	return nil
}
