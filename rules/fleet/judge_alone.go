package fleet

import (
	"fmt"
	"math"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
)

// usualFailure is the mean time between two failures of one agent, in seconds,
// before anything is known.
const usualFailure = 14 * 86400

// alone is how the agents of one ring that have a version fare against how the
// ring fared before. It is what is left where a ring got a version all at once:
// weaker than a comparison, because what changes for everybody at the same time
// counts against the version, and so good for holding it and not for accusing it.
type alone struct {
	now           bool    // nobody of the ring is left without it
	watched       int64   // time in which nobody of the ring was left without it, nanoseconds
	failed        float64 // agents with it that failed, in any way
	seconds       float64 // of agents with it
	beforeFailed  float64 // of the ring, before
	beforeSeconds float64
}

// watchAlone adds one step to the rings of a version.
func (j *Judge) watchAlone(jv *judgedVersion, step *VersionStep, passed int64, compared map[string]bool) {
	rings := map[string]bool{}
	for _, key := range sortedKeys(step.Strata, compareStrata) {
		arm := step.Strata[key]
		a := jv.alone[key.Ring]
		if a == nil {
			a = j.usualOf(key.Product, key.Ring)
			jv.alone[key.Ring] = a
		}
		a.failed += float64(arm.Failures[anyFailure])
		a.seconds += float64(arm.Alive) * time.Duration(passed).Seconds()
		a.now = !compared[key.Ring]
		if arm.Alive > 0 && a.now && !rings[key.Ring] {
			rings[key.Ring] = true
			a.watched += passed
		}
	}
}

// learnFailures learns how often agents fail in any way while no version is
// accused of it.
func (j *Judge) learnFailures(s *Step) {
	for key, stratum := range s.Strata {
		usual := j.failing[key]
		if usual == nil {
			first := sequential.NewHazard(usualFailure)
			usual = &first
			j.failing[key] = usual
		}
		if !j.harming(key.Product) {
			usual.Learn(float64(stratum.Failures[anyFailure]), float64(stratum.Alive), float64(StepLength)/1e9)
		}
	}
}

// usualOf is how the agents of a ring fared up to now.
func (j *Judge) usualOf(product, ring string) *alone {
	a := &alone{}
	for _, key := range sortedKeys(j.failing, compareStrata) {
		if key.Product == product && key.Ring == ring {
			a.beforeFailed += j.failing[key].Silences
			a.beforeSeconds += j.failing[key].Seconds
		}
	}
	if a.beforeSeconds == 0 {
		usual := sequential.NewHazard(usualFailure)
		a.beforeFailed, a.beforeSeconds = usual.Silences, usual.Seconds
	}
	return a
}

// Before sets the agents of a ring that have a version against the ring before
// it got it.
type Before struct {
	// Alone is true while nobody of the ring is left to compare with.
	Alone bool `json:"alone"`
	// Watched is for how long nobody of the ring was left to compare with, in seconds.
	Watched float64 `json:"watched_seconds"`
	// Failed is how many agents failed with it, in any way; Expected how many would have at the rate from before.
	Failed   int     `json:"failed"`
	Expected float64 `json:"expected"`
	// Worse is true when the failures are more than chance explains: the 95 % interval of the ratio is above 1.
	Worse bool `json:"worse"`
}

func (a *alone) report() Before {
	if a == nil || a.beforeSeconds == 0 {
		return Before{}
	}
	b := Before{Alone: a.now, Watched: time.Duration(a.watched).Seconds(), Failed: int(a.failed), Expected: a.seconds * a.beforeFailed / a.beforeSeconds}
	_, low, _ := sequential.RateRatio(int(a.failed), int(math.Round(a.beforeFailed)), a.seconds/(a.seconds+a.beforeSeconds), 0.05)
	b.Worse = low > 1
	return b
}

// silencedSince lists the cohorts of a product that fell silent at once since a
// time, whether they are back or not.
func (j *Judge) silencedSince(product string, since int64) []string {
	var list []string
	for key, c := range j.cohorts {
		if key.product == product && c.start != 0 && (c.firing || c.start >= since) {
			list = append(list, key.product+"/"+key.os)
		}
	}
	return list
}

// uncontrolled decides about a ring in which there was nobody to compare with:
// it returns what still stands against it, or what the verdict rests on.
func (r *Rollout) uncontrolled(in string, ring RingPolicy, b Before) (against []Reason, caveat string) {
	together := time.Duration(r.ringSeen[r.CurrentRing]) + time.Duration(b.Watched*1e9)
	if together < ring.Soak {
		return []Reason{{"nobody is left to compare with; time in which the " + in + " were watched", together.Round(time.Second).String(), ring.Soak.String()}}, ""
	}
	if b.Worse {
		against = append(against, Reason{"nobody is left to compare with, and the " + in + " fail more often than the ring did before", fmt.Sprintf("%d failed", b.Failed), fmt.Sprintf("about %.1f", b.Expected)})
	}
	if len(r.silenced) > 0 {
		against = append(against, Reason{"nobody is left to compare with, and many agents of the product fell silent at once since they got it", bounded(r.silenced), "none"})
	}
	return against, fmt.Sprintf("nobody of the ring was left to compare with: the %s were only set against the ring before (%d failed, %.1f expected) and watched for mass silence", in, b.Failed, b.Expected)
}
