package fleet

import "time"

// SDP tells how a rollout compares with safe deployment practice: in phases,
// on diverse endpoints, with time to look and a stop at the first harm
// (Microsoft Virus Initiative 3.0; CISA, "Safe Software Deployment", 2024).
// Durations are seconds; null: it has not happened.
type SDP struct {
	Phased        bool     `json:"phased"`           // the first ring was at most a fifth of the fleet, or half of it took an hour
	FirstRing     float64  `json:"first_ring_share"` // of the fleet that was in the first ring, 0 to 1
	RingsUsed     int      `json:"rings_used"`
	To1Percent    *float64 `json:"seconds_to_1_percent"` // of the fleet, from the first exposure
	To50Percent   *float64 `json:"seconds_to_50_percent"`
	To90Percent   *float64 `json:"seconds_to_90_percent"`
	FastestPerMin float64  `json:"fastest_percent_per_minute"` // of the fleet, over the densest stretch
	LongestPause  float64  `json:"longest_pause_seconds"`
	HarmToStop    *float64 `json:"seconds_from_harm_to_stop"` // from the first failure to the last exposure; null: it was never accused
	Spreading     bool     `json:"spreading"`                 // an agent got it in the last ten minutes
	OS            int      `json:"os"`                        // distinct ones among those with it
	HostTypes     int      `json:"host_types"`
	Sites         int      `json:"sites"`
}

// spreadingFor is how long after its last exposure a version counts as one that
// still spreads.
const spreadingFor = int64(10 * time.Minute)

func (jv *judgedVersion) conformance(fleet int, now int64) SDP {
	s := SDP{RingsUsed: len(jv.rings), Spreading: now-jv.lastExposed < spreadingFor, Sites: len(jv.sites)}
	os, types := map[string]bool{}, map[string]bool{}
	for key, n := range jv.alive {
		if n > 0 {
			os[key.OS], types[key.HostType] = true, true
		}
	}
	s.OS, s.HostTypes = len(os), len(types)
	fleet = max(fleet, jv.exposed, 1)
	after := func(share float64) *float64 {
		at := jv.spread.reached(max(int(share*float64(fleet)), 1))
		if at == 0 {
			return nil
		}
		seconds := time.Duration(max(at-jv.first, 0)).Seconds()
		return &seconds
	}
	s.To1Percent, s.To50Percent, s.To90Percent = after(0.01), after(0.5), after(0.9)
	first, earliest := "", int64(0)
	for name, at := range jv.ringFirst {
		if earliest == 0 || at < earliest || at == earliest && name < first {
			first, earliest = name, at
		}
	}
	s.FirstRing = float64(jv.rings[first]) / float64(fleet)
	s.LongestPause = time.Duration(jv.spread.pause()).Seconds()
	for i, x := range jv.spread.points {
		before := 0
		if i > 0 {
			before = jv.spread.points[i-1].exposed
		}
		perMinute := float64(x.exposed-before) / float64(fleet) * 100 / time.Duration(jv.spread.interval).Minutes()
		s.FastestPerMin = max(s.FastestPerMin, perMinute)
	}
	s.Phased = len(jv.rings) > 1 && s.FirstRing <= 0.2 || s.To50Percent == nil || *s.To50Percent >= 3600
	if jv.start != 0 { // Agents fail with a good version, too: only one that was accused did harm.
		seconds := time.Duration(max(jv.lastExposed-jv.firstHarm, 0)).Seconds()
		s.HarmToStop = &seconds
	}
	return s
}
