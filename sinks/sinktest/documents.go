package sinktest

import (
	"fmt"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Documents returns n valid documents with ids prefix-0 and up that go through
// all streams; alerts carry the fields of alerts. padding bytes of message are
// added to each.
func Documents(prefix string, n, padding int) []*event.Document {
	const start = 1721361600000000000 // 2024-07-19T04:00:00Z
	partition := &event.Partition{Prefix: prefix, Topic: "edr.test", Number: 3}
	docs := make([]*event.Document, n)
	filler := strings.Repeat("x", padding)
	for i := range docs {
		d := &event.Document{
			ID:        fmt.Sprintf("%s-%d", prefix, i),
			Stream:    event.Streams()[i%len(event.Streams())],
			Time:      start + int64(i)*1_000_000,
			Action:    "sensor-heartbeat",
			Host:      fmt.Sprintf("host-%d", i%7),
			AgentID:   fmt.Sprintf("agent-%d", i%7),
			Partition: partition,
			Offset:    int64(i),
		}
		alert := ""
		if d.Stream == event.Alerts {
			d.Action, d.Severity, d.AlertKind = "alert", "high", ecs.AlertKinds()[0]
			d.Rules = []string{"cpu-spike"}
			alert = `,"alert":{"kind":"` + d.AlertKind + `","severity":"high"}`
		}
		d.Body = append(d.Body, `{"@timestamp":"`...)
		d.Body = event.AppendTime(d.Body, d.Time)
		d.Body = fmt.Appendf(d.Body, `","agent":{"id":%q},"ecs":{"version":%q},"edr":{"state":"protecting"%s},"event":{"action":%q,"id":%q},"host":{"name":%q},"message":%q}`,
			d.AgentID, ecs.Version, alert, d.Action, d.ID, d.Host, filler)
		docs[i] = d
	}
	return docs
}
