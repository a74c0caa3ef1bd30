package kinds

import (
	"math"
	"strconv"
	"strings"
)

// statistic returns what computes a function over samples, with a buffer to
// sort in.
func statistic(name string) (func(samples []sample, buf []float64) float64, bool) {
	switch name {
	case "sum":
		return sum, true
	case "avg":
		return func(s []sample, _ []float64) float64 { return sum(s, nil) / float64(len(s)) }, true
	case "min":
		return func(s []sample, _ []float64) float64 {
			least := math.Inf(1)
			for i := range s {
				least = min(least, s[i].value)
			}
			return least
		}, true
	case "max":
		return func(s []sample, _ []float64) float64 {
			most := math.Inf(-1)
			for i := range s {
				most = max(most, s[i].value)
			}
			return most
		}, true
	}
	digits, isPercentile := strings.CutPrefix(name, "p")
	p, err := strconv.Atoi(digits)
	if !isPercentile || err != nil || p < 1 || p > 99 || strconv.Itoa(p) != digits {
		return nil, false
	}
	return func(s []sample, buf []float64) float64 { return percentile(s, buf, p) }, true
}

func sum(samples []sample, _ []float64) float64 {
	total := 0.0
	for i := range samples {
		total += samples[i].value
	}
	return total
}

// percentile is the nearest-rank percentile: the least value such that p per
// cent of the samples are not above it.
func percentile(samples []sample, buf []float64, p int) float64 {
	rank := (p*len(samples) + 99) / 100 // Rounded up; from 1.
	buf = buf[:0]
	for i := range samples {
		buf = append(buf, samples[i].value)
	}
	return nth(buf, rank-1)
}

// sample is a number at a time.
type sample struct {
	at    int64
	value float64
}
