package store

import (
	"fmt"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// batchOf makes n heartbeats of about 900 bytes from a fleet of agents.
func batchOf(n, from, agents int) []*event.Document {
	docs := make([]*event.Document, n)
	for i := range docs {
		k := from + i
		host := fmt.Sprintf("pc-%05d.corp.example", k%agents)
		agent := fmt.Sprintf("%032x", k%agents)
		at := start + int64(k)*second/100
		docs[i] = doc(fmt.Sprintf("9f86d081884c7d65-%d-%d-0", k%8, k), at, "sensor-heartbeat", host, agent, fmt.Sprintf(
			`"@timestamp":"2024-07-19T04:09:00.000Z","agent":{"id":%q,"type":"crowdstrike-falcon","version":"7.16.18605.0"},"crowdstrike":{"ConfigBuild":"1007.3.0018605.15","ConfigIDBase":"65994763","ConfigIDBuild":"18605","ConfigIDPlatform":"3","ConfigStateHash":"3099213446","Entitlements":"15","SensorStateBitMap":"0","NetworkContainmentState":"0","ProvisionState":"1","cid":"0123456789abcdef0123456789abcdef","name":"SensorHeartbeatWin10V4"},"data_stream":{"dataset":"edr.telemetry","namespace":"default","type":"logs"},"ecs":{"version":"9.4.0"},"edr":{"content":{"hash":"3099213446"},"mode":"kernel","state":"protecting"},"event":{"action":"sensor-heartbeat","category":["host"],"code":"SensorHeartbeat","created":"2024-07-19T04:09:00.000Z","dataset":"crowdstrike.fdr","id":"x","kind":"state","module":"crowdstrike","outcome":"success","provider":"crowdstrike-falcon","type":["info"]},"host":{"name":%q,"os":{"type":"windows"}},"observer":{"product":"Falcon","vendor":"CrowdStrike"}`,
			agent, host))
	}
	return docs
}

// BenchmarkWrite measures documents a second with a flush to disk per batch.
func BenchmarkWrite(b *testing.B) {
	for _, bc := range []struct {
		name     string
		maxBytes strict.Bytes
	}{{"growing", 4 << 30}, {"evicting", 8 << 20}} {
		b.Run(bc.name, func(b *testing.B) {
			s := open(b, func(c *Config, _ *Settings) { c.MaxBytes = bc.maxBytes })
			const size, agents = 500, 10_000
			results := make([]event.Result, size)
			b.ReportAllocs()
			n, bytes := 0, 0
			for b.Loop() {
				b.StopTimer()
				docs := batchOf(size, n, agents)
				clear(results)
				for _, d := range docs {
					bytes += len(d.Body)
				}
				b.StartTimer()
				if err := s.Write(b.Context(), docs, results); err != nil {
					b.Fatal(err)
				}
				n += size
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "docs/s")
			b.ReportMetric(float64(bytes)/float64(n), "B/doc")
		})
	}
}

// BenchmarkSearch measures questions of the console to 100,000 events of
// 10,000 agents.
func BenchmarkSearch(b *testing.B) {
	s := open(b, nil)
	const events, size = 100_000, 2000
	for n := 0; n < events; n += size {
		if err := s.Write(b.Context(), batchOf(size, n, 10_000), make([]event.Result, size)); err != nil {
			b.Fatal(err)
		}
	}
	for _, bc := range []struct {
		name string
		run  func() error
	}{
		{"newest page", func() error { _, err := s.Search(b.Context(), Query{}); return err }},
		{"one host", func() error {
			_, err := s.Search(b.Context(), Query{Text: "host.name:pc-00042.corp.example"})
			return err
		}},
		{"a word that is nowhere", func() error { _, err := s.Search(b.Context(), Query{Text: "nowhere"}); return err }},
		{"a field that is nowhere", func() error { _, err := s.Search(b.Context(), Query{Text: "edr.resource.cpu_pct>80"}); return err }},
		{"histogram of all", func() error { _, err := s.Histogram(b.Context(), Query{}, 60); return err }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			for b.Loop() {
				if err := bc.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
