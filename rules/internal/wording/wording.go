package wording

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Duration writes nanoseconds to the second, unless they are fewer.
func Duration(ns int64) string {
	d := time.Duration(max(ns, 0))
	if d >= time.Second {
		d = d.Round(time.Second)
	}
	return strict.FormatDuration(d)
}

// TimeText writes a time of nanoseconds since 1970.
func TimeText(ns int64) string { return string(event.AppendTime(nil, ns)) }

// MaxListed is how many values the evidence of an alert lists.
const MaxListed = 20

// Plural writes a number with its noun.
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Grouped(n) + " " + noun + "s"
}

// Times writes how often something happened.
func Times(n int64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return Grouped(n) + " times"
}

// Grouped writes a number with commas: 12,345.
func Grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Share writes a part of a whole in per cent.
func Share(part, whole int64) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.3g %%", 100*float64(part)/float64(whole))
}

// Joined lists names: a, b and c.
func Joined(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// JSONList writes strings as a JSON list.
func JSONList(list []string) string {
	b := []byte{'['}
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = event.AppendString(b, s)
	}
	return string(append(b, ']'))
}

// Decimal writes a measured number for people: six digits are enough.
func Decimal(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

// Seconds is a span as a miss's value.
func Seconds(ns int64) float64 { return time.Duration(ns).Seconds() }
