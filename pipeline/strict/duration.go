package strict

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads durations as configuration and rule files write them: those of time.ParseDuration, such as "10s"
// or "1h30m", with "d" for days of 24 hours and "w" for weeks of 7 days at the front, such as "1d", "2w" or "1d12h".
func ParseDuration(text string) (time.Duration, error) {
	rest := text
	sign := time.Duration(1)
	if after, negative := strings.CutPrefix(rest, "-"); negative {
		rest, sign = after, -1
	}
	var total time.Duration
	for _, unit := range []struct {
		suffix string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		digits, after, found := strings.Cut(rest, unit.suffix)
		if !found {
			continue
		}
		count, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || time.Duration(count) > (math.MaxInt64-total)/unit.length {
			return 0, badDuration(text)
		}
		total += time.Duration(count) * unit.length
		rest = after
	}
	if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		return 0, badDuration(text)
	}
	if rest != "" {
		small, err := time.ParseDuration(rest)
		if err != nil || small > math.MaxInt64-total {
			return 0, badDuration(text)
		}
		total += small
	} else if !strings.ContainsAny(text, "dw") {
		return 0, badDuration(text)
	}
	return sign * total, nil
}

func badDuration(text string) error {
	return fmt.Errorf("expected duration such as 10s, 5m or 1d, found %s", shorten(text))
}

// FormatDuration writes a duration in the form that ParseDuration reads, without units that are zero: "1m", not "1m0s".
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d > 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
