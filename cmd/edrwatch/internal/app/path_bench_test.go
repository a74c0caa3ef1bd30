package app

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/mappings"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
)

// fdrRecord is a heartbeat-like FDR record of about 900 B with 29 fields, the
// size and shape that the reference figures of other engines were taken with.
func fdrRecord(i int) []byte {
	return fmt.Appendf(nil, `{"event_simpleName":"SensorHeartbeat","name":"SensorHeartbeatV4","id":"6b1f2a60-1111-4c1e-9d3e-%012d",`+
		`"aid":"%032x","cid":"0123456789abcdef0123456789abcdef","aip":"203.0.113.%d","event_platform":"Win",`+
		`"timestamp":"%d","ConfigStateHash":"%d","ConfigBuild":"1007.3.0018110.1","ConfigIDBase":"65994763",`+
		`"ConfigIDBuild":"18110","ConfigIDPlatform":"3","ConfigurationVersion":"10","EffectiveTransmissionClass":"0",`+
		`"Entitlements":"15","ContextTimeStamp":"%d.123","EventOrigin":"1","NetworkContainmentState":"0",`+
		`"ProvisionState":"1","SensorStateBitMap":"0","AgentVersion":"7.16.18110.0","ComputerName":"wks-%05d",`+
		`"MachineDomain":"corp.example","SiteName":"site-%d","SensorGroupingTags":"ring/broad,owner/it",`+
		`"ChannelVersion":"%d","ChannelId":"291","LocalAddressIP4":"10.%d.%d.%d"}`,
		i, i%5000, i%250, 1721362140000+i*10, i%977, 1721362140+i/100, i%5000, i%40, 30+i%7, i%200, i/200%200, i%250)
}

// renumber gives a record another vendor id, so that it is not a duplicate.
func renumber(record []byte, n int64) {
	const id = `{"event_simpleName":"SensorHeartbeat","name":"SensorHeartbeatV4","id":"6b1f2a60-1111-4c1e-9d3e-`
	for i := len(id) + 11; i >= len(id); i-- {
		record[i] = byte('0' + n%10)
		n /= 10
	}
}

// ruleFiles makes n rules of the shapes that real ones have; about 1 % of them
// are candidates for a heartbeat and hardly any matches.
func ruleFiles(n int) fstest.MapFS {
	actions := strings.Fields("sensor-crashed content-updated tamper-attempt service-configured driver-loaded policy-failed host-crashed log-cleared sensor-stopped mode-changed")
	var b strings.Builder
	for i := range n {
		action := actions[i%len(actions)]
		if i%100 == 0 {
			action = "sensor-heartbeat"
		}
		condition := []string{
			fmt.Sprintf(`event.action == "%s" and agent.version startsWith "6.%d"`, action, i),
			fmt.Sprintf(`event.action == "%s" and edr.resource.cpu_pct > %d`, action, 50+i%50),
			fmt.Sprintf(`event.action in ["%s"] and host.name startsWith "srv-%d" and edr.state != "protecting"`, action, i),
			fmt.Sprintf(`event.action == "%s" and edr.content.version == "%d" and not (host.os.type == "linux")`, action, i),
		}[i%4]
		fmt.Fprintf(&b, `---
id: 00000000-0000-4000-8000-%012d
name: Generated rule %d
version: 1
type: match
kind: other
maturity: experimental
severity: low
risk_score: 21
description: Generated for the benchmark.
note: |
  ## Triage and analysis
  Generated for the benchmark.
condition: '%s'
`, i, i, condition)
	}
	return fstest.MapFS{"generated.yml": {Data: []byte(b.String())}}
}

// libraryPlan compiles the shipped mappings.
func libraryPlan(tb testing.TB) (*ecs.Dictionary, *mappings.Plan) {
	tb.Helper()
	files, err := mappings.Parse(mappings.Library())
	if err != nil {
		tb.Fatal(err)
	}
	dict, err := ecs.New(files.Fields()...)
	if err != nil {
		tb.Fatal(err)
	}
	plan, err := files.Compile(dict)
	if err != nil {
		tb.Fatal(err)
	}
	return dict, plan
}

// BenchmarkPath is the whole way of a record but delivery: raw FDR bytes →
// mapping → rules → encoded ECS; with "processors" also the enrichment and
// redaction that the gateway does by default.
func BenchmarkPath(b *testing.B) {
	dict, plan := libraryPlan(b)
	defaults := config.Default()
	processors, err := NewProcessors(&defaults, dict, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	records := make([]event.Record, 5000)
	size := 0
	for i := range records {
		records[i] = event.Record{Offset: int64(i), Time: 1721362140000 + int64(i)*10, Value: fdrRecord(i)}
		size += len(records[i].Value)
	}
	for _, n := range []int{10, 100, 1000} {
		files, err := rules.Parse(ruleFiles(n))
		if err != nil {
			b.Fatal(err)
		}
		set, err := files.Compile(dict)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) { benchmarkPath(b, records, plan, set, nil) })
		b.Run(fmt.Sprintf("rules=%d+processors", n), func(b *testing.B) { benchmarkPath(b, records, plan, set, processors.List()) })
	}
	b.Logf("records: %d of %d B on average, 29 fields, %d hosts; batches of 500", len(records), size/len(records), 5000)
}

func benchmarkPath(b *testing.B, records []event.Record, plan *mappings.Plan, set *rules.Ruleset, processors []pipeline.Processor) {
	cfg := pipeline.DefaultShardConfig()
	shard := pipeline.NewShard(cfg, plan.NewMapper(), set.NewSession(rules.SessionOptions{Lateness: cfg.Lateness}), processors...)
	p := event.Partition{Prefix: "00c0ffee00c0ffee", Topic: "edr.crowdstrike.fdr"}
	offset := int64(0)
	one := func() {
		i := int(offset) % len(records)
		if i%500 == 0 {
			shard.Reset() // a batch of 500 records
		}
		rec := &records[i]
		rec.Offset = offset
		renumber(rec.Value, offset)
		if outcome := shard.Process(&p, rec, false); outcome != pipeline.Mapped {
			b.Fatalf("outcome %v", outcome)
		}
		offset++
	}
	// The state of 5,000 hosts and the room of a batch grow to 11 MB first, whatever the number of runs. What B/op shows
	// of the runs after that is the window of de-duplication, which grows up to its bound.
	for range 2 * len(records) {
		one()
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(records[0].Value)))
	started, before := time.Now(), offset
	for b.Loop() {
		one()
	}
	b.ReportMetric(float64(offset-before)/time.Since(started).Seconds(), "events/s")
}
