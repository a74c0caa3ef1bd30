package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// fleetOf makes a fleet of a shipped scenario.
func fleetOf(t testing.TB, scenario string, agents int, seed uint64) *Fleet {
	t.Helper()
	s, err := Shipped(scenario)
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Config{Seed: seed, Agents: agents, Scenario: s})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// digest runs the fleet to its end.
func digest(f *Fleet) string {
	sum := sha256.New()
	for e, ok := f.Next(); ok; e, ok = f.Next() {
		fmt.Fprintf(sum, "%s %d %s %s\n", e.Topic, e.Time, e.Key, e.Value)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func TestSameSeedGivesTheSameBytes(t *testing.T) {
	for _, name := range Names() {
		first, second := digest(fleetOf(t, name, 80, 7)), digest(fleetOf(t, name, 80, 7))
		if first != second {
			t.Errorf("%s: two runs of one seed differ", name)
		}
	}
	if digest(fleetOf(t, "quiet", 120, 7)) == digest(fleetOf(t, "quiet", 120, 8)) {
		t.Error("two seeds give the same bytes")
	}
}

func TestRecordsComeInOrderAndInTime(t *testing.T) {
	f := fleetOf(t, "july19", 500, 1)
	last := f.truth.Start.UnixMilli()
	n := 0
	for e, ok := f.Next(); ok; e, ok = f.Next() {
		if e.Time < last || e.Time >= f.truth.End.UnixMilli() {
			t.Fatalf("record %d at %d: expected %d to %d", n, e.Time, last, f.truth.End.UnixMilli())
		}
		if len(e.Key) == 0 || len(e.Value) == 0 {
			t.Fatalf("record %d has no key or no value: %+v", n, e)
		}
		last = e.Time
		n++
	}
	if n < 10_000 {
		t.Errorf("expected at least 10,000 records of 500 agents in two hours, found %d", n)
	}
}

func TestEveryValueIsJSONExceptTheBrokenOnes(t *testing.T) {
	s, err := Shipped("july19")
	if err != nil {
		t.Fatal(err)
	}
	required := map[string][]string{
		TopicFDR:      {"aid", "cid", "aip", "event_platform", "ConfigBuild"},
		TopicWindows:  {"@timestamp", "event", "winlog", "host", "agent"},
		TopicDefender: {"time", "tenantId", "operationName", "category", "properties"},
		TopicMetrics:  {"@timestamp", "metricset", "process", "system", "host"},
	}
	for _, malformed := range []float64{0, 0.05} {
		s.Noise.Malformed = malformed
		f, err := New(Config{Seed: 3, Agents: 400, Scenario: s})
		if err != nil {
			t.Fatal(err)
		}
		total, broken := 0, 0
		seen := map[string]int{}
		for e, ok := f.Next(); ok; e, ok = f.Next() {
			total++
			var object map[string]any
			if err := json.Unmarshal(e.Value, &object); err != nil {
				broken++
				if malformed == 0 {
					t.Fatalf("%s: %v in %s", e.Topic, err, e.Value)
				}
				continue
			}
			for _, key := range required[e.Topic] {
				if object[key] == nil {
					t.Fatalf("%s: no %s in %s", e.Topic, key, e.Value)
				}
			}
			seen[e.Topic]++
			if e.Topic == TopicFDR {
				if string(e.Key) != object["aid"] {
					t.Fatalf("key %s of a record of %v", e.Key, object["aid"])
				}
				for key, value := range object {
					if _, isText := value.(string); !isText {
						t.Fatalf("%s: expected a string, found %v in %s", key, value, e.Value)
					}
				}
			}
		}
		if len(seen) != len(required) {
			t.Errorf("expected records on %d topics, found %v", len(required), seen)
		}
		if share := float64(broken) / float64(total); share < malformed*0.7 || share > malformed*1.3 {
			t.Errorf("expected a share of %g broken records, found %g", malformed, share)
		}
	}
}

func TestVendorIDsAreDistinctExceptOfResentRecords(t *testing.T) {
	f := fleetOf(t, "quiet", 500, 5)
	ids := map[string][]byte{}
	twice := 0
	for e, ok := f.Next(); ok; e, ok = f.Next() {
		var line struct{ ID string }
		if e.Topic != TopicFDR || json.Unmarshal(e.Value, &line) != nil || line.ID == "" {
			continue
		}
		if before, ok := ids[line.ID]; ok {
			twice++
			if !bytes.Equal(before, e.Value) {
				t.Fatalf("one id on two records:\n%s\n%s", before, e.Value)
			}
		}
		ids[line.ID] = e.Value
	}
	if twice == 0 {
		t.Error("expected a few records that come twice, found none")
	}
}

func TestHeartbeatsComeEveryTwoMinutes(t *testing.T) {
	s, err := Shipped("quiet")
	if err != nil {
		t.Fatal(err)
	}
	s.Noise = Noise{Awake: time.Hour, Asleep: time.Hour, Uptime: 1e6 * time.Hour}
	s.Fleet.Laptops = 0
	f, err := New(Config{Seed: 1, Agents: 200, Scenario: s})
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]int64{}
	beats := 0
	for e, ok := f.Next(); ok; e, ok = f.Next() {
		var line struct {
			Aid, Timestamp string
			Name           string `json:"event_simpleName"`
		}
		if json.Unmarshal(e.Value, &line) != nil || line.Name != "SensorHeartbeat" {
			continue
		}
		at, err := strconv.ParseInt(line.Timestamp, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if before := last[line.Aid]; before != 0 && (at-before < 119_000 || at-before > 121_000) {
			t.Fatalf("agent %s: %d ms between two heartbeats", line.Aid, at-before)
		}
		last[line.Aid] = at
		beats++
	}
	if want := 140 * 120; beats < want*95/100 || beats > want*105/100 {
		t.Errorf("expected about %d heartbeats, found %d", want, beats)
	}
}

func TestNewNeedsHostsForItsIncidents(t *testing.T) {
	s, err := Shipped("july19")
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(Config{Agents: 3, Scenario: s})
	const want = "making the fleet: scenario july19: incident busy-agent needs 1 hosts of its kind, the fleet of 3 agents has 0 free: use more agents"
	if err == nil || err.Error() != want {
		t.Errorf("expected %q, found %v", want, err)
	}
}

func BenchmarkNext(b *testing.B) {
	for _, agents := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			b.ReportAllocs()
			f := fleetOf(b, "july19", agents, 1)
			size := 0
			b.ResetTimer()
			for range b.N {
				e, ok := f.Next()
				if !ok {
					b.StopTimer()
					f = fleetOf(b, "july19", agents, 1)
					b.StartTimer()
				}
				size += len(e.Value)
			}
			b.SetBytes(int64(size / b.N))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
