package offline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Draft writes the beginning of a mapping file from sample records: which
// records it takes, who and when, and the kinds of events, all of them mapped
// to other until their author knows better. Samples must be JSON objects.
func Draft(vendor string, samples [][]byte) (string, error) {
	if len(samples) == 0 {
		return "", fmt.Errorf("expected at least one sample")
	}
	var records []map[string]string
	for i, sample := range samples {
		var object map[string]any
		if err := json.Unmarshal(sample, &object); err != nil {
			return "", fmt.Errorf("reading sample %d: expected a JSON object: %w", i+1, err)
		}
		flat := map[string]string{}
		flatten(flat, "", object)
		records = append(records, flat)
	}
	common := slices.Sorted(maps.Keys(records[0]))
	common = slices.DeleteFunc(common, func(path string) bool {
		return slices.ContainsFunc(records, func(r map[string]string) bool { return r[path] == "" })
	})
	if len(common) == 0 {
		return "", fmt.Errorf("the samples have no key with a value in common: draft one file for each shape")
	}
	var b strings.Builder
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(vendor))
	fmt.Fprintf(&b, "vendor: %q\ndataset: %s.events\nroot: %s\n", vendor, name, name)
	var shape []string
	for _, path := range common[:min(len(common), 6)] {
		shape = append(shape, fmt.Sprintf("%q: \"*\"", path))
	}
	fmt.Fprintf(&b, "match:\n  - {%s}\n", strings.Join(shape, ", "))
	if path := first(common, "@timestamp", "timestamp", "time", "eventtime", "event_time", "createdat", "created_at", "ts", "date"); path != "" {
		fmt.Fprintf(&b, "timestamp:\n  - {from: %q, format: auto}\n", path)
	}
	fields := ""
	for _, guess := range []struct {
		field string
		names []string
	}{
		{"agent.id", []string{"agentid", "agent_id", "sensorid", "sensor_id", "agent.id", "deviceid", "device_id"}},
		{"agent.version", []string{"agentversion", "agent_version", "sensorversion", "sensor_version", "agent.version", "version"}},
		{"host.name", []string{"hostname", "host_name", "host.name", "computername", "computer_name", "computer", "host", "device_name"}},
	} {
		if path := first(common, guess.names...); path != "" {
			fields += fmt.Sprintf("  %s: %q\n", guess.field, path)
		}
	}
	if fields != "" {
		b.WriteString("fields:\n" + fields)
	}
	by := first(common, "event_type", "eventtype", "event_name", "eventname", "event", "type", "action", "category", "name", "kind")
	if by == "" {
		b.WriteString("action: other\n")
		return b.String(), nil
	}
	kinds := map[string]bool{}
	for _, r := range records {
		kinds[r[by]] = true
	}
	fmt.Fprintf(&b, "by: [%q]\nevents:\n", by)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if !strings.ContainsAny(kind, "|*") && len(kind) <= 128 {
			fmt.Fprintf(&b, "  %q:\n    action: other\n", kind)
		}
	}
	b.WriteString("  \"*\":\n    action: other\n")
	return b.String(), nil
}

// flatten notes the scalars of an object by path. Keys that are dotted
// themselves are left away: only a path of plain keys is certain.
func flatten(out map[string]string, above string, object map[string]any) {
	for key, value := range object {
		if key == "" || strings.Contains(key, ".") {
			continue
		}
		switch v := value.(type) {
		case map[string]any:
			flatten(out, above+key+".", v)
		case string, float64, bool:
			out[above+key] = fmt.Sprint(v)
		}
	}
}

// first returns the path that has the first of the names, whatever its case.
func first(paths []string, names ...string) string {
	for _, name := range names {
		for _, path := range paths {
			if strings.EqualFold(path, name) {
				return path
			}
		}
	}
	return ""
}
