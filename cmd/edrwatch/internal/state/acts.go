package state

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// actsName begins the keys of acts that are done, acts/ID, and says in which
// partition of the topic they are. The value is the time in milliseconds since
// 1970.
const actsName = "acts"

// keepActs is for how long it is remembered that an act is done.
const keepActs = 24 * time.Hour

// Acts remembers on the topic which acts are done. It implements
// respond.Journal: gateways that share the topic know each other's acts.
type Acts struct {
	s   *Store
	now func() time.Time

	turn chan struct{} // to read: a lock that a context can give up waiting for
	at   int64         // offset of the record to be read next; whoever has turn owns it

	mu   sync.Mutex
	done map[string]int64
}

// Acts returns the memory of acts; it reads nothing yet.
func (s *Store) Acts(now func() time.Time) *Acts {
	return &Acts{s: s, now: now, turn: make(chan struct{}, 1), done: map[string]int64{}}
}

// Done implements respond.Journal. It reads what was added to the topic since
// the last call, by whomever. What a call that ends early has read is kept.
func (a *Acts) Done(ctx context.Context, ids []string) ([]string, error) {
	err := a.read(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	var done []string
	for _, id := range ids {
		if _, ok := a.done[id]; ok {
			done = append(done, id)
		}
	}
	return done, err
}

func (a *Acts) read(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	at, err := a.s.locate(ctx, actsName)
	if err != nil {
		return fmt.Errorf("state: reading topic %s: %w", a.s.cfg.Topic, err)
	}
	if a.at > at.last { // The topic was deleted and created again.
		a.at = 0
	}
	at.first = max(at.first, a.at)
	err = a.s.scan(ctx, at, func(record *kafkago.Message) {
		a.at = record.Offset + 1
		a.addRecord(record)
	})
	if err != nil {
		return fmt.Errorf("state: reading topic %s: %w", a.s.cfg.Topic, err)
	}
	a.at = at.last // What is missing there was compacted away.
	return nil
}

func (a *Acts) addRecord(record *kafkago.Message) {
	id, ok := strings.CutPrefix(string(record.Key), actsName+"/")
	if !ok || strings.Contains(id, "/") {
		return // A chunk of a snapshot.
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(record.Value) == 0 {
		delete(a.done, id)
		return
	}
	if at, err := strconv.ParseInt(string(record.Value), 10, 64); err == nil {
		a.done[id] = at
	}
}

// RecordDone implements respond.Journal. What was noted too long ago goes.
func (a *Acts) RecordDone(ctx context.Context, id string) error {
	now := a.now().UnixMilli()
	messages := []kafkago.Message{{Key: []byte(actsName + "/" + id), Value: strconv.AppendInt(nil, now, 10)}}
	a.mu.Lock()
	for old, at := range a.done {
		if now-at > keepActs.Milliseconds() {
			delete(a.done, old)
			messages = append(messages, kafkago.Message{Key: []byte(actsName + "/" + old)})
		}
	}
	a.done[id] = now
	a.mu.Unlock()
	if err := a.s.writer.WriteMessages(ctx, messages...); err != nil {
		return fmt.Errorf("state: writing to topic %s: %w", a.s.cfg.Topic, err)
	}
	return nil
}
