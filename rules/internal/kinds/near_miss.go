package kinds

import (
	"fmt"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// What the states offer as misses. Each is called where a state has judged an
// event and raises nothing, in a session that was asked for misses.

// offerCount offers a number of things that is not what having asks for.
func offerCount(rs *engine.RuleSession, key string, at, had, low, high int64, noun, having, window string) {
	miss := engine.NearMiss{Rule: rs.Rule(), Stage: engine.MissedBound, Key: key, At: at, Measure: noun, Value: float64(had), Bound: float64(low)}
	miss.Nearness = float64(had) / float64(low)
	if had > high {
		miss.Bound, miss.Nearness = float64(high), float64(high)/float64(had)
	}
	what, of, isOf := strings.Cut(noun, " of ") // "value of process.name"
	what = wording.Plural(had, what)
	if isOf {
		what += " of " + of
	}
	miss.Reason = fmt.Sprintf("had %s within %s; the rule asks for %s", what, window, having)
	rs.NearMisses().Offer(miss)
}

// nearestBefore is the evidence of what came nearest to an alert before the
// window that raised it, out of what the key's state still remembers: it costs
// nothing until an alert is raised. Value is in the unit of the alert's value.
func nearestBefore(value []byte, at int64) engine.Evidence {
	b := append([]byte(`{"value":`), value...)
	b = append(b, `,"time":"`...)
	b = append(event.AppendTime(b, at), `"}`...)
	return engine.Evidence{Name: "nearest_miss", JSON: string(b)}
}
