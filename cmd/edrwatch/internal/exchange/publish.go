package exchange

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// queueLength bounds the steps that wait for a broker: an hour of them.
const queueLength = 360

// flushWithin is how long the last steps may take when the gateway stops.
const flushWithin = 3 * time.Second

// Publish sends a step to all gateways, as soon as a broker takes it. It does
// not block: when too many wait, the oldest goes, and is counted.
func (e *Exchange) Publish(step *fleet.Step) {
	value, err := encode(step)
	if err != nil {
		e.steps.WithLabelValues("lost").Inc()
		e.log.Warn("a step is lost to the fleet", "error", err)
		return
	}
	for {
		select {
		case e.queue <- value:
			e.waiting.Add(1)
			return
		default:
		}
		select {
		case <-e.queue:
			e.waiting.Add(-1)
			e.steps.WithLabelValues("lost").Inc()
		default:
		}
	}
}

// Waiting is how many steps no broker has yet.
func (e *Exchange) Waiting() int { return int(e.waiting.Load()) }

// publish writes the steps in their order, each until a broker has it, and at
// the end that the gateway leaves.
func (e *Exchange) publish(ctx context.Context) {
	for {
		select {
		case value := <-e.queue:
			if e.send(ctx, value) {
				e.waiting.Add(-1)
				continue
			}
			e.flush(value)
			return
		case <-ctx.Done():
			e.flush()
			return
		}
	}
}

// flush sends what is left when the gateway stops.
func (e *Exchange) flush(first ...[]byte) {
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	for left := first; ; left = nil {
		select {
		case value := <-e.queue:
			left = append(left, value)
		default:
			if len(left) == 0 {
				e.send(ctx, []byte(leaving))
				return
			}
		}
		for _, value := range left {
			if !e.send(ctx, value) {
				e.steps.WithLabelValues("lost").Add(float64(1 + len(e.queue)))
				return
			}
		}
	}
}

// send writes one value until a broker has it; false when ctx ended before. A
// value that no broker will take is lost.
func (e *Exchange) send(ctx context.Context, value []byte) bool {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := e.writer.WriteMessages(ctx, kafkago.Message{Key: []byte(e.gateway), Value: value})
		if err == nil {
			e.setProblem("publishing", nil)
			if string(value) != leaving {
				e.steps.WithLabelValues("published").Inc()
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		e.setProblem("publishing", err)
		if errors.As(err, new(kafkago.MessageTooLargeError)) || errors.Is(err, kafkago.MessageSizeTooLarge) || errors.Is(err, kafkago.InvalidRecord) {
			e.steps.WithLabelValues("lost").Inc()
			return true
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// onePartition writes everything to partition 0, which keeps it in order.
type onePartition struct{}

func (onePartition) Balance(_ kafkago.Message, partitions ...int) int { return partitions[0] }
