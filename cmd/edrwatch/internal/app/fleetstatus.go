package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/pipeline"
)

// Why the fleet is not judged up to the present, or not as a whole.
const (
	catchingUp = "catching_up" // partitions have records left that are older than those that wait
	inTransit  = "in_transit"  // no gateway tells of partitions
	leftOut    = "left_out"    // partitions are not waited for any more
)

func waitingReasons() []string { return []string{catchingUp, inTransit, leftOut} }

// behindAfter is how far what is judged may lie behind what is read before that
// is worth a word: a step, and the time until all partitions have ended it.
const behindAfter = 30 * time.Second

// fleetStatus tells how far the fleet is judged and what that waits for.
func (a *App) fleetStatus() api.FleetStatus {
	paced := a.pacer.Status()
	var transit, skipped []string
	if a.exchange != nil {
		own := a.fleet.Partitions()
		transit = slices.DeleteFunc(a.fleet.Awaited(), func(name string) bool { return slices.Contains(own, name) })
		skipped = a.fleet.Skipped()
	}
	return fleetStatusOf(paced, transit, skipped)
}

func fleetStatusOf(paced pipeline.PaceStatus, transit, skipped []string) api.FleetStatus {
	s := api.FleetStatus{Waiting: []api.FleetWaiting{}}
	if !paced.Closed.IsZero() {
		s.Judged = &paced.Closed
	}
	var said []string
	add := func(reason string, partitions []string, text string) {
		if len(partitions) > 0 {
			s.Waiting = append(s.Waiting, api.FleetWaiting{Reason: reason, Partitions: partitions})
			said = append(said, fmt.Sprintf(text, named(partitions)))
		}
	}
	if behind := paced.Target.Sub(paced.Closed); behind > behindAfter {
		text := "catching up: the fleet is judged up to " + paced.Closed.Format(time.RFC3339) + ", waiting for %s"
		if paced.Closed.IsZero() {
			text = "catching up: the fleet is not judged yet, waiting for %s"
		}
		add(catchingUp, paced.Holding, text)
		add(inTransit, transit, "no gateway tells of %s, which is moving between gateways")
	}
	left := slices.Concat(paced.Left, skipped)
	slices.Sort(left)
	left = slices.Compact(left)
	add(leftOut, left, "the fleet is judged without %s, whose agents stand as they were last known")
	s.Partial = len(left) > 0
	s.Text = strings.Join(said, "; ")
	return s
}

// named is the first of partitions and how many there are beside it.
func named(partitions []string) string {
	first, _, _ := strings.Cut(partitions[0], "]")
	if strings.Contains(first, "[") {
		first += "]"
	}
	if n := len(partitions) - 1; n > 0 {
		return fmt.Sprintf("%s and %d more", first, n)
	}
	return first
}

// fleetMetrics exports what the fleet's judgement waits for.
type fleetMetrics struct {
	status           func() api.FleetStatus
	waiting, partial *prometheus.Desc
}

func newFleetMetrics(status func() api.FleetStatus) *fleetMetrics {
	return &fleetMetrics{
		status: status,
		waiting: prometheus.NewDesc("edrwatch_fleet_waiting", "Partitions that the judgement of the fleet waits for, or does without, by reason: catching_up, in_transit, left_out.",
			[]string{"reason"}, nil),
		partial: prometheus.NewDesc("edrwatch_fleet_partial", "1 while the fleet is judged without partitions that could not be waited for, else 0.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *fleetMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- m.waiting; ch <- m.partial }

// Collect implements prometheus.Collector.
func (m *fleetMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.status()
	for _, reason := range waitingReasons() {
		n := 0
		for _, w := range s.Waiting {
			if w.Reason == reason {
				n += len(w.Partitions)
			}
		}
		ch <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, float64(n), reason)
	}
	partial := 0.0
	if s.Partial {
		partial = 1
	}
	ch <- prometheus.MustNewConstMetric(m.partial, prometheus.GaugeValue, partial)
}
