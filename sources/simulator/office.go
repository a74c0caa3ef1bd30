package simulator

// siteHours are the offsets of the sites' clocks from UTC in hours.
var siteHours = [...]int64{2, -4, 8, 1, 2, 10, -7, -4, 2, 2, 9, 1, 2, -3, 5, 2}

const (
	hour       = int64(3_600_000) // ms
	day        = 24 * hour
	workBegins = 8 * hour
	workEnds   = 18 * hour
)

// working reports whether it is working time at the agent's site, and how much
// of it is left in ms.
func (f *Fleet) working(a *agent, at int64) (bool, int64) {
	local := at + siteHours[a.site]*hour
	if weekday := (local/day + 4) % 7; weekday == 0 || weekday == 6 { // 1 January 1970 was a Thursday.
		return false, 0
	}
	left := workEnds - local%day
	return local%day >= workBegins && left > 0, left
}

// worksAtStart reports whether the host is up when the simulated time begins.
func (f *Fleet) worksAtStart(a *agent) bool {
	if a.class == server || a.class == desktop && !a.nightly {
		return true
	}
	working, _ := f.working(a, f.start)
	return working && (a.class == desktop || f.random.Float64() < 0.7)
}

// planEvening schedules the end of this time of being up: a pause of a laptop
// by day, and the end of the working day. Some laptops are opened once more.
func (f *Fleet) planEvening(a *agent) {
	_, left := f.working(a, f.now)
	left += f.upTo(hour) - hour/2
	if left < hour/4 {
		left = hour/4 + f.upTo(hour) // in the evening
	}
	if a.nightly {
		f.later(a, taskReboot, left)
		return
	}
	f.later(a, taskSleep, min(left, f.exp(f.config.Scenario.Noise.Awake)))
}

// planMorning schedules when the host is used again: soon by day, else on the
// next working day, or now and then in the evening.
func (f *Fleet) planMorning(a *agent) {
	working, left := f.working(a, f.now)
	wake := taskWake
	if a.nightly {
		wake = taskBoot
	}
	pause := f.exp(f.config.Scenario.Noise.Asleep / 4)
	if working && pause < left && !a.nightly || a.class == laptop && f.random.Float64() < 0.05 {
		f.later(a, wake, pause)
		return
	}
	next := f.now
	for {
		local := next + siteHours[a.site]*hour
		next += day - local%day + workBegins // of the day after
		if local%day < workBegins {
			next -= day // of this one
		}
		if working, _ := f.working(a, next); working {
			break
		}
	}
	f.later(a, wake, max(1000, next-f.now+f.upTo(2*hour)-hour))
}
