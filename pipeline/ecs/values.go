package ecs

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed ecs_values.tsv
var valueTable string

// Values knows which texts the fields of closed vocabularies may hold: those
// of ECS and those of our own. It is immutable: safe for concurrent use.
type Values struct {
	words    map[string][]string
	types    map[string][]string // event.type values that ECS expects under an event.category
	patterns map[string]*regexp.Regexp
}

// NewValues reads the vocabularies.
func NewValues() (*Values, error) {
	v := &Values{words: map[string][]string{}, types: map[string][]string{}, patterns: map[string]*regexp.Regexp{}}
	for line := range strings.Lines(valueTable) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		column := strings.Split(line, "\t")
		if len(column) != 4 {
			return nil, fmt.Errorf("reading the table of values: expected 4 columns, found %q", line)
		}
		name, what, text, types := column[0], column[1], column[2], column[3]
		if what == "pattern" {
			pattern, err := regexp.Compile(text)
			if err != nil {
				return nil, fmt.Errorf("reading the table of values: %s: %w", name, err)
			}
			v.patterns[name] = pattern
			continue
		}
		v.words[name] = append(v.words[name], text)
		if name == "event.category" {
			v.types[text] = strings.Fields(types)
		}
	}
	for name, words := range ownValues() {
		v.words[name] = words
	}
	return v, nil
}

// ownValues are the closed vocabularies of our own fields, and event.action,
// which ECS leaves open.
func ownValues() map[string][]string {
	var actions []string
	for _, a := range Actions() {
		actions = append(actions, a.Name)
	}
	return map[string][]string{
		"event.action":             actions,
		"edr.state":                States(),
		"edr.mode":                 Modes(),
		"edr.presence":             Presences(),
		"edr.policy.status":        strings.Fields("success failure warning pending unsupported"),
		"edr.crash.kind":           strings.Fields("process service host"),
		"edr.privilege.start_type": strings.Fields("boot system auto manual disabled"),
		"edr.tamper.kind":          strings.Fields("process registry service file wfp config uninstall"),
		"edr.clock":                strings.Fields("future ancient missing zone-inferred"),
		"edr.provenance.voice":     Voices(),
		"edr.detection.status":     strings.Fields("new in_progress resolved"),
		"edr.detection.verdict":    strings.Fields("true_positive false_positive benign suspicious unknown"),
		"edr.detection.handled":    strings.Fields("blocked quarantined cleaned allowed detected failed"),
		"edr.alert.kind":           AlertKinds(),
		"edr.alert.severity":       Severities(),
		"edr.alert.status":         AlertStatuses(),
		"edr.alert.scope":          AlertScopes(),
		"edr.response.action":      ResponseActions(),
	}
}

// Of returns the values that a field may take, nil for any. The slice must not
// be changed.
func (v *Values) Of(field string) []string { return v.words[field] }

// Pattern returns what the texts of a field have to match, nil for anything.
func (v *Values) Pattern(field string) *regexp.Regexp { return v.patterns[field] }

// Expects reports whether ECS expects an event.type under an event.category.
func (v *Values) Expects(category, typ string) bool { return slices.Contains(v.types[category], typ) }
