package mappings

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// timeFormat reads one way of writing a point in time: nanoseconds since 1970,
// and false for what is not in the format, not a time (FILETIME 0, which
// Windows means as "never") or outside of the years 1678 to 2261.
type timeFormat func(s string) (int64, bool)

// timeFormats returns the formats by name. Zone is where times without an
// offset belong.
func timeFormatByName(name string, zone *time.Location) (timeFormat, bool) {
	rfc3339 := func(s string) (int64, bool) { return parseRFC3339(s, zone) }
	switch name {
	case "", "auto":
		return func(s string) (int64, bool) {
			if isNumber(s) {
				return parseEpochBySize(s)
			}
			return rfc3339(s)
		}, true
	case "rfc3339":
		return rfc3339, true
	case "epoch_s":
		return epochFormat(9), true
	case "epoch_ms":
		return epochFormat(6), true
	case "epoch_us":
		return epochFormat(3), true
	case "epoch_ns":
		return epochFormat(0), true
	case "filetime":
		return parseFiletime, true
	case "cef":
		return cefFormat(zone), true
	}
	if strings.Contains(name, "2006") {
		return func(s string) (int64, bool) {
			t, err := time.ParseInLocation(name, s, zone)
			if err != nil || t.Year() < 1678 || t.Year() > 2261 {
				return 0, false
			}
			return t.UnixNano(), true
		}, true
	}
	return nil, false
}

// timeFormatNames lists what timeFormatByName knows besides Go layouts.
func timeFormatNames() []string {
	return []string{"auto", "rfc3339", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "filetime", "cef", "syslog (of timestamp)"}
}

func isNumber(s string) bool {
	for _, c := range []byte(s) {
		if c-'0' >= 10 && c != '.' {
			return false
		}
	}
	return s != ""
}

// parseEpochBySize tells the unit by the number of digits, which is certain
// for the years 1973 to 5138. FILETIMEs of this century have the digits of
// 1e17 nanoseconds, which would be 1973.
func parseEpochBySize(s string) (int64, bool) {
	whole, _, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case err != nil || n < 1e8:
		return 0, false
	case n < 1e11:
		return parseDecimal(s, 9)
	case n < 1e14:
		return parseDecimal(s, 6)
	case n < 1e17:
		return parseDecimal(s, 3)
	case n < 1e18:
		return parseFiletime(s)
	}
	return parseDecimal(s, 0)
}

func epochFormat(exponent int) timeFormat {
	return func(s string) (int64, bool) {
		ns, ok := parseDecimal(s, exponent)
		return ns, ok && ns > 0
	}
}

// parseDecimal returns s times ten to the power of exponent, at most 9, digits
// beyond that cut off, without the rounding of floating point.
func parseDecimal(s string, exponent int) (int64, bool) {
	powers := [...]int64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}
	whole, fraction := s, ""
	if i := strings.IndexByte(s, '.'); i >= 0 {
		whole, fraction = s[:i], s[i+1:]
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if power := powers[exponent]; err != nil || n > math.MaxInt64/power || n < math.MinInt64/power {
		return 0, false
	}
	n *= powers[exponent]
	if len(fraction) > exponent {
		fraction = fraction[:exponent]
	}
	parts, ok := digits(fraction)
	parts64 := int64(parts) * powers[exponent-len(fraction)]
	if !ok || n > math.MaxInt64-parts64 {
		return 0, false
	}
	return n + parts64, true
}

// parseFiletime reads 100-nanosecond intervals since 1601 (Windows FILETIME).
func parseFiletime(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	const unixEpoch = 116444736000000000
	if err != nil || n <= 0 || n == math.MaxInt64 {
		return 0, false
	}
	n -= unixEpoch
	if n > math.MaxInt64/100 || n < math.MinInt64/100 {
		return 0, false
	}
	return n * 100, true
}

// parseRFC3339 reads RFC 3339 with a space allowed for the T, any number of
// digits after the second, and an offset that may stand behind a space, lack its
// colon, be UTC or GMT, or, when the time belongs to zone, be absent.
func parseRFC3339(s string, zone *time.Location) (int64, bool) {
	const least = len("2006-01-02T15:04:05")
	if len(s) < least || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != ' ' && s[10] != 't' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	hour, ok4 := digits(s[11:13])
	minute, ok5 := digits(s[14:16])
	second, ok6 := digits(s[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) {
		return 0, false
	}
	return calendar{year, month, day, hour, minute, second}.at(s[least:], zone)
}

// calendar is a time as people write it.
type calendar struct{ year, month, day, hour, minute, second int }

// at returns the point in time, with the fraction of a second and the offset
// that rest begins with and is.
func (c calendar) at(rest string, zone *time.Location) (int64, bool) {
	if c.year < 1678 || c.year > 2261 || c.month < 1 || c.month > 12 || c.day < 1 || c.day > 31 || c.hour > 23 || c.minute > 59 || c.second > 60 {
		return 0, false
	}
	fraction := 0
	if rest != "" && (rest[0] == '.' || rest[0] == ',') {
		i := 1
		for scale := 100_000_000; i < len(rest) && rest[i]-'0' < 10; i++ {
			fraction += int(rest[i]-'0') * scale
			scale /= 10
		}
		if i == 1 {
			return 0, false
		}
		rest = rest[i:]
	}
	location := zone
	offset := 0
	rest = strings.TrimPrefix(rest, " ")
	if len(rest) > 3 && (strings.HasPrefix(rest, "GMT") || strings.HasPrefix(rest, "UTC")) {
		rest = rest[3:] // GMT+02:00
	}
	switch {
	case rest == "Z" || rest == "z" || rest == "UTC" || rest == "GMT":
		location = time.UTC
	case rest != "":
		location = time.UTC
		var ok bool
		if offset, ok = parseOffset(rest); !ok {
			return 0, false
		}
	}
	if location == time.UTC {
		days, ok := daysSince1970(c.year, c.month, c.day)
		seconds := int64(days)*86400 + int64(c.hour*3600+c.minute*60+c.second-offset)
		return seconds*1e9 + int64(fraction), ok
	}
	t := time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, fraction, location)
	if t.Day() != c.day && c.second < 60 {
		return 0, false // 31 February
	}
	return t.UnixNano(), true
}

// daysSince1970 counts days of the Gregorian calendar in years that begin in
// March, so that a leap day is the last of its year. It returns false for a day
// that its month does not have.
func daysSince1970(year, month, day int) (int, bool) {
	leap := year%4 == 0 && (year%100 != 0 || year%400 == 0)
	if day > 28 && (month == 2 && (day > 29 || !leap) || day == 31 && (month == 4 || month == 6 || month == 9 || month == 11)) {
		return 0, false
	}
	if month < 3 {
		month += 12
		year--
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468, true
}

func parseOffset(s string) (seconds int, ok bool) {
	sign := 1
	if s[0] == '-' {
		sign = -1
	} else if s[0] != '+' {
		return 0, false
	}
	s = s[1:]
	if len(s) == 5 && s[2] == ':' {
		m, ok := digits(s[3:])
		h, ok2 := digits(s[:2])
		return sign * (h*60 + m) * 60, ok && ok2 && h < 24 && m < 60
	}
	if len(s) != 4 && len(s) != 2 {
		return 0, false
	}
	h, ok := digits(s[:2])
	m, ok2 := 0, true
	if len(s) == 4 {
		m, ok2 = digits(s[2:])
	}
	return sign * (h*60 + m) * 60, ok && ok2 && h < 24 && m < 60
}

func digits(s string) (n int, ok bool) {
	for _, c := range []byte(s) {
		if c-'0' >= 10 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
