package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// anomalySpec is what an oracle knows of an anomaly rule beyond the keys that
// all rules have.
type anomalySpec struct {
	method    string
	score     float64
	learn     int
	cooldown  int
	alpha     float64
	direction string
}

func (s *anomalySpec) yaml() string {
	text := fmt.Sprintf("field: edr.resource.cpu_pct\nmethod: %s\nscore: %v\nlearn: %d\ncooldown: %d\ndirection: %s\n", s.method, s.score, s.learn, s.cooldown, s.direction)
	if s.alpha > 0 {
		text += fmt.Sprintf("alpha: %v\n", s.alpha)
	}
	return text
}

// anomalyPast is all that an oracle remembers of a key.
type anomalyPast struct {
	events []oracleEvent // In order of time.
	quiet  int           // Values left that raise nothing.
}

// seeNumber judges a value by all values of the key before.
func (o *oracle) seeNumber(e oracleEvent) {
	p, s := &o.past, &o.r.anomaly
	if n := len(p.events); n > 0 && e.now >= p.events[n-1].at+o.r.window {
		*p = anomalyPast{}
	}
	if n := len(p.events); n > 0 && e.at < p.events[n-1].at {
		return
	}
	p.events = append(p.events, e)
	score := 0.0
	switch s.method {
	case "novelty":
		score = p.novelty(s.learn)
	case "ewma":
		score = p.ewma(s.learn, s.alpha)
	case "seasonal":
		score = p.seasonal(s.learn, s.alpha)
	}
	if p.quiet > 0 {
		p.quiet--
		return
	}
	usual := p.events[0].cpu
	for _, old := range p.events[:len(p.events)-1] {
		usual += (old.cpu - usual) / 32
	}
	if score < s.score || s.direction == "up" && e.cpu < usual || s.direction == "down" && e.cpu > usual {
		return
	}
	p.quiet = s.cooldown
	o.found(e.now, e.at, 1)
}

// values are all numbers, the newest last.
func (p *anomalyPast) values() (list []float64) {
	for _, e := range p.events {
		list = append(list, e.cpu)
	}
	return list
}

// novelty is the score of the newest value by distance and by distribution.
func (p *anomalyPast) novelty(learn int) float64 {
	all := p.values()
	if len(all) <= learn {
		return 0
	}
	low, high := slices.Min(all[:learn]), slices.Max(all[:learn])
	if width := max(math.Abs(high)/10, 1e-9); high-low < width && (high-low < math.Abs(high)/10 || high == low) {
		low, high = (low+high)/2-width/2, (low+high)/2+width/2
	}
	bottom, fifth := low, (high-low)/5
	distance := 0.0
	for _, v := range all[learn:] {
		distance = max(low-v, v-high, 0) / (high - low)
		middle, half := (low+high)/2, (high-low)/2*0.9995
		low, high = min(middle-half, v), max(middle+half, v)
	}
	return min(distance/0.2, 2) + min(p.entropy(all[learn:], learn, bottom, fifth)/10, 2)
}

// entropy is the least G of the latest 52 values against the stretches that
// were remembered by then; 0 where one is alike.
func (p *anomalyPast) entropy(values []float64, learn int, bottom, fifth float64) float64 {
	bin := func(v float64) int {
		switch {
		case v < bottom:
			return 0
		case v >= bottom+5*fifth:
			return 6
		}
		return min(1+int((v-bottom)/fifth), 6)
	}
	var memory [][7]int // The one that was met last is first.
	surprise := 0.0
	for end := 52; end <= len(values); end++ {
		var now [7]int
		for _, v := range values[end-52 : end] {
			now[bin(v)]++
		}
		least, alike := math.Inf(1), -1
		for i, old := range memory {
			g := 0.0
			for b := range now {
				if n := float64(now[b]); n > 0 {
					g += 2 * n * math.Log(n/((float64(old[b])+0.5)*52/55.5))
				}
			}
			least = min(least, g)
			if g <= 40 {
				alike = i
				break
			}
		}
		surprise = 0
		switch {
		case alike >= 0:
			old := memory[alike]
			memory = slices.Insert(slices.Delete(memory, alike, alike+1), 0, old)
		default:
			if len(memory) > 0 {
				surprise = least
			}
			memory = slices.Insert(memory, 0, now)
			memory = memory[:min(len(memory), 64)]
		}
	}
	if len(values) <= learn {
		return 0
	}
	return surprise
}

// ewma is the distance of the newest value from the weighted mean.
func (p *anomalyPast) ewma(learn int, alpha float64) (z float64) {
	mean, variance := 0.0, 0.0
	for i, v := range p.values() {
		if i == 0 {
			mean = v
			continue
		}
		n, away := i+1, v-mean
		z = 0
		if n > learn {
			z = math.Abs(away) / max(math.Sqrt(variance), math.Abs(mean)/1000, 1e-9)
		}
		a := max(alpha, 1/float64(min(n, learn+1)))
		mean += a * away
		variance = (1 - a) * (variance + a*away*away)
	}
	return z
}

// seasonal is the distance of the newest value from what its half hour has.
func (p *anomalyPast) seasonal(learn int, alpha float64) (z float64) {
	type half struct {
		n              int
		mean, variance float64
	}
	halves, whole := map[int64]*half{}, 0.0
	for i, e := range p.events {
		slot := e.at / (1800 * secondNS) % 48
		h := halves[slot]
		z = 0
		if h == nil {
			halves[slot] = &half{n: 1, mean: e.cpu}
			continue
		}
		h.n++
		away := e.cpu - h.mean
		if i+1 > learn && h.n > 3 {
			deviation := math.Sqrt((float64(h.n)*h.variance + 8*whole) / float64(h.n+8))
			z = math.Abs(away) / max(deviation, math.Abs(h.mean)/1000, 1e-9)
		}
		a := max(alpha, 1/float64(h.n))
		h.mean += a * away
		h.variance = (1 - a) * (h.variance + a*away*away)
		whole += max(alpha, 1/float64(i+1)) * (away*away - whole)
	}
	return z
}

// drawAnomaly draws a rule and a stream whose level changes now and then.
func drawAnomaly(r *rand.Rand, n int) (*oracleRule, []oracleEvent) {
	x := &oracleRule{typ: "anomaly", action: "error", lateness: int64(1+r.IntN(16)) * 30 * secondNS}
	x.groupBy = pick(r, nil, []string{"agent.type"}, []string{})
	x.window = int64(pick(r, 1200, 3600, 6*3600, 86400)) * secondNS
	if r.IntN(3) == 0 {
		x.suppress = int64(1+r.IntN(30)) * 30 * secondNS
	}
	s := &x.anomaly
	*s = anomalySpec{method: pick(r, "novelty", "novelty", "ewma", "seasonal"), learn: 10 + r.IntN(30), cooldown: r.IntN(30), direction: pick(r, "any", "any", "up", "down")}
	switch s.method {
	case "novelty":
		s.score = pick(r, 0.6, 1.26, 1.9)
	case "ewma":
		s.score, s.alpha = float64(3+r.IntN(4)), pick(r, 0.005, 0.1)
	case "seasonal":
		s.score, s.alpha = float64(3+r.IntN(4)), pick(r, 0.02, 0.1)
	}
	events := randomStream(r, x, 4*n)
	level, noise := 30.0, 10.0
	for i := range events {
		e := &events[i]
		if r.IntN(60) == 0 {
			level, noise = float64(r.IntN(80)), float64(r.IntN(20))
		}
		e.cpu = math.Round((level+noise*r.Float64()+noise/4*r.NormFloat64())*100) / 100
		if r.IntN(50) == 0 {
			e.cpu += float64(r.IntN(200) - 100)
		}
		if r.IntN(3) > 0 {
			e.agent, e.action = "a1", "error"
		}
	}
	return x, events
}

func TestAnomalyAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	alerts := 0
	for i := range uint64(120) {
		_, n := againstOracle(t, dict, drawAnomaly, 5, i, 100)
		alerts += n
	}
	if alerts < 200 {
		t.Errorf("only %d alerts, the test shows little", alerts)
	}
}

// FuzzAnomalyAgainstOracle draws anomaly rules and streams from seeds.
func FuzzAnomalyAgainstOracle(f *testing.F) {
	dict := dictionary(f)
	f.Add(uint64(1), uint64(2), uint8(100))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) { againstOracle(t, dict, drawAnomaly, a, b, int(n)+1) })
}
