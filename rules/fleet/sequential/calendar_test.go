package sequential

import (
	"testing"
	"time"
)

// weeks teaches a calendar the life of a thousand agents, of which so many fall
// silent in an hour.
func weeks(s *Silence, from time.Time, n int, silent func(local time.Time) float64, zone *time.Location) time.Time {
	at := from
	for range n * 7 * 24 * 360 {
		at = at.Add(10 * time.Second)
		s.Learn(at.UnixNano(), silent(at.In(zone))/360, 1000, 10)
	}
	return at
}

func office(local time.Time) float64 {
	switch weekend := local.Weekday() == time.Saturday || local.Weekday() == time.Sunday; {
	case weekend:
		return 5
	case local.Hour() == 17:
		return 700
	case local.Hour() >= 8 && local.Hour() < 17:
		return 60
	}
	return 5
}

func TestHoursAreLearned(t *testing.T) {
	monday := time.Date(2025, 3, 3, 0, 0, 0, 0, time.UTC)
	s := NewSilence(2*3600, true)
	at := func(day, hour int) float64 {
		return s.Expect(monday.AddDate(0, 0, 21+day).Add(time.Duration(hour)*time.Hour+time.Minute).UnixNano(), 1000, 3600)
	}
	if before := at(0, 11); before < 499 || before > 501 {
		t.Fatalf("before anything is known %.0f of 1000 are expected in an hour, want 500", before)
	}
	weeks(&s, monday, 3, office, time.UTC)
	for _, c := range []struct {
		name      string
		day, hour int
		low, high float64
	}{
		{"the end of a working day", 1, 17, 600, 1000},
		{"an hour before it", 1, 16, 600, 1000},
		{"eleven on a weekday", 1, 11, 90, 130}, // Never below a fifth of what such agents do.
		{"eleven at night", 1, 23, 90, 130},
		{"Saturday", 5, 17, 90, 130},
	} {
		if got := at(c.day, c.hour); got < c.low || got > c.high {
			t.Errorf("%s: %.0f of 1000 are expected in an hour, want %.0f to %.0f", c.name, got, c.low, c.high)
		}
	}
}

// TestClocksArePutForward: offices close an hour earlier by UTC, all of a sudden.
func TestClocksArePutForward(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones here: ", err)
	}
	s := NewSilence(2*3600, true)
	at := weeks(&s, time.Date(2025, 3, 3, 0, 0, 0, 0, time.UTC), 4, office, zone)
	if at.Month() != time.March || at.Day() != 31 { // The day after.
		t.Fatalf("it is %v", at)
	}
	for range 24 * 360 {
		at = at.Add(10 * time.Second)
		silent := office(at.In(zone)) / 360
		if s.CUSUM.Step(silent, s.Expect(at.UnixNano(), 1000, 10)) {
			t.Fatalf("alarm at %v", at.In(zone))
		}
		s.Learn(at.UnixNano(), silent, 1000, 10)
	}
}

// TestHoliday: a Thursday on which hardly anybody works, after a Wednesday that
// ends an hour early.
func TestHoliday(t *testing.T) {
	monday := time.Date(2025, 5, 5, 0, 0, 0, 0, time.UTC)
	s := NewSilence(2*3600, true)
	at := weeks(&s, monday, 3, office, time.UTC).Add(2 * 24 * time.Hour) // Wednesday
	for n := range 2 * 24 * 360 {
		at = at.Add(10 * time.Second)
		on, local := 1000.0, at
		if n < 24*360 {
			local = at.Add(time.Hour)
		} else {
			on = 80
		}
		silent := office(local) / 360 * on / 1000
		if s.CUSUM.Step(silent, s.Expect(at.UnixNano(), on, 10)) {
			t.Fatalf("alarm at %v", at)
		}
	}
}

func TestServersAreNotBelievedToSleep(t *testing.T) {
	s := NewSilence(14*86400, false)
	weeks(&s, time.Date(2025, 3, 3, 0, 0, 0, 0, time.UTC), 3, func(local time.Time) float64 {
		if local.Weekday() == time.Wednesday && local.Hour() == 2 {
			return 60 // a patch night
		}
		return 3
	}, time.UTC)
	wednesday := time.Date(2025, 3, 26, 2, 30, 0, 0, time.UTC)
	if got := s.Expect(wednesday.UnixNano(), 1000, 3600); got < 30 || got > 60 {
		t.Errorf("%.1f servers are expected in the patch night, want nearly 60", got)
	}
	if got := s.Expect(wednesday.Add(12*time.Hour).UnixNano(), 1000, 3600); got < 2 || got > 5 {
		t.Errorf("%.1f servers are expected at other times, want about 3", got)
	}
}
