package fleetsync

import (
	"context"
	"errors"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// listenPause is the pause after the brokers refused to be listened to.
const listenPause = 2 * time.Second

// listen hears the steps of all gateways: from what a judge kept on, or from
// Replay before now.
func (e *Exchange) listen(ctx context.Context) {
	next, from := int64(-1), e.now().Add(-e.cfg.Replay)
	if e.kept != nil {
		if offset, ok := e.kept(ctx, e.fleet.Restore); ok {
			next = offset
		}
	}
	for ctx.Err() == nil {
		reader := kafkago.NewReader(kafkago.ReaderConfig{
			Brokers: e.cfg.Brokers, Topic: e.cfg.Topic, Partition: 0, Dialer: e.dialer, MinBytes: 1, MaxBytes: 4 << 20, MaxWait: time.Second,
			QueueCapacity: 16, IsolationLevel: kafkago.ReadCommitted, OffsetOutOfRangeError: true,
		})
		err := errors.Join(e.read(ctx, reader, &next, from), reader.Close())
		if ctx.Err() != nil {
			return
		}
		e.setProblem("listening", err)
		if errors.Is(err, kafkago.OffsetOutOfRange) {
			next = -1 // Retention, or a topic that was made again, took it.
		}
		timer := time.NewTimer(listenPause)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// read hears records until one cannot be read, and returns why.
func (e *Exchange) read(ctx context.Context, reader *kafkago.Reader, next *int64, from time.Time) error {
	var err error
	if *next >= 0 {
		err = reader.SetOffset(*next)
	} else {
		err = reader.SetOffsetAt(ctx, from)
	}
	if err != nil {
		return err
	}
	for {
		record, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		*next = record.Offset + 1
		e.setProblem("listening", nil)
		m, err := parse(record.Key, record.Value)
		if err != nil {
			// The owner of the partition puts it into the dead letter.
			e.log.Warn("a record of the exchange is not heard", "offset", record.Offset, "error", err)
			continue
		}
		e.hear(m)
	}
}
