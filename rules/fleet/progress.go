package fleet

import (
	"cmp"
	"time"
)

// progress is how a version spread: its exposures at even intervals. When there
// are too many points every other one goes and the interval doubles, so that a
// rollout of ten minutes and one of ten weeks both fit.
type progress struct {
	interval int64
	points   []point
}

type point struct {
	at      int64 // end of the interval, nanoseconds since 1970
	exposed int   // up to then
}

// maxPoints bounds the points of a version, at 16 bytes each.
const maxPoints = 128

func (p *progress) add(at int64, exposed int) {
	p.interval = cmp.Or(p.interval, int64(time.Minute))
	end := at - at%p.interval + p.interval
	if n := len(p.points); n > 0 && p.points[n-1].at >= end {
		p.points[n-1].exposed = exposed
		return
	}
	p.points = append(p.points, point{end, exposed})
	for len(p.points) > maxPoints {
		p.interval *= 2
		kept := p.points[:0]
		for i, x := range p.points {
			x.at = (x.at + p.interval - 1) / p.interval * p.interval
			if i+1 < len(p.points) && (p.points[i+1].at+p.interval-1)/p.interval*p.interval == x.at {
				continue // The next one ends in the same interval and knows more.
			}
			kept = append(kept, x)
		}
		p.points = kept
	}
}

// reached is when so many agents had the version; 0 when they have not.
func (p *progress) reached(count int) int64 {
	for _, x := range p.points {
		if x.exposed >= count {
			return x.at
		}
	}
	return 0
}

// pause returns the longest time without an exposure between two of them.
func (p *progress) pause() (length int64) {
	for i := 1; i < len(p.points); i++ {
		length = max(length, p.points[i].at-p.points[i-1].at-p.interval)
	}
	return length
}
