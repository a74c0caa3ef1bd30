package kafka

import (
	"cmp"
	"slices"
)

// Share is the part of a topic's partitions that the source owns now.
type Share struct {
	Topic string
	Owned []int32 // sorted
	Of    int     // partitions that the topic had when the brokers were asked last
}

// Shares returns the part of each topic that it reads, in the order of their
// names; nothing before the brokers answered. It is safe for concurrent use.
func (s *Source) Shares() []Share {
	counted := s.partitions.Load()
	if counted == nil {
		return nil
	}
	var list []Share
	owned := s.metrics.ownedNumbers()
	for topic, n := range *counted {
		list = append(list, Share{Topic: topic, Owned: append([]int32{}, owned[topic]...), Of: n})
	}
	slices.SortFunc(list, func(a, b Share) int { return cmp.Compare(a.Topic, b.Topic) })
	return list
}

// ownedNumbers returns the partitions that are owned, by topic.
func (m *metrics) ownedNumbers() map[string][]int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	owned := map[string][]int32{}
	for p := range m.owned {
		owned[p.topic] = append(owned[p.topic], p.number)
	}
	for _, numbers := range owned {
		slices.Sort(numbers)
	}
	return owned
}

// Lag is how many records of owned partitions are not acknowledged yet; it is
// not known before a partition is owned.
func (s *Source) Lag() (records int64, known bool) {
	s.metrics.mu.Lock()
	defer s.metrics.mu.Unlock()
	for p := range s.metrics.owned {
		records += max(p.end.Load()-p.acked.Load(), 0)
	}
	return records, len(s.metrics.owned) > 0
}
