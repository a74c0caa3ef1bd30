package expression

import "strings"

// CompareVersions compares two versions part by part. Parts are separated by
// anything but letters and digits; two parts of digits compare as numbers, a
// part that is missing counts as 0, and others compare as text. So 7.9 is
// before 7.11, and 7.11 equals 7.11.0.
func CompareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = versionPart(a)
		y, b = versionPart(b)
		if c := compareParts(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func versionPart(s string) (part, rest string) {
	i := 0
	for i < len(s) && isAlphanumeric(s[i]) {
		i++
	}
	part = s[:i]
	for i < len(s) && !isAlphanumeric(s[i]) {
		i++
	}
	return part, s[i:]
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

func compareParts(a, b string) int {
	if isDigits(a) && isDigits(b) {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if len(a) != len(b) {
			return len(a) - len(b)
		}
	}
	return strings.Compare(a, b)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
