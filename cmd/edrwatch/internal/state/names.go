package state

import (
	"context"
	"fmt"
	"iter"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// namesName begins the keys of what is known of agents' names, names/KEY, and
// says in which partition of the topic they are.
const namesName = "names"

// Registry is what a gateway knows of the names of agents.
type Registry interface {
	// Absorb applies what a registry exported.
	Absorb(value []byte) error
	// Export returns what has changed since an earlier export; nil values are
	// of what was forgotten.
	Export(since uint32) (next uint32, entries iter.Seq2[string, []byte])
}

// Names keeps what is known of agents' names on the topic: gateways that share it
// know each other's, and a gateway that restarts its own. It is for one goroutine.
type Names struct {
	s        *Store
	registry Registry
	at       int64  // offset of the record to be read next
	since    uint32 // of the last export that was written
}

// Names returns the keeper of a registry; it reads nothing yet.
func (s *Store) Names(registry Registry) *Names { return &Names{s: s, registry: registry} }

// Load reads what was added to the topic since the last call, by whomever.
func (n *Names) Load(ctx context.Context) error {
	at, err := n.s.locate(ctx, namesName)
	if err != nil {
		return fmt.Errorf("state: reading topic %s: %w", n.s.cfg.Topic, err)
	}
	if n.at > at.last { // The topic was deleted and created again.
		n.at = 0
	}
	at.first = max(at.first, n.at)
	refused := 0
	err = n.s.scan(ctx, at, func(record *kafkago.Message) {
		n.at = record.Offset + 1
		if prefix := namesName + "/"; len(record.Key) <= len(prefix) || string(record.Key[:len(prefix)]) != prefix {
			return
		}
		if n.registry.Absorb(record.Value) != nil {
			refused++
		}
	})
	if err != nil {
		return fmt.Errorf("state: reading topic %s: %w", n.s.cfg.Topic, err)
	}
	if refused > 0 {
		n.s.log.Warn("names of agents cannot be read; they are learned again from records", "entries", refused)
	}
	n.at = at.last // What is missing there was compacted away.
	return nil
}

// Save writes what has changed since the last call that succeeded.
func (n *Names) Save(ctx context.Context) error {
	next, entries := n.registry.Export(n.since)
	var messages []kafkago.Message
	write := func() error {
		if len(messages) == 0 {
			return nil
		}
		if err := n.s.writer.WriteMessages(ctx, messages...); err != nil {
			return fmt.Errorf("state: writing to topic %s: %w", n.s.cfg.Topic, err)
		}
		messages = messages[:0]
		return nil
	}
	for key, value := range entries {
		messages = append(messages, kafkago.Message{Key: []byte(namesName + "/" + key), Value: value})
		if len(messages) == namesAtOnce {
			if err := write(); err != nil {
				return err
			}
		}
	}
	if err := write(); err != nil {
		return err
	}
	n.since = next
	return nil
}

// namesAtOnce is how many entries are written together.
const namesAtOnce = 1000

// Keep saves and loads at the interval of the configuration until ctx ends, and
// saves once more then, for which it has until the deadline.
func (n *Names) Keep(ctx context.Context, deadline time.Duration) {
	tick := time.NewTicker(n.s.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
			defer cancel()
			n.try(n.Save(last))
			return
		case <-tick.C:
		}
		n.try(n.Load(ctx))
		n.try(n.Save(ctx))
	}
}

func (n *Names) try(err error) {
	if err != nil {
		n.s.log.Warn("names of agents are not kept; it is tried again at the next interval", "error", err)
	}
}
