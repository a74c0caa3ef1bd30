package fleet

import (
	"cmp"
	"fmt"
	"slices"
)

// Coverage says which agents an answer is about: one gateway of several knows
// those of the partitions that it owns.
type Coverage struct {
	// Gateway is the name of the one that answers; "" where it is not a
	// gateway, or several of which the answer was merged.
	Gateway string `json:"gateway,omitempty"`
	// Partial says that there are partitions that it does not own.
	Partial bool `json:"partial"`
	// Partitions are those that it owns, by topic.
	Partitions []TopicShare `json:"partitions,omitempty"`
}

// TopicShare is the part of a topic's partitions that a gateway owns.
type TopicShare struct {
	Topic string  `json:"topic"`
	Owned []int32 `json:"owned"`
	Of    int     `json:"of"` // partitions of the topic
}

// Missing describes the topics of which partitions are owned by nobody here;
// empty for none.
func (c *Coverage) Missing() []string {
	var list []string
	for _, s := range c.Partitions {
		if len(s.Owned) < s.Of {
			list = append(list, fmt.Sprintf("%d of %d partitions of %s", len(s.Owned), s.Of, s.Topic))
		}
	}
	return list
}

// add takes the partitions of another gateway.
func (c *Coverage) add(other *Coverage) {
	c.Gateway = ""
	for _, s := range other.Partitions {
		i := slices.IndexFunc(c.Partitions, func(have TopicShare) bool { return have.Topic == s.Topic })
		if i < 0 {
			s.Owned = slices.Clone(s.Owned)
			c.Partitions = append(c.Partitions, s)
			continue
		}
		have := &c.Partitions[i]
		have.Of = max(have.Of, s.Of)
		for _, n := range s.Owned {
			if !slices.Contains(have.Owned, n) {
				have.Owned = append(have.Owned, n)
			}
		}
		slices.Sort(have.Owned)
	}
	slices.SortFunc(c.Partitions, func(a, b TopicShare) int { return cmp.Compare(a.Topic, b.Topic) })
	c.Partial = len(c.Missing()) > 0
}

// MergePages makes one page of those that several gateways answered to one
// query. Of an agent that two of them know, because its partition changed
// hands, the record that was heard last counts; Total counts it twice.
func MergePages(limit int, pages ...Page) Page {
	merged := Page{Agents: []Record{}}
	if len(pages) == 1 {
		return pages[0]
	}
	// Beyond where the first of them ends, agents of others may lie between.
	end := ""
	for i, p := range pages {
		merged.Total += p.Total
		merged.Agents = append(merged.Agents, p.Agents...)
		if p.Next != "" && (end == "" || p.Next < end) {
			end = p.Next
		}
		if i == 0 {
			merged.Coverage = Coverage{Partial: p.Partial}
		}
		merged.add(&p.Coverage)
	}
	slices.SortStableFunc(merged.Agents, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.cursor(), b.cursor()), b.LastSeen.Compare(a.LastSeen))
	})
	merged.Agents = slices.CompactFunc(merged.Agents, func(a, b Record) bool { return a.cursor() == b.cursor() })
	if end != "" {
		merged.Agents = slices.DeleteFunc(merged.Agents, func(r Record) bool { return r.cursor() > end })
	}
	if limit > 0 && len(merged.Agents) > limit {
		merged.Agents = merged.Agents[:limit]
		end = merged.Agents[limit-1].cursor()
	}
	merged.Next = end
	return merged
}

// MergeSummaries adds up what several gateways answered to one query. Behind is
// what each of them takes for it.
func MergeSummaries(sums ...Summary) Summary {
	if len(sums) == 1 {
		return sums[0]
	}
	merged := Summary{Presence: map[string]int{}}
	tables := map[string]*counted{}
	var order []string
	for i, s := range sums {
		merged.Agents, merged.Behind, merged.Protecting = merged.Agents+s.Agents, merged.Behind+s.Behind, merged.Protecting+s.Protecting
		for presence, n := range s.Presence {
			merged.Presence[presence] += n
		}
		if s.Newest.After(merged.Newest) {
			merged.Newest = s.Newest
		}
		if i == 0 {
			merged.Coverage = Coverage{Partial: s.Partial}
		}
		merged.add(&s.Coverage)
		for _, t := range s.Tables {
			key := fmt.Sprint(t.By)
			if tables[key] == nil {
				tables[key] = &counted{by: t.By, counts: map[[4]string]int{}}
				order = append(order, key)
			}
			sum := tables[key]
			sum.others += t.Others
			for _, c := range t.Counts {
				var values [4]string
				copy(values[:], c.Values)
				sum.counts[values] += c.Agents
			}
		}
	}
	for _, key := range order {
		merged.Tables = append(merged.Tables, tables[key].table())
	}
	return merged
}
