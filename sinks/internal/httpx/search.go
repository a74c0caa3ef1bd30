package httpx

import (
	"math/bits"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// Search finds, by halving, the documents for which a server refuses a request
// as a whole. It bounds how often halves of one request may be refused: what is
// undecided then stays pending, and the next attempt, with a search of its own,
// starts without the documents that were found. It belongs to one goroutine.
type Search struct {
	left  int
	began func(why *fault.Error)
}

// NewSearch returns a search within a request of so many documents. Began is
// called once, when the first half is sent because the server did not say what
// it refuses.
func NewSearch(documents int, began func(why *fault.Error)) *Search {
	// So many refusals are enough to find one bad document in one go.
	return &Search{left: 4 * bits.Len(uint(documents)), began: began}
}

// Refused handles the refusal of a request of n documents: it calls send for
// each half, from and to being places in it. Alone says that the request held
// the one document that is refused; the error, that the search is given up.
func (s *Search) Refused(n int, why *fault.Error, send func(from, to int)) (alone bool, err error) {
	if n == 1 {
		return true, nil
	}
	if why.Reason != fault.TooLarge { // One that is too large is simply sent in parts.
		if s.left == 0 {
			return false, fault.New(fault.Transient, why.Reason, "looking for documents that the server refuses: %w", why)
		}
		s.left--
		if s.began != nil {
			s.began(why)
			s.began = nil
		}
	}
	send(0, n/2)
	send(n/2, n)
	return false, nil
}
