package fleet

import (
	"cmp"
	"math"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
)

// evidence is what comparisons say of a version in one way to fail. The first
// is of all agents with it against all without, stratum by stratum. A version
// that harms servers drowns in the sleep of laptops, one that harms on arrival
// has nobody left to be compared with once most have it, and one that harms a
// single model of hardware is rare among all: these have comparisons of their
// own. The value is the mean of all by fixed weights, which is an e-process as
// each of them is: to look in many places costs a constant, not the bound on
// false alarms.
type evidence struct {
	sequential.EProcess                     // all with it against all without
	early               sequential.EProcess // those that got it within earlyFor against all others
	servers             sequential.EProcess // of servers alone
	models              map[string]*modelEvidence
}

type modelEvidence struct{ whole, early sequential.EProcess }

// earlyFor is for how long after its exposure an agent is of those that have
// just got the version, in minutes.
const earlyFor = 15

// Weights of the comparisons; they add up to one. That of a model is one of
// maxModels shares, whether there are so many or not.
const (
	weightWhole   = 0.35
	weightEarly   = 0.30
	weightServers = 0.15
	weightModels  = 0.20
	maxModels     = 64 // compared a version and way to fail
)

// model returns the comparison within a model of hardware, nil for one more
// than maxModels.
func (e *evidence) model(name string) *modelEvidence {
	m := e.models[name]
	if m == nil && len(e.models) < maxModels {
		if e.models == nil {
			e.models = map[string]*modelEvidence{}
		}
		m = &modelEvidence{}
		e.models[name] = m
	}
	return m
}

// each calls tell for every comparison, with the logarithm of its part of the value;
// model is "" for all but those of a model.
func (e *evidence) each(tell func(log float64, test *sequential.EProcess, model string)) {
	part := func(weight float64, p *sequential.EProcess, model string) { tell(math.Log(weight)+p.Log(), p, model) }
	part(weightWhole, &e.EProcess, "")
	part(weightEarly, &e.early, "")
	part(weightServers, &e.servers, "")
	for _, name := range sortedKeys(e.models, strings.Compare) {
		m := e.models[name]
		part(weightModels/maxModels/2, &m.whole, name)
		part(weightModels/maxModels/2, &m.early, name)
	}
}

// Log is the natural logarithm of the value.
func (e *evidence) Log() float64 {
	if e.NewArm+e.Control == 0 {
		return 0 // Nothing was compared.
	}
	var logs [3 + 2*maxModels]float64
	n, highest := 0, math.Inf(-1)
	e.each(func(log float64, _ *sequential.EProcess, _ string) {
		logs[n] = log
		highest = max(highest, log)
		n++
	})
	// Models of which nothing failed yet stand at one.
	sum := weightModels / maxModels * float64(maxModels-len(e.models)) * math.Exp(-highest)
	for _, log := range logs[:n] {
		sum += math.Exp(log - highest)
	}
	return highest + math.Log(sum)
}

// suspect returns the model of hardware that the strongest comparison is about,
// "" for no single one, and how many agents failed in its new arm.
func (e *evidence) suspect() (model string, failed int) {
	best := math.Inf(-1)
	e.each(func(log float64, test *sequential.EProcess, name string) {
		if log > best {
			best, model, failed = log, name, int(test.NewArm)
		}
	})
	return model, failed
}

// window counts who got a version within earlyFor and the minute before, so
// that those at risk are rather too many.
type window struct {
	minutes [earlyFor + 1]int
	at      int64 // the last minute
}

// add counts agents at a time and returns how many there are in the window.
func (w *window) add(at int64, n int) int {
	minute := at / int64(time.Minute)
	const size = int64(len(w.minutes))
	for gone := min(minute-w.at, size); gone > 0; gone-- {
		w.minutes[(minute-gone+1)%size] = 0
	}
	w.at = max(w.at, minute)
	w.minutes[w.at%size] += n
	total := 0
	for _, n := range w.minutes {
		total += n
	}
	return total
}

// compareModels compares hosts of one model of hardware that have the version
// with others of the model that do not.
func (j *Judge) compareModels(jv *judgedVersion, step *VersionStep, s *Step) {
	for _, name := range sortedKeys(step.Models, strings.Compare) {
		arm, all := step.Models[name], s.Models[ModelKey{jv.version.Product, name}]
		recent := of(jv.modelLately, name).add(s.At, arm.Exposed)
		if all == nil {
			continue
		}
		for c := range classes + 1 {
			if all.Failures[c] == 0 || c == Silence {
				// Laptops that wake get what is new, and soon sleep again; the silence of
				// servers is among all failures together.
				continue
			}
			m := jv.test[c].model(name)
			if m == nil {
				continue
			}
			m.whole.Observe(arm.Failures[c], max(all.Failures[c]-arm.Failures[c], 0), share(arm.Alive, arm.Failures[Silence], all.Alive, all.Failures[Silence]))
			m.early.Observe(arm.Early[c], max(all.Failures[c]-arm.Early[c], 0), share(min(recent, arm.Alive), arm.Early[Silence], all.Alive, all.Failures[Silence]))
		}
	}
}

// share is that of the new arm of those at risk: who fell silent in a step was
// at risk in it.
func share(alive, fell, allAlive, allFell int) float64 {
	return min(float64(alive+fell)/float64(max(allAlive+allFell, 1)), 1)
}

func compareModels(a, b ModelKey) int {
	return cmp.Or(cmp.Compare(a.Product, b.Product), cmp.Compare(a.Model, b.Model))
}
