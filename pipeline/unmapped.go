package pipeline

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// maxShapes bounds the label of records_unmapped_total: whoever writes records
// chooses their keys.
const maxShapes = 64

// moreShapes is the label of records whose shape has no room.
const moreShapes = "more"

// shapes knows the shapes that have a label. It is safe for concurrent use.
type shapes struct {
	mu    sync.Mutex
	known map[string]bool
}

// label returns the shape, or more when there are too many.
func (s *shapes) label(shape string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[shape] {
		return shape
	}
	if len(s.known) >= maxShapes {
		return moreShapes
	}
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[shape] = true
	return shape
}

// unmappedCounts counts a worker's records by shape. A batch that is given up
// is not counted.
type unmappedCounts struct {
	metrics *metrics
	topic   string
	byShape map[string]*shapeCount
}

type shapeCount struct {
	counter prometheus.Counter
	pending int
}

func newUnmappedCounts(m *metrics, topic string) *unmappedCounts {
	return &unmappedCounts{metrics: m, topic: topic, byShape: map[string]*shapeCount{}}
}

// add notes one record of the batch in progress.
func (u *unmappedCounts) add(shape string) {
	c, ok := u.byShape[shape]
	if !ok && len(u.byShape) >= maxShapes {
		c, ok = u.byShape[moreShapes]
		shape = moreShapes
	}
	if !ok {
		shape = strings.Clone(shape)
		c = &shapeCount{counter: u.metrics.unmapped.WithLabelValues(u.topic, u.metrics.shapes.label(shape))}
		u.byShape[shape] = c
	}
	c.pending++
}

// settle counts the batch, or forgets it.
func (u *unmappedCounts) settle(final bool) {
	for _, c := range u.byShape {
		if final {
			c.counter.Add(float64(c.pending))
		}
		c.pending = 0
	}
}
