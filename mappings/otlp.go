package mappings

import (
	"math"
	"strconv"

	"github.com/edrwatch/edrwatch/mappings/internal/scan"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// appendMetrics makes an object of a list of metrics in OpenTelemetry's JSON
// encoding (opentelemetry-proto, Metric): the value of each metric by its name,
// and as time the latest timeUnixNano. Data points of one metric are added up:
// those of a process differ in attributes such as state (user, system) or
// direction, whose values together are the process's. Histograms and
// summaries have no single value and are left out.
func (m *Mapper) appendMetrics(list int) bool {
	nodes := m.tape.Nodes
	m.unfolded = append(m.unfolded, '{')
	count, latest := 0, ""
	for i := list + 1; i < int(nodes[list].Next); i = int(nodes[i].Next) {
		name := m.member(i, "name")
		if name == 0 || nodes[name].Kind != scan.String {
			continue
		}
		points := 0
		for _, kind := range [...]string{"sum", "gauge"} {
			if data := m.member(i, kind); data != 0 {
				points = m.member(data, "dataPoints")
			}
		}
		if points == 0 || nodes[points].Kind != scan.Array {
			continue
		}
		sum, found := 0.0, false
		for k := points + 1; k < int(nodes[points].Next); k = int(nodes[k].Next) {
			if value, ok := m.pointValue(k); ok {
				sum, found = sum+value, true
			}
			if at := m.member(k, "timeUnixNano"); at != 0 {
				if t := event.View(m.tape.Raw(&nodes[at])); len(t) > len(latest) || len(t) == len(latest) && t > latest {
					latest = t
				}
			}
		}
		if !found || math.IsInf(sum, 0) {
			continue
		}
		if count++; count > 1 {
			m.unfolded = append(m.unfolded, ',')
		}
		m.unfolded = append(append(m.unfolded, m.tape.Fragment(&nodes[name])...), ':')
		// Fifteen digits leave away what adding binary fractions brings in.
		m.unfolded = strconv.AppendFloat(m.unfolded, sum, 'g', 15, 64)
	}
	if _, ok := digits(latest); ok && latest != "" && len(latest) < 20 && count > 0 {
		m.unfolded = append(append(append(m.unfolded, `,"time":"`...), latest...), '"')
	}
	m.unfolded = append(m.unfolded, '}')
	return count > 0
}

// pointValue returns the number of a data point, which 64-bit integers give as
// text.
func (m *Mapper) pointValue(point int) (float64, bool) {
	for _, name := range [...]string{"asDouble", "asInt"} {
		if i := m.member(point, name); i != 0 {
			n := &m.tape.Nodes[i]
			if n.Kind != scan.Number && n.Kind != scan.String {
				return 0, false
			}
			return parseNumber(event.View(m.tape.Raw(n)))
		}
	}
	return 0, false
}

// member returns the index of a member of an object, 0 when it has none.
func (m *Mapper) member(object int, name string) int {
	nodes := m.tape.Nodes
	if nodes[object].Kind != scan.Object {
		return 0
	}
	found := 0
	for i := object + 1; i < int(nodes[object].Next); i = int(nodes[i].Next) {
		if string(m.tape.Key(&nodes[i])) == name {
			found = i
		}
	}
	return found
}
