package pipeline

import "time"

// The time of the log is cut into steps. A step is closed when no partition has
// a record of it left; what partitions learn of each other, they learn then.

// A gap in which no partition has a record is passed over at once when it is
// longer than longGap and emptySteps before it were counted one by one, so that
// everything that is due soon after the last record is due on time.
const (
	emptySteps = 30
	longGap    = int64(15 * time.Minute)
)

// steps tells which step is closed next. It depends on the records' times
// alone.
type steps struct {
	length int64
	closed int64 // end of the last step that was closed; 0 before
	empty  int   // steps without a record, up to the last
	jump   int64 // end of the step that is closed next, where it is not the one after closed
}

// floor is the beginning of the step of a time.
func (s *steps) floor(at int64) int64 { return at - at%s.length }

// begin says where the first record lies; the step before counts as closed.
func (s *steps) begin(first int64) { s.closed = s.floor(first) }

// next is the end of the step that is closed next.
func (s *steps) next() int64 {
	if s.jump > s.closed {
		return s.jump
	}
	return s.closed + s.length
}

// after is the end of the step after one that ended at a time.
func (s *steps) after(end int64) int64 {
	if end == s.closed {
		return s.next()
	}
	return end + s.length
}

// known says of a record that lies where a gap was to be passed over.
func (s *steps) known(beginning int64) {
	if s.jump > beginning {
		s.jump = beginning
	}
}

// close closes the next step. Upcoming is the beginning of the first step of
// which a record is known.
func (s *steps) close(upcoming int64) {
	s.closed = s.next()
	if s.empty++; upcoming <= s.closed {
		s.empty = 0
	}
	if s.empty > emptySteps && upcoming-s.closed > longGap {
		s.jump = upcoming
	}
}
