package mappings

import (
	"strings"
	"time"
)

// syslogTime reads the time of a syslog header such as "<134>Jul 19 04:10:01
// host" (RFC 3164, which has no year and no zone) or "<134>1
// 2024-07-19T04:10:01Z host" (RFC 5424, or what relays write). The year of the
// former is the one nearest to arrived, in nanoseconds since 1970; without that
// it is no time. zoned tells whether the header says its zone.
func syslogTime(header string, arrived int64) (ns int64, zoned, ok bool) {
	s := strings.TrimSpace(header)
	if strings.HasPrefix(s, "<") {
		_, s, _ = strings.Cut(s, ">")
		s = strings.TrimPrefix(strings.TrimSpace(s), "1 ")
	}
	first, _, _ := strings.Cut(s, " ")
	if ns, ok := parseRFC3339(first, time.UTC); ok {
		return ns, tellsOffset(first), true
	}
	const least = len("Jan _2 15:04:05")
	if arrived == 0 || len(s) < least || s[3] != ' ' || s[6] != ' ' || s[9] != ':' || s[12] != ':' {
		return 0, false, false
	}
	month, ok1 := monthOf(s[:3])
	day, ok2 := digits(strings.TrimPrefix(s[4:6], " "))
	hour, ok3 := digits(s[7:9])
	minute, ok4 := digits(s[10:12])
	second, ok5 := digits(s[13:15])
	if !(ok1 && ok2 && ok3 && ok4 && ok5) {
		return 0, false, false
	}
	year := time.Unix(0, arrived).UTC().Year()
	best := int64(-1)
	for y := year - 1; y <= year+1; y++ {
		at, valid := calendar{y, month, day, hour, minute, second}.at("", time.UTC)
		if distance := max(at-arrived, arrived-at); valid && (best < 0 || distance < best) {
			ns, best, ok = at, distance, true
		}
	}
	return ns, false, ok
}
