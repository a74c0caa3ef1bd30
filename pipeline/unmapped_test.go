package pipeline

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestUnmappedRecordsHaveABoundedNumberOfShapes(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	first, second := newUnmappedCounts(m, "a"), newUnmappedCounts(m, "b")
	for i := range 100 {
		first.add(fmt.Sprint("first", i))
		second.add(fmt.Sprint("second", i%70))
	}
	first.settle(true)
	second.settle(true)
	first.add("first0")
	first.settle(false) // Given up: somebody else counts it.
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shapes, sum := map[string]float64{}, 0.0
	for _, f := range families {
		if f.GetName() != "edrwatch_records_unmapped_total" {
			continue
		}
		for _, series := range f.GetMetric() {
			for _, l := range series.GetLabel() {
				if l.GetName() == "shape" {
					shapes[l.GetValue()] += series.GetCounter().GetValue()
				}
			}
			sum += series.GetCounter().GetValue()
		}
	}
	if len(shapes) != maxShapes+1 || sum != 200 || shapes["first0"] != 1 || shapes[moreShapes] == 0 {
		t.Errorf("%d shapes with %v records: %v", len(shapes), sum, shapes)
	}
}
