package app

import (
	"fmt"

	dto "github.com/prometheus/client_model/go"
)

// total adds up all series of a metric.
func (a *App) total(name string) (int64, error) {
	sum := 0.0
	err := a.series(func(family string, m *dto.Metric) {
		if family == name {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	})
	return int64(sum), err
}

// series calls visit for every series of every metric.
func (a *App) series(visit func(family string, m *dto.Metric)) error {
	families, err := a.registry.Gather()
	if err != nil {
		return fmt.Errorf("reading metrics: %w", err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			visit(f.GetName(), m)
		}
	}
	return nil
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
