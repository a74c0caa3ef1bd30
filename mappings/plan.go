package mappings

import (
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Plan is a compiled set of mapping files. It is immutable and safe for
// concurrent use; the Mappers that it makes are not.
type Plan struct {
	dict     *ecs.Dictionary
	keys     *keys
	mappings []*mapping
	shapes   []shape // in the order in which they are asked
	fallback *mapping
	actions  map[string]*action
	zones    []zoneRule  // where times without an offset belong, of files with zone: local
	other    *action     // of an event that no file gives an action
	version  event.Value // ecs.version
}

// mapping is one compiled file.
type mapping struct {
	dataset string
	module  event.Value
	set     event.Value // event.dataset
	root    string
	strip   []string
	absent  []string
	// longestAbsent is the length of the longest of absent, so that nearly
	// every text skips the search.
	longestAbsent int
	split         uint16     // key of the array whose elements are records; 0 for none
	each          [][]string // paths through lists whose elements are events
	alone         bool       // a record whose lists have no elements is an event itself
	unfold        []unfolding
	pass          *pass
	steps         []guarded
	by            [][]source
	events        map[string][]guarded // by the texts of by, joined by "/"
	other         []guarded            // for an event that events does not name
	topics        []pattern
	headers       []headerHint
	agent         bool // the file sets agent.type for every record
}

type headerHint struct {
	key   string
	value pattern
}

// shape is one alternative of the conditions under which a mapping takes a
// record. Of several that hold the first of the plan counts, unless topic or
// headers speak for one with as many conditions.
type shape struct {
	weight     int    // twice the conditions; 1 for a file that comes last
	needs      keySet // bits of the paths that must be there
	conditions []condition
	mapping    *mapping
	yields     []*shape // those of its weight that are more specific: no hint outweighs them
}

// Names returns the datasets of the mappings in the order in which they are
// tried.
func (p *Plan) Names() []string {
	names := make([]string, 0, len(p.mappings))
	for _, m := range p.mappings {
		names = append(names, m.dataset)
	}
	return names
}

// detect returns the mapping that takes the record whose notes m holds, nil
// when none does. Topic and headers only decide between shapes that are
// equally specific. The mapping except is left out.
func (p *Plan) detect(m *Mapper, partition *event.Partition, r *event.Record, except *mapping) *mapping {
	m.mapping = nil
	var best *shape
	bestScore := -1
	for _, s := range m.possible() {
		score := s.weight
		if score+1 <= bestScore {
			break // So have all that follow.
		}
		if s.mapping == except {
			continue
		}
		tied := score <= bestScore // Only a hint lets it win.
		if tied && (!s.mapping.hinted(partition, r) || slices.Contains(s.yields, best)) || !holdAll(m, s.conditions) {
			continue
		}
		if tied || s.mapping.hinted(partition, r) {
			score++
		}
		best, bestScore = s, score
	}
	if best == nil {
		return nil
	}
	return best.mapping
}

// keySet has a bit for each of the paths that shapes ask for.
type keySet [keyWords]uint64

// Room for the paths that the shipped mappings ask for and as many of the
// user's; the shapes beyond are distinguished by their conditions alone.
const (
	keyWords   = 8
	markedKeys = 64 * keyWords
)

func (k *keySet) holds(needs *keySet) bool {
	for i, n := range needs {
		if k[i]&n != n {
			return false
		}
	}
	return true
}

// maxKnown bounds the sets of keys for which the possible shapes are
// remembered: real feeds have few, a hostile one could make them up.
const maxKnown = 1024

// possible returns the shapes that ask for no key that the record lacks, the
// most specific first. Records of one kind have the same keys, so that hardly
// any record has all shapes looked through: 150 ns instead of 340.
func (m *Mapper) possible() []*shape {
	latest := &m.latest[m.depth]
	if latest.shapes != nil && m.present == latest.present {
		return latest.shapes // As after most records.
	}
	known, ok := m.known[m.present]
	if ok {
		latest.present, latest.shapes = m.present, known
		return known
	}
	for i := range m.plan.shapes {
		if s := &m.plan.shapes[i]; m.present.holds(&s.needs) {
			known = append(known, s)
		}
	}
	if len(m.known) >= maxKnown {
		clear(m.known)
	}
	m.known[m.present] = known
	return known
}

func (m *mapping) hinted(partition *event.Partition, r *event.Record) bool {
	if partition != nil {
		for i := range m.topics {
			if m.topics[i].matches(partition.Topic) {
				return true
			}
		}
	}
	for i := range m.headers {
		if value, ok := r.Header(m.headers[i].key); ok && m.headers[i].value.matches(event.View(value)) {
			return true
		}
	}
	return false
}

// Vendors returns the top-level objects under which the mappings keep vendors'
// own fields, in alphabetical order.
func (p *Plan) Vendors() []string {
	roots := []string{p.fallback.root}
	for _, m := range p.mappings {
		roots = append(roots, m.root)
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}
