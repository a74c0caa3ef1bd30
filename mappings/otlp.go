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
// direction, whose values together are the process's. Those of each state are
// added up, too, as name.state: what is not idle is in use. Histograms and
// summaries have no single value and are left out.
func (m *Mapper) appendMetrics(list int) bool {
	nodes := m.tape.Nodes
	m.unfolded = append(m.unfolded, '{')
	count, latest := 0, ""
	for i := list + 1; i < int(nodes[list].Next); i = int(nodes[i].Next) {
		name := m.member(i, "name")
		points := m.dataPoints(i)
		if name == 0 || nodes[name].Kind != scan.String || points == 0 {
			continue
		}
		sum, at, ok := m.sumPoints(points)
		latest = later(latest, at)
		if !ok {
			continue
		}
		if count++; count > 1 {
			m.unfolded = append(m.unfolded, ',')
		}
		m.unfolded = append(append(m.unfolded, m.tape.Fragment(&nodes[name])...), ':')
		// Fifteen digits leave away what adding binary fractions brings in.
		m.unfolded = strconv.AppendFloat(m.unfolded, sum, 'g', 15, 64)
		m.appendStates(m.tape.Raw(&nodes[name]))
	}
	if _, ok := digits(latest); ok && latest != "" && len(latest) < 20 && count > 0 {
		m.unfolded = append(append(append(m.unfolded, `,"time":"`...), latest...), '"')
	}
	m.unfolded = append(m.unfolded, '}')
	return count > 0
}

// dataPoints returns the index of the list of a metric's data points, 0 for a
// metric that has no single values.
func (m *Mapper) dataPoints(metric int) int {
	points := 0
	for _, kind := range [...]string{"sum", "gauge"} {
		if data := m.member(metric, kind); data != 0 {
			points = m.member(data, "dataPoints")
		}
	}
	if points != 0 && m.tape.Nodes[points].Kind != scan.Array {
		return 0
	}
	return points
}

// sumPoints adds up the values of a list of data points, and those of each
// state in m.states, and returns the latest of their times, too. It is not ok
// when no point has a value.
func (m *Mapper) sumPoints(points int) (sum float64, latest string, ok bool) {
	nodes := m.tape.Nodes
	m.states = m.states[:0]
	for k := points + 1; k < int(nodes[points].Next); k = int(nodes[k].Next) {
		if value, has := m.pointValue(k); has {
			sum, ok = sum+value, true
			m.addState(k, value)
		}
		if at := m.member(k, "timeUnixNano"); at != 0 {
			latest = later(latest, event.View(m.tape.Raw(&nodes[at])))
		}
	}
	return sum, latest, ok && !math.IsInf(sum, 0)
}

// later returns the greater of two whole numbers in decimal digits.
func later(a, b string) string {
	if len(b) > len(a) || len(b) == len(a) && b > a {
		return b
	}
	return a
}

// stateSum is what the data points of one state add up to.
type stateSum struct {
	state string // of the record's text
	sum   float64
}

// maxStates bounds the states of a metric that are counted by themselves.
const maxStates = 16

// addState adds the value of a data point to that of its state, if it has one.
func (m *Mapper) addState(point int, value float64) {
	nodes := m.tape.Nodes
	attributes := m.member(point, "attributes")
	if attributes == 0 || nodes[attributes].Kind != scan.Array {
		return
	}
	for i := attributes + 1; i < int(nodes[attributes].Next); i = int(nodes[i].Next) {
		key, text := m.member(i, "key"), 0
		if of := m.member(i, "value"); of != 0 {
			text = m.member(of, "stringValue")
		}
		if key == 0 || text == 0 || nodes[text].Kind != scan.String || string(m.tape.Raw(&nodes[key])) != "state" {
			continue
		}
		state := event.View(m.tape.Raw(&nodes[text]))
		for s := range m.states {
			if m.states[s].state == state {
				m.states[s].sum += value
				return
			}
		}
		if len(m.states) < maxStates {
			m.states = append(m.states, stateSum{state, value})
		}
		return
	}
}

// appendStates appends what the states of a metric add up to; name is the
// inside of a JSON string, as they are.
func (m *Mapper) appendStates(name []byte) {
	for _, s := range m.states {
		if math.IsInf(s.sum, 0) {
			continue
		}
		m.unfolded = append(append(append(m.unfolded, ',', '"'), name...), '.')
		m.unfolded = append(append(m.unfolded, s.state...), '"', ':')
		m.unfolded = strconv.AppendFloat(m.unfolded, s.sum, 'g', 15, 64)
	}
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
