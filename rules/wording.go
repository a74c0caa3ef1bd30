package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// subject names what an alert is about.
func subject(n *entity, key string) string {
	switch {
	case n != nil && n.Type != "" && n.HostName != "":
		return n.HostName + " (" + n.Type + ")"
	case n != nil:
		return n.name()
	case key != "":
		return key
	}
	return "the fleet"
}

// duration writes nanoseconds to the second, unless they are fewer.
func duration(ns int64) string {
	d := time.Duration(max(ns, 0))
	if d >= time.Second {
		d = d.Round(time.Second)
	}
	return strict.FormatDuration(d)
}

// timeText writes a time of nanoseconds since 1970.
func timeText(ns int64) string { return string(event.AppendTime(nil, ns)) }

// maxListed is how many values the evidence of an alert lists.
const maxListed = 20

// plural writes a number with its noun.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// times writes how often something happened.
func times(n int64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return grouped(n) + " times"
}

// grouped writes a number with commas: 12,345.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// share writes a part of a whole in per cent.
func share(part, whole int64) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.3g %%", 100*float64(part)/float64(whole))
}

// joined lists names: a, b and c.
func joined(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// jsonList writes strings as a JSON list.
func jsonList(list []string) string {
	b := []byte{'['}
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = event.AppendString(b, s)
	}
	return string(append(b, ']'))
}

// decimal writes a measured number for people: six digits are enough.
func decimal(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }
