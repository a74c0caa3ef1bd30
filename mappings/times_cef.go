package mappings

import (
	"strings"
	"time"
)

// cefFormat reads times as the Common Event Format writes them (revision 25,
// "Date Formats"): Jul 19 2024 04:09:00, with or without a fraction and a zone
// behind it. Zones are offsets such as GMT+02:00, and names that mean UTC: of
// other names one stands for several zones. Numbers are epochs by their size.
func cefFormat(zone *time.Location) timeFormat {
	return func(s string) (int64, bool) {
		if isNumber(s) {
			return parseEpochBySize(s)
		}
		return parseCEFTime(s, zone)
	}
}

func parseCEFTime(s string, zone *time.Location) (int64, bool) {
	const least = len("Jan 02 2006 15:04:05")
	if len(s) < least || s[3] != ' ' || s[6] != ' ' || s[11] != ' ' || s[14] != ':' || s[17] != ':' {
		return 0, false
	}
	month, ok1 := monthOf(s[:3])
	day, ok2 := digits(strings.TrimPrefix(s[4:6], " "))
	year, ok3 := digits(s[7:11])
	hour, ok4 := digits(s[12:14])
	minute, ok5 := digits(s[15:17])
	second, ok6 := digits(s[18:20])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) {
		return 0, false
	}
	return calendar{year, month, day, hour, minute, second}.at(s[least:], zone)
}

// monthOf returns the number of a month by the beginning of its English name.
func monthOf(name string) (int, bool) {
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	for i := 0; i < len(names); i += 3 {
		if names[i] == name[0]|0x20 && names[i+1] == name[1]|0x20 && names[i+2] == name[2]|0x20 {
			return i/3 + 1, true
		}
	}
	return 0, false
}
