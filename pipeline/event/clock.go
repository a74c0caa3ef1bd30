package event

import "time"

// AppendTime appends ns (nanoseconds since 1970) as RFC 3339 in UTC with
// milliseconds, and with more digits only where they are not zero:
// 2024-07-19T04:09:00.000Z.
func AppendTime(dst []byte, ns int64) []byte {
	t := time.Unix(0, ns).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = append(dst, '-')
	dst = appendDigits(dst, int(month), 2)
	dst = append(dst, '-')
	dst = appendDigits(dst, day, 2)
	dst = append(dst, 'T')
	dst = appendDigits(dst, hour, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, minute, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, second, 2)
	dst = append(dst, '.')
	fraction := t.Nanosecond()
	switch {
	case fraction%1e6 == 0:
		dst = appendDigits(dst, fraction/1e6, 3)
	case fraction%1e3 == 0:
		dst = appendDigits(dst, fraction/1e3, 6)
	default:
		dst = appendDigits(dst, fraction, 9)
	}
	return append(dst, 'Z')
}

func appendDigits(dst []byte, n, width int) []byte {
	for i := width - 1; i >= 0; i-- {
		d := n
		for range i {
			d /= 10
		}
		dst = append(dst, byte('0'+d%10))
	}
	return dst
}
