package offline

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Order says which partition is read next, and how much of it.
type Order struct {
	kind string // "" and broker, shuffle, serial
	seed uint64
}

// ParseOrder reads broker, serial or shuffle:SEED.
func ParseOrder(text string) (Order, error) {
	kind, seed, seeded := strings.Cut(text, ":")
	o := Order{kind: kind}
	switch {
	case kind == "shuffle" && seeded:
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			return Order{}, fmt.Errorf("expected a number as the seed of shuffle, found %q", seed)
		}
		o.seed = n
		return o, nil
	case (kind == "broker" || kind == "serial") && !seeded:
		return o, nil
	}
	return Order{}, fmt.Errorf("expected broker, serial or shuffle:SEED, found %q", text)
}

// choose picks one of the partitions that can take records, and how many it
// takes; next returns the time of the next record of each.
func (o Order) choose(rng *rand.Rand, ready []int, next func(partition int) int64) (partition, records int) {
	best := ready[0]
	switch o.kind {
	case "shuffle":
		return ready[rng.IntN(len(ready))], 1 + rng.IntN(1+rng.IntN(400))
	case "serial":
		for _, p := range ready {
			best = min(best, p)
		}
		return best, 1000
	}
	for _, p := range ready {
		if next(p) < next(best) || next(p) == next(best) && p < best {
			best = p
		}
	}
	return best, 64
}
