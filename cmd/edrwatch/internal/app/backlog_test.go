package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// lopsided gives one partition half of all records.
type lopsided struct{ inner kafka.Murmur2Balancer }

func (l lopsided) Balance(m kafka.Message, partitions ...int) int {
	var all [32]int
	for i := range all {
		all[i] = i
	}
	return partitions[min(l.inner.Balance(m, all[:]...), len(partitions)-1)]
}

// TestBacklogIsJudgedAsByReplay lets new gateways read the whole of July 19 from
// 16 partitions of very unequal length, with memory for a few answers only: what
// they tell of the fleet is what a replay tells.
func TestBacklogIsJudgedAsByReplay(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	d, err := LoadDetection(DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		gateways  int
		exchanged bool
	}{{1, false}, {1, true}, {3, true}} {
		s := newBacklogSite(t)
		f := s.feed("july19-small", 1000, 45*time.Minute)
		f.w.Balancer = lopsided{}
		r := &recording{}
		f.tap = func(e simulator.Emission) { r.records = append(r.records, e) }
		f.until(45 * time.Minute)
		want := fleetAlertsOf(t, r.inOrder(t, d, true))
		if len(want) < 5 {
			t.Fatalf("a replay tells only %d alerts", len(want))
		}
		members := make([]*member, tc.gateways)
		for i := range members {
			members[i] = s.start(func(cfg *config.Config) {
				source := cfg.Sources[0].Settings.(*kafkasource.Config)
				source.MaxInFlightBytes, source.MaxBatchBytes, source.FetchMaxBytes = 4<<20, 1<<20, 1<<20
				if tc.exchanged {
					s.exchanging(cfg)
				}
			})
		}
		settled(t, f.sent, members...)
		var got []string
		for _, m := range members {
			m.end()
			for _, kind := range []string{"bad_rollout", "mass_silence"} {
				for _, a := range m.fleetAlerts(kind) {
					got = append(got, fmt.Sprint(a))
				}
			}
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%d gateways (exchange %t) told\n%s\na replay tells\n%s", tc.gateways, tc.exchanged, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func newBacklogSite(t *testing.T) *site {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("site"), kfake.SeedTopics(16, simulator.TopicFDR), kfake.SeedTopics(1, "edrwatch.fleet", "edrwatch.state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &site{t, cluster.ListenAddrs()[0]}
}

func fleetAlertsOf(t *testing.T, alerts map[string]string) (list []string) {
	t.Helper()
	for _, text := range alerts {
		var a told
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatal(err)
		}
		if a.EDR.Alert.Kind == "bad_rollout" || a.EDR.Alert.Kind == "mass_silence" {
			list = append(list, fmt.Sprint(a))
		}
	}
	slices.Sort(list)
	return list
}
