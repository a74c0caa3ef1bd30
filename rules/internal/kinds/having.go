package kinds

import (
	"fmt"
	"math"
	"strings"
)

// having bounds a count, as in a Sigma correlation. All given bounds hold.
type having struct {
	GT  *int64 `yaml:"gt"`
	GTE *int64 `yaml:"gte"`
	LT  *int64 `yaml:"lt"`
	LTE *int64 `yaml:"lte"`
	EQ  *int64 `yaml:"eq"`
}

// limits returns the bounds as an inclusive range.
func (h *having) limits() (low, high int64) {
	low, high = 1, math.MaxInt64
	if h.GT != nil {
		low = max(low, *h.GT+1)
	}
	if h.GTE != nil {
		low = max(low, *h.GTE)
	}
	if h.LT != nil {
		high = min(high, *h.LT-1)
	}
	if h.LTE != nil {
		high = min(high, *h.LTE)
	}
	if h.EQ != nil {
		low, high = max(low, *h.EQ), min(high, *h.EQ)
	}
	return low, high
}

// String writes the bounds as a rule file's reader says them.
func (h *having) String() string {
	var parts []string
	for _, b := range []struct {
		sign  string
		bound *int64
	}{{">", h.GT}, {">=", h.GTE}, {"<", h.LT}, {"<=", h.LTE}, {"==", h.EQ}} {
		if b.bound != nil {
			parts = append(parts, fmt.Sprintf("%s %d", b.sign, *b.bound))
		}
	}
	return strings.Join(parts, " and ")
}

// maxCount bounds what a threshold may ask for: the times of that many events
// are kept for each key.
const maxCount = 10_000
