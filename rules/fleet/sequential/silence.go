package sequential

// Silence judges how many agents of one group fall silent: it learns what is
// usual, lately and at the hour of the week, and sums up what is more. It is
// not safe for concurrent use.
type Silence struct {
	Mean     float64 // between silences of an agent of the kind, in seconds, before anything is known
	Sleeps   bool    // agents of the kind sleep
	Hazard   Hazard
	Calendar Calendar
	CUSUM    CUSUM
}

// NewSilence starts from the mean time between silences of one agent in
// seconds. Of agents that sleep it is believed until the hours are known:
// a quiet night says nothing about the hour in which the office closes.
func NewSilence(mean float64, sleeps bool) Silence {
	return Silence{Mean: mean, Sleeps: sleeps, Hazard: NewHazard(mean), CUSUM: NewCUSUM()}
}

// quietest is the part of the usual rate of agents that sleep below which no
// hour is believed to be, because holidays move evenings into afternoons.
const quietest = 0.2

// Expect returns how many of so many agents fall silent in the seconds before
// at, nanoseconds since 1970.
func (s *Silence) Expect(at int64, agents, seconds float64) float64 {
	rate, trusted := s.Calendar.Rate(at, 1/s.Mean)
	lately := s.Hazard.Expect(agents, seconds)
	switch {
	case !s.Sleeps && trusted:
		return max(lately, agents*seconds*rate)
	case !s.Sleeps:
		return lately
	case trusted:
		return agents * seconds * max(rate, quietest/s.Mean)
	}
	return max(lately, agents*seconds*max(rate, 1/s.Mean))
}

// Lately returns how many fall silent by what was seen: at the hour, where it
// was seen often enough, else recently.
func (s *Silence) Lately(at int64, agents, seconds float64) float64 {
	lately := s.Hazard.Expect(agents, seconds)
	if rate, trusted := s.Calendar.Rate(at, 1/s.Mean); trusted {
		return max(lately, agents*seconds*rate)
	}
	return lately
}

// Learn takes how many fell silent in the seconds before at. What an incident
// does must not be taught.
func (s *Silence) Learn(at int64, silences, agents, seconds float64) {
	s.Calendar.Learn(at, min(silences, clipAt*s.Expect(at, agents, seconds)+1), agents, seconds)
	s.Hazard.Learn(silences, agents, seconds)
}
