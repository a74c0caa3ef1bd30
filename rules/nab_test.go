package rules

import (
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var nabDir = flag.String("nab", "", "score type anomaly on the CPU traces of this copy of the Numenta Anomaly Benchmark: `DIR`")

// nabSeries is a trace with the spans of its anomalies.
type nabSeries struct {
	file    string
	times   []time.Time
	values  []float64
	windows [][2]int // First and last row.
}

const nabTime = "2006-01-02 15:04:05"

// readNAB reads the traces whose names have a word.
func readNAB(t *testing.T, dir, word string) []nabSeries {
	t.Helper()
	labels, err := os.ReadFile(filepath.Join(dir, "labels", "combined_windows.json"))
	if err != nil {
		t.Fatal(err)
	}
	var windows map[string][][2]string
	if err := json.Unmarshal(labels, &windows); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var list []nabSeries
	for _, name := range names {
		s := nabSeries{file: filepath.Base(name)}
		if !strings.Contains(s.file, word) {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			at, err := time.Parse(nabTime, row[0])
			v, err2 := strconv.ParseFloat(row[1], 64)
			if err != nil || err2 != nil {
				t.Fatal(row)
			}
			s.times, s.values = append(s.times, at), append(s.values, v)
		}
		for _, w := range windows[filepath.Base(filepath.Dir(name))+"/"+s.file] {
			from, _ := time.Parse(nabTime, w[0][:len(nabTime)])
			to, _ := time.Parse(nabTime, w[1][:len(nabTime)])
			first := slices.IndexFunc(s.times, func(at time.Time) bool { return !at.Before(from) })
			last := len(s.times) - 1
			for last > 0 && s.times[last].After(to) {
				last--
			}
			s.windows = append(s.windows, [2]int{first, last})
		}
		list = append(list, s)
	}
	return list
}

// probation is how many rows of a trace are not scored.
func (s *nabSeries) probation() int { return min(15*len(s.values)/100, 750) }

// alerts runs a rule of type anomaly over the trace and returns the rows at
// which it alerts.
func (s *nabSeries) alerts(t *testing.T, rest string) []int {
	set := compileRules(t, dictionary(t), ruleYAML(1, "anomaly", "condition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nwindow: 30d\n"+rest))
	f := newFeed(t, set, SessionOptions{})
	var rows []int
	for i, v := range s.values {
		f.send(time.Duration(s.times[i].UnixNano()-start), "agent.id", "a", "edr.resource.cpu_pct", v)
		if len(f.alerts) > len(rows) {
			rows = append(rows, i)
		}
	}
	return rows
}

// nabScore is the standard profile of NAB's scorer (Lavin, Ahmad: "Evaluating
// Real-time Anomaly Detection Algorithms", 2015): the earliest alert of a window
// counts by how early it is, a missed window -1, any other alert up to -0.11,
// less so right after a window.
func nabScore(series []nabSeries, alerts [][]int) (score float64, hit, windows, wrong int) {
	sigmoid := func(y float64) float64 {
		if y > 3 {
			return -1
		}
		return 2/(1+math.Exp(5*y)) - 1
	}
	raw := 0.0
	for i := range series {
		s := &series[i]
		best := map[int]float64{}
		for _, row := range alerts[i] {
			if row < s.probation() {
				continue
			}
			in, before := -1, -1
			for w, span := range s.windows {
				switch {
				case row >= span[0] && row <= span[1]:
					in = w
				case row > span[1]:
					before = w
				}
			}
			if in >= 0 {
				width := float64(s.windows[in][1] - s.windows[in][0] + 1)
				gain := sigmoid(-(float64(s.windows[in][1]-row)+1)/width) / sigmoid(-1)
				if old, ok := best[in]; !ok || gain > old {
					best[in] = gain
				}
				continue
			}
			wrong++
			loss := -1.0
			if before >= 0 {
				loss = sigmoid(float64(row-s.windows[before][1]) / float64(s.windows[before][1]-s.windows[before][0]))
			}
			raw += 0.11 * loss
		}
		for w := range s.windows {
			windows++
			if gain, ok := best[w]; ok {
				hit++
				raw += gain
			} else {
				raw--
			}
		}
	}
	return 100 * (raw + float64(windows)) / float64(2*windows), hit, windows, wrong
}

// TestNAB scores the methods with frozen thresholds.
func TestNAB(t *testing.T) {
	if *nabDir == "" {
		return
	}
	series := readNAB(t, *nabDir, "cpu_utilization")
	for _, rest := range []string{
		"method: novelty\n", "method: novelty\ncooldown: 0\n", "method: ewma\n", "method: ewma\ncooldown: 288\n", "method: seasonal\n",
	} {
		for _, learn := range []int{0, 120} {
			var alerts [][]int
			for i := range series {
				n := learn
				if n == 0 {
					n = series[i].probation()
				}
				alerts = append(alerts, series[i].alerts(t, fmt.Sprintf("%slearn: %d", rest, n)))
			}
			score, hit, windows, wrong := nabScore(series, alerts)
			t.Logf("%-50q learn %3d: %5.1f, %d of %d windows, %d false alerts", rest, learn, score, hit, windows, wrong)
		}
	}
}

// TestNABScore checks the scorer on what can be said without data: all windows
// hit at once are 100, none 50 less the false ones, nothing at all 0.
func TestNABScore(t *testing.T) {
	series := []nabSeries{{values: make([]float64, 1000), windows: [][2]int{{300, 399}, {600, 699}}}}
	for _, tc := range []struct {
		alerts []int
		want   string
	}{
		{nil, "0.0 0 0"}, {[]int{300, 600}, "100.0 2 0"}, {[]int{300, 310, 600}, "100.0 2 0"}, {[]int{399}, "25.6 1 0"},
		{[]int{200}, "-2.8 0 1"}, {[]int{100}, "0.0 0 0"}, {[]int{300, 600, 998}, "97.2 2 1"},
	} {
		score, hit, _, wrong := nabScore(series, [][]int{tc.alerts})
		if got := fmt.Sprintf("%.1f %d %d", score, hit, wrong); got != tc.want {
			t.Errorf("alerts at %v: %s, want %s", tc.alerts, got, tc.want)
		}
	}
}
