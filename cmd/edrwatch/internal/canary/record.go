package canary

import (
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Record is one of a beat.
type Record struct {
	Key, Value []byte
	Time       time.Time
}

// AgentID is that of the canary or the witness of a feed and a consumer group:
// a gateway that takes the feed over goes on with them.
func AgentID(part, group, feed string) string {
	return event.CanaryType + "-" + part + "-" + event.HashID(group, feed)
}

// beat is a heartbeat in edrwatch's own schema (mappings/native).
func beat(feed, agent string, at time.Time) Record {
	b := []byte(`{"edrwatch":"1","action":"sensor-heartbeat","id":`)
	b = event.AppendString(b, strconv.FormatInt(at.UnixMilli(), 36))
	b = append(b, `,"time":`...)
	b = event.AppendString(b, string(event.AppendTime(nil, at.UnixNano())))
	b = append(b, `,"agent":{"id":`...)
	b = event.AppendString(b, agent)
	b = append(b, `,"type":"`+event.CanaryType+`"},"host":{"name":`...)
	b = event.AppendString(b, agent)
	b = append(b, `,"type":"server"},"tags":["edrwatch-canary"],"message":`...)
	b = event.AppendString(b, "heartbeat of the canary with which edrwatch proves that it would notice silent agents in "+feed)
	return Record{Key: []byte(agent), Value: append(b, '}'), Time: at}
}
