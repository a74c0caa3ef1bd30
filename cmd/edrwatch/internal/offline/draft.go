package offline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Draft writes the beginning of a mapping file from sample records: which
// records it takes, who and when as far as names and values tell, and the kinds
// of events, all of them mapped to other until their author knows better. What
// it found no place for it lists. Samples must be JSON objects.
func Draft(vendor string, samples [][]byte) (string, error) {
	if len(samples) == 0 {
		return "", fmt.Errorf("expected at least one sample")
	}
	d := draft{values: map[string][]string{}, taken: map[string]bool{}, records: len(samples)}
	for i, sample := range samples {
		var object map[string]any
		if err := json.Unmarshal(sample, &object); err != nil {
			return "", fmt.Errorf("reading sample %d: expected a JSON object: %w", i+1, err)
		}
		d.flatten("", object)
	}
	d.paths = slices.Sorted(maps.Keys(d.values))
	if !slices.ContainsFunc(d.paths, d.common) {
		return "", fmt.Errorf("the samples have no key with a value in common: draft one file for each shape")
	}
	return d.write(vendor), nil
}

// draft is what is known of the samples.
type draft struct {
	records int
	paths   []string            // in order
	values  map[string][]string // by path, one for each record that has it
	taken   map[string]bool     // paths that the file names
}

// flatten notes the scalars of an object by path. Keys that are dotted
// themselves are left away: only a path of plain keys is certain.
func (d *draft) flatten(above string, object map[string]any) {
	for key, value := range object {
		if key == "" || strings.Contains(key, ".") {
			continue
		}
		switch v := value.(type) {
		case map[string]any:
			d.flatten(above+key+".", v)
		case string, bool:
			if text := fmt.Sprint(v); text != "" {
				d.values[above+key] = append(d.values[above+key], text)
			}
		case float64:
			text, _ := json.Marshal(v) // A float64 of JSON is a number of JSON.
			d.values[above+key] = append(d.values[above+key], string(text))
		}
	}
}

// common reports whether every record has a path.
func (d *draft) common(path string) bool { return len(d.values[path]) == d.records }

// distinct returns the values of a path, each once, in order.
func (d *draft) distinct(path string) []string {
	return slices.Compact(slices.Sorted(slices.Values(d.values[path])))
}

func (d *draft) write(vendor string) string {
	var b strings.Builder
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(vendor))
	fmt.Fprintf(&b, "vendor: %q\ndataset: %s.events\nroot: %s\nagent: %s # agent.type of all records\nvoice: agent # who speaks: agent (it itself), host (logs and metrics of its host) or server (console, inventory, API): only an agent's own voice shows that it lives\n", vendor, name, name, strings.ReplaceAll(name, "_", "-"))

	when, format := d.time()
	by := d.kind()
	fields := d.fields()
	shape := d.shape(by, when, fields)
	var keys []string
	for _, path := range shape {
		keys = append(keys, fmt.Sprintf("%q: \"*\"", path))
	}
	fmt.Fprintf(&b, "match: # what only records of this vendor have\n  - {%s}\n", strings.Join(keys, ", "))
	if id, ok := d.recordID(fields); ok {
		fmt.Fprintf(&b, "record_id: %s\n", quoted(id))
	}
	if when != "" {
		fmt.Fprintf(&b, "timestamp:\n  - {from: %q, format: %q}\n", when, format)
	} else {
		b.WriteString("# timestamp: no path was found whose values are times\n")
	}
	if len(fields) > 0 {
		b.WriteString("fields:\n")
	}
	for _, f := range fields {
		fmt.Fprintf(&b, "  %s: %q\n", f.name, f.path)
	}
	if by == "" {
		b.WriteString("action: other\n")
	} else {
		fmt.Fprintf(&b, "by: [%q]\nevents:\n", by)
		for _, kind := range d.distinct(by) {
			if strings.ContainsAny(kind, "|*") || len(kind) > 128 {
				continue
			}
			fmt.Fprintf(&b, "  %q:\n    action: other%s\n", kind, likelyAction(kind))
		}
		b.WriteString("  \"*\":\n    action: other\n")
	}
	d.writeRest(&b)
	return b.String()
}

// shape chooses the keys that a record must have: those that say what and who
// before any other, because they are not likely to be another vendor's.
func (d *draft) shape(by, when string, fields []draftField) []string {
	const most = 4
	var shape []string
	add := func(path string) {
		if path != "" && d.common(path) && len(shape) < most && !slices.Contains(shape, path) {
			shape = append(shape, path)
		}
	}
	add(by)
	for _, f := range fields {
		add(f.path)
	}
	add(when)
	for _, path := range d.paths {
		if len(shape) >= 3 {
			break
		}
		add(path)
	}
	return shape
}

// writeRest lists the paths that the file does not name, with what they hold
// where that is a short list.
func (d *draft) writeRest(b *strings.Builder) {
	const maxListed, maxWords, maxLength = 100, 5, 32
	listed := 0
	for _, path := range d.paths {
		if d.taken[path] {
			continue
		}
		if listed++; listed == 1 {
			b.WriteString("# Without a place yet; it stays under the root:\n")
		}
		if listed > maxListed {
			b.WriteString("#   and more\n")
			return
		}
		fmt.Fprintf(b, "#   %q in %d of %d records", path, len(d.values[path]), d.records)
		words := d.distinct(path)
		if len(words) <= maxWords && !slices.ContainsFunc(words, func(w string) bool { return len(w) > maxLength }) {
			fmt.Fprintf(b, ": %s", quoted(words))
		}
		b.WriteString("\n")
	}
}

func quoted(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, fmt.Sprintf("%q", w))
	}
	return "[" + strings.Join(out, ", ") + "]"
}
