package calibration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet/sequential"
)

// thresholds at which the calibration counts alarms.
var thresholds = [...]float64{10, 14, 18.9, 22, 26, 30}

// years is how long a calibration is to be; 0 for none.
func years() float64 {
	y, err := strconv.ParseFloat(os.Getenv("EDRWATCH_CALIBRATE"), 64)
	if err != nil {
		return 0
	}
	return y
}

// alarms lets a stratum live and counts the alarms at each threshold. A sum
// that alarmed begins from the start, as after an incident.
func alarms(seed uint64, live life, sleeps bool, agents, dispersion, wrong, years float64) [len(thresholds)]int {
	s := sequential.NewSilence(14*86400, false)
	if sleeps {
		s = sequential.NewSilence(2*3600, true)
	}
	noise := &spread{rng: rand.New(rand.NewPCG(seed, uint64(agents))), dispersion: dispersion, wrong: wrong}
	var sums [len(thresholds)]sequential.CUSUM
	for i := range sums {
		sums[i] = sequential.NewCUSUM()
		sums[i].Threshold = thresholds[i]
	}
	var found [len(thresholds)]int
	const step = 10.0
	began := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() // a Monday
	for n := range int(years * 365.25 * 8640) {
		hour := n / 360
		on, hourly := live(hour % 168)
		on *= agents
		silent := noise.count(hour, on*hourly*step/3600)
		at := began + int64(n+1)*int64(step*1e9)
		expected := s.Expect(at, on, step)
		for i := range sums {
			if sums[i].Step(silent, expected) {
				found[i]++
				sums[i].Sum = 0
			}
		}
		s.Learn(at, silent, on, step)
	}
	return found
}

// TestCalibrateSilence prints how often the sum alarms in strata in which
// nothing happens. EDRWATCH_CALIBRATE gives the years that each stratum lives;
// README.md shows what came out.
func TestCalibrateSilence(t *testing.T) {
	years := years()
	if years == 0 {
		t.Skip("set EDRWATCH_CALIBRATE to the years that each stratum lives; 10 take about ten minutes")
	}
	for _, noise := range []struct{ dispersion, wrong float64 }{{1, 0}, {2, 0.15}, {3, 0.2}} {
		fmt.Printf("dispersion %v, usual rate wrong by %v\n", noise.dispersion, noise.wrong)
		var all [len(thresholds)]int
		for _, sleeps := range []bool{false, true} {
			live, name := servers, "servers"
			if sleeps {
				live, name = laptops, "laptops"
			}
			for _, agents := range []float64{50, 500, 5000, 20_000, 60_000} {
				found := alarms(1, live, sleeps, agents, noise.dispersion, noise.wrong, years)
				var line strings.Builder
				for i, n := range found {
					all[i] += n
					fmt.Fprintf(&line, " h %-4v %-6.2f", thresholds[i], float64(n)/years)
				}
				fmt.Printf("  %-8s %6.0f: alarms a year %s\n", name, agents, line.String())
			}
		}
		fmt.Printf("  all: %v in %v stratum-years\n", all, 10*years)
	}
}

// TestQuietWeeksRaiseNoAlarm is the calibration in short.
func TestQuietWeeksRaiseNoAlarm(t *testing.T) {
	for _, agents := range []float64{50, 2000} {
		for _, sleeps := range []bool{false, true} {
			live := servers
			if sleeps {
				live = laptops
			}
			if found := alarms(2, live, sleeps, agents, 2, 0.15, 4./52); found[3] > 0 {
				t.Errorf("%v agents, sleeping %v: %d alarms in four weeks", agents, sleeps, found[3])
			}
		}
	}
}
