package fleetsync

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// queueLength bounds the messages that wait for a broker; batchLength those of
// one request. A gateway reports no step before the one before is closed, so
// that no more than a few wait.
const (
	queueLength = 256
	batchLength = 100
)

// flushWithin is how long the last messages may take when the gateway stops.
const flushWithin = 3 * time.Second

// enqueue sends a message to all gateways, as soon as a broker takes it.
func (e *Exchange) enqueue(ctx context.Context, value []byte) error {
	select {
	case e.queue <- value:
		e.waiting.Add(1)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Waiting is how many steps no broker has yet.
func (e *Exchange) Waiting() int { return int(e.waiting.Load()) }

// publish writes the steps in their order, each until a broker has it, and at
// the end that the gateway leaves.
func (e *Exchange) publish(ctx context.Context) {
	var batch [][]byte
	for {
		if len(batch) == 0 {
			select {
			case value := <-e.queue:
				batch = append(batch, value)
			case <-ctx.Done():
				e.flush(nil)
				return
			}
		}
		var next []byte
		batch, next = e.more(batch)
		if !e.send(ctx, batch) {
			if next != nil {
				batch = append(batch, next)
			}
			e.flush(batch)
			return
		}
		e.waiting.Add(-int64(len(batch)))
		if batch = batch[:0]; next != nil {
			batch = append(batch, next)
		}
	}
}

// more adds to a batch what waits, as far as one request takes it: written as
// two, the second could arrive without the first. What is next may be taken
// already.
func (e *Exchange) more(batch [][]byte) (_ [][]byte, next []byte) {
	size := 0
	for _, value := range batch {
		size += len(value)
	}
	for len(batch) < batchLength {
		select {
		case value := <-e.queue:
			if size += len(value); size > maxValue {
				return batch, value
			}
			batch = append(batch, value)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

// leaving says that the gateway stops.
var leaving = []byte{byte(leaves)}

// flush sends what is left when the gateway stops.
func (e *Exchange) flush(batch [][]byte) {
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	for {
		var next []byte
		if batch, next = e.more(batch); len(batch) == 0 {
			e.send(ctx, [][]byte{leaving})
			return
		}
		if !e.send(ctx, batch) {
			lost := len(batch) + len(e.queue)
			if next != nil {
				lost++
			}
			e.steps.WithLabelValues("lost").Add(float64(lost))
			return
		}
		if batch = nil; next != nil {
			batch = [][]byte{next}
		}
	}
}

// send writes values until a broker has them; false when ctx ended before. A
// value that no broker will take is lost.
func (e *Exchange) send(ctx context.Context, values [][]byte) bool {
	messages := make([]kafkago.Message, len(values))
	steps := 0
	for i, value := range values {
		messages[i] = kafkago.Message{Key: []byte(e.gateway), Value: value}
		if kind(value[0]) == tells {
			steps++
		}
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := e.writer.WriteMessages(ctx, messages...)
		if err == nil {
			e.setProblem("publishing", nil)
			e.steps.WithLabelValues("published").Add(float64(steps))
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		e.setProblem("publishing", err)
		if refused(err) {
			if len(values) == 1 {
				e.steps.WithLabelValues("lost").Inc()
				return true
			}
			for i := range values {
				// One of them is too large; steps that arrive twice count once.
				if !e.send(ctx, values[i:i+1]) {
					return false
				}
			}
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

// refused reports whether no broker will ever take what was written.
func refused(err error) bool {
	var each kafkago.WriteErrors
	if errors.As(err, &each) {
		return slices.ContainsFunc(each, func(err error) bool { return err != nil && refused(err) })
	}
	return errors.As(err, new(kafkago.MessageTooLargeError)) || errors.Is(err, kafkago.MessageSizeTooLarge) || errors.Is(err, kafkago.InvalidRecord)
}

// onePartition writes everything to partition 0, which keeps it in order.
type onePartition struct{}

func (onePartition) Balance(_ kafkago.Message, partitions ...int) int { return partitions[0] }
