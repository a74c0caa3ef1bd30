package config

import (
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	kafkasink "github.com/edrwatch/edrwatch/sinks/kafka"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// written is a topic that the gateway writes.
type written struct {
	topic, by string
	brokers   []string
}

// written lists the topics that the gateway writes.
func (c *Config) written() []written {
	var list []written
	add := func(by string, settings any) {
		if k, ok := settings.(*kafkasink.Config); ok && k != nil {
			list = append(list, written{k.Topic, by, k.Brokers})
		}
	}
	for _, s := range c.Sinks {
		add("sink "+s.Name, s.Settings)
	}
	for _, r := range c.Responders {
		add("responder "+r.Name, r.Settings)
	}
	add("dead_letter", c.DeadLetter.Settings)
	if x := &c.Fleet.Exchange; x.Enabled() {
		list = append(list, written{x.Topic, "fleet.exchange", x.Brokers})
	}
	return list
}

// at reports whether a source with these brokers would find the topic there.
// One address in common makes them one cluster.
func (w *written) at(brokers []string) bool {
	return slices.ContainsFunc(w.brokers, func(b string) bool { return slices.Contains(brokers, b) })
}

// OwnTopics lists the topics that the gateway writes at these brokers: a
// source's pattern must not take them, since a dead letter that is read is a
// dead letter again, for ever.
func (c *Config) OwnTopics(brokers []string) []string {
	var topics []string
	for _, w := range c.written() {
		if w.at(brokers) && !slices.Contains(topics, w.topic) {
			topics = append(topics, w.topic)
		}
	}
	return topics
}

// canaries reports feeds of canaries that no source reads by name or pattern.
func (l *Loaded) canaries(report reporter) {
	c := &l.Config
	if !c.Canary.Enabled {
		return
	}
	var topics []string
	some, patterns := false, false
	for _, s := range c.Sources {
		if k, ok := s.Settings.(*kafkasource.Config); ok && k != nil {
			some, patterns = true, patterns || k.TopicPattern != ""
			topics = append(topics, k.Topics...)
		}
	}
	n := l.root.Get("canary")
	if !some {
		report(placeIn(n, "enabled"), "a canary is played in the topics of a Kafka source", "enabled: expected a Kafka source to play canaries in, found none")
		return
	}
	for _, feed := range c.Canary.Feeds {
		if !patterns && feed != "" && !slices.Contains(topics, feed) {
			hint := ""
			if nearest, ok := strict.Nearest(feed, topics); ok {
				hint = "did you mean " + nearest + "?"
			}
			report(placeIn(n, "feeds"), hint, "feeds: expected topics that a Kafka source reads, found %s", feed)
		}
	}
}

// loops reports sources that name a topic which the gateway writes.
func (l *Loaded) loops(report reporter) {
	for i, s := range l.Config.Sources {
		k, ok := s.Settings.(*kafkasource.Config)
		if !ok || k == nil {
			continue
		}
		for _, w := range l.Config.written() {
			if w.at(k.Brokers) && slices.Contains(k.Topics, w.topic) {
				report(placeIn(item(l.root.Get("sources"), i), "topics"), "read another topic, or write to another: what is written would come back for ever",
					"topics: %s is what %s writes", w.topic, w.by)
			}
		}
	}
}
