package sequential

// Hazard learns how often agents of one group fall silent by themselves: the
// probability per agent and second. It starts from a prior that weighs like a
// number of silences already seen, so that the first hours are judged by what
// such agents usually do and not by the few that happened to fall silent.
// What an incident adds is clipped: a slow incident does not become usual.
// It is not safe for concurrent use.
type Hazard struct {
	Silences, Seconds float64 // prior included
}

// clipAt bounds how many times the expected count one step may teach.
const clipAt = 3

// priorWeight is the number of silences that the prior stands for.
const priorWeight = 4

// NewHazard starts from a mean time between silences in seconds of one agent.
func NewHazard(meanSeconds float64) Hazard {
	return Hazard{Silences: priorWeight, Seconds: priorWeight * meanSeconds}
}

// Expect returns how many of so many agents fall silent within the time.
func (h *Hazard) Expect(agents, seconds float64) float64 {
	if h.Seconds <= 0 {
		return 0
	}
	return agents * seconds * h.Silences / h.Seconds
}

// forgetAfter is how many agent seconds (of one agent: a year; of a thousand:
// nine hours) are remembered with full weight.
const forgetAfter = 365 * 86400

// Learn takes what one step showed.
func (h *Hazard) Learn(silences, agents, seconds float64) {
	expected := h.Expect(agents, seconds)
	h.Silences += min(silences, clipAt*expected+1)
	h.Seconds += agents * seconds
	if h.Seconds > forgetAfter {
		scale := forgetAfter / h.Seconds
		h.Silences, h.Seconds = h.Silences*scale, h.Seconds*scale
	}
}
