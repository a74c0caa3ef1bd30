package kinds

import (
	"math"
	"time"

	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
)

// noveltyBaseline is what an anomaly rule remembers of one series: 700 bytes.
//
// Range novelty is how far a value lies outside of a slowly forgotten range.
// The relative entropy part keeps the histograms of stretches of 52 values that
// it has seen and compares the latest 52 with them in a G-test (Wang,
// Viswanathan, Choudur, Talwar, Satterfield, Schwan: "Statistical techniques
// for online anomaly detection in data centers", IM 2011). The sum of both,
// each cut, is the score.
type noveltyBaseline struct {
	samples   int32
	remember  int8 // Histograms in memory.
	at        int8 // Place in ring of the next value.
	low, high float64
	bottom    float64 // Of the histogram's five inner bins.
	step      float64 // Width of one.
	ring      [stretch]uint8
	now       histogram
	memory    [remembered]histogram
}

// histogram counts the values of a stretch: two bins for what lies outside of
// the range that was learnt, five between.
type histogram [bins]uint8

// The figures of the published detector, and a memory that is bounded.
const (
	stretch    = 52
	bins       = 7
	remembered = 64

	rangeDecay = 0.9995 // Of the remembered range, with every value.
	rangeUnit  = 0.2    // Distance outside, in ranges, that scores 1.
	testUnit   = 10     // G that scores 1.
	familiar   = 40     // G up to which two stretches are taken for alike; see README.md for how it was chosen.
	scoreCut   = 2
)

// logarithms are the logarithms that the test needs: of counts, and of
// remembered counts with half a value added to each bin so that none is empty.
type logarithms struct {
	count, expected [stretch + 1]float64
}

func newLogarithms() *logarithms {
	var l logarithms
	for i := range l.count {
		if i > 0 {
			l.count[i] = float64(i) * math.Log(float64(i))
		}
		l.expected[i] = math.Log((float64(i) + 0.5) * stretch / (stretch + bins*0.5))
	}
	return &l
}

// gTest is 2 Σ o ln(o/e).
func (l *logarithms) gTest(observed, expected *histogram) float64 {
	g := 0.0
	for i, o := range observed {
		if o > 0 {
			g += l.count[o] - float64(o)*l.expected[expected[i]]
		}
	}
	return 2 * g
}

// score takes a value in and returns how unusual it is; 0 while learning, in
// which the first values only widen the range. In as many values again
// stretches are remembered, and only the range judges.
func (b *noveltyBaseline) score(v float64, learn int, l *logarithms) float64 {
	if b.samples == 0 {
		b.low, b.high = v, v
	}
	b.samples = min(b.samples, math.MaxInt32-1) + 1
	if int(b.samples) <= learn {
		b.low, b.high = min(b.low, v), max(b.high, v)
		if int(b.samples) == learn {
			// A series that has not moved yet gets a range of a tenth of its level.
			if width := max(b.high-b.low, math.Abs(b.high)/10); width > b.high-b.low || width == 0 {
				width = max(width, 1e-9)
				middle := (b.high + b.low) / 2
				b.low, b.high = middle-width/2, middle+width/2
			}
			b.bottom, b.step = b.low, (b.high-b.low)/(bins-2)
		}
		return 0
	}
	novelty, surprise := b.outside(v), b.surprise(v, l)
	if int(b.samples) <= 2*learn {
		surprise = 0 // Bins are known since the end of learning, and of the day only what came since.
	}
	return min(novelty/rangeUnit, scoreCut) + min(surprise/testUnit, scoreCut)
}

// outside is the distance of a value from the range, in widths of it. The
// range shrinks a little and takes the value in.
func (b *noveltyBaseline) outside(v float64) float64 {
	width := b.high - b.low
	distance := max(b.low-v, v-b.high, 0) / width
	middle := (b.high + b.low) / 2
	b.low = min(middle-(middle-b.low)*rangeDecay, v)
	b.high = max(middle+(b.high-middle)*rangeDecay, v)
	return distance
}

// surprise compares the latest stretch with those in memory; 0 when it is like
// one of them. One that is like none is remembered.
func (b *noveltyBaseline) surprise(v float64, l *logarithms) float64 {
	bin := uint8(0)
	if v >= b.bottom {
		bin = uint8(min(1+(v-b.bottom)/b.step, bins-1))
	}
	place := b.at
	if int(b.samples) > stretch && b.now.total() == stretch {
		b.now[b.ring[place]]--
	}
	b.ring[place] = bin
	b.now[bin]++
	b.at = (place + 1) % stretch
	if b.now.total() < stretch {
		return 0
	}
	least := math.Inf(1)
	for i := range b.remember {
		g := l.gTest(&b.now, &b.memory[i])
		least = min(least, g)
		if g <= familiar {
			// What was met last is looked at first, and forgotten last.
			m := b.memory[i]
			copy(b.memory[1:i+1], b.memory[:i])
			b.memory[0] = m
			return 0
		}
	}
	copy(b.memory[1:], b.memory[:remembered-1])
	b.memory[0] = b.now
	b.remember = min(b.remember+1, remembered)
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}

func (h *histogram) total() int {
	n := 0
	for _, c := range h {
		n += int(c)
	}
	return n
}

// ewmaBaseline is an exponentially weighted mean and variance.
type ewmaBaseline struct {
	samples        int32
	mean, variance float64
}

// score takes a value in and returns its distance from the mean in standard
// deviations (of at least a thousandth of the level); 0 while learning.
func (b *ewmaBaseline) score(v, alpha float64, learn int) float64 {
	b.samples = min(b.samples, math.MaxInt32-1) + 1
	if b.samples == 1 {
		b.mean = v
		return 0
	}
	away := v - b.mean
	z := 0.0
	if int(b.samples) > learn {
		z = math.Abs(away) / max(math.Sqrt(b.variance), math.Abs(b.mean)/1000, 1e-9)
	}
	// While learning the weights are those of a plain average.
	a := max(alpha, 1/float64(min(int(b.samples), learn+1)))
	b.mean += a * away
	b.variance = (1 - a) * (b.variance + a*away*away)
	return z
}

// seasonalBaseline remembers mean and variance of each half hour of the day, in
// UTC, exponentially weighted: 600 bytes.
type seasonalBaseline struct {
	samples  int32
	variance float64 // Of the distance from the half hour's mean, over all.
	slots    [seasons]season
}

// season is one half hour.
type season struct {
	mean, variance float32
	samples        uint16
}

// The half hours of a day, how many values of one say something, and how many
// values the variance of the whole day counts in one's own.
const (
	seasons     = 48
	seasonKnown = 3
	seasonPrior = 8
)

// score takes a value of a time in and returns its distance from what the half
// hour usually has, in standard deviations (of at least a thousandth of the
// level); 0 while learning and where the half hour is not known.
func (b *seasonalBaseline) score(v float64, at int64, alpha float64, learn int) float64 {
	b.samples = min(b.samples, math.MaxInt32-1) + 1
	slot := &b.slots[mod(at, int64(24*time.Hour))/int64(24*time.Hour/seasons)]
	slot.samples = min(slot.samples, math.MaxUint16-1) + 1
	n := float64(slot.samples)
	if n == 1 {
		slot.mean = float32(v)
		return 0
	}
	away := v - float64(slot.mean)
	z := 0.0
	if int(b.samples) > learn && slot.samples > seasonKnown {
		deviation := math.Sqrt((n*float64(slot.variance) + seasonPrior*b.variance) / (n + seasonPrior))
		z = math.Abs(away) / max(deviation, math.Abs(float64(slot.mean))/1000, 1e-9)
	}
	a := max(alpha, 1/n) // Of few values the weights are those of a plain average.
	slot.mean += float32(a * away)
	slot.variance = float32((1 - a) * (float64(slot.variance) + a*away*away))
	whole := max(alpha, 1/float64(min(b.samples, 1<<20)))
	b.variance += whole * (away*away - b.variance)
	return z
}

// methods are the ways to judge a series.
func methods() []string { return []string{"novelty", "ewma", "seasonal"} }

func (b *noveltyBaseline) persist(a *engine.Archive) {
	snapshot.Int(a.Codec, &b.samples)
	for _, f := range []*float64{&b.low, &b.high, &b.bottom, &b.step} {
		a.Float(f)
	}
	snapshot.Int(a.Codec, &b.at)
	a.Raw(b.ring[:])
	a.Raw(b.now[:])
	snapshot.Int(a.Codec, &b.remember)
	if b.at < 0 || b.at >= stretch || b.remember < 0 || b.remember > remembered || !b.now.valid() {
		a.Fail("the baseline is out of range")
		return
	}
	for _, bin := range b.ring {
		if bin >= bins {
			a.Fail("the baseline has a value in bin %d of %d", bin, bins)
			return
		}
	}
	for i := range b.remember {
		if a.Raw(b.memory[i][:]); !b.memory[i].valid() {
			a.Fail("a histogram counts more values than a stretch has")
			return
		}
	}
}

// valid reports whether a histogram counts one stretch at most.
func (h *histogram) valid() bool { return h.total() <= stretch }

func (b *seasonalBaseline) persist(a *engine.Archive) {
	snapshot.Int(a.Codec, &b.samples)
	a.Float(&b.variance)
	for i := range b.slots {
		slot := &b.slots[i]
		if snapshot.Int(a.Codec, &slot.samples); slot.samples > 0 {
			a.Float32(&slot.mean)
			a.Float32(&slot.variance)
		}
	}
}
