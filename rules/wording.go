package rules

import (
	"fmt"
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// subject names what an alert is about.
func subject(n *entity, key string) string {
	switch {
	case n != nil && n.agentType != "" && n.hostName != "":
		return n.hostName + " (" + n.agentType + ")"
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
