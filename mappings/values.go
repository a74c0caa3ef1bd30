package mappings

import (
	"math"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// finish makes the value of a field from a text; false leaves it absent.
type finish func(e *event.Event, t text) (event.Value, bool)

// finishFor returns how a text becomes a value of a kind. Numbers may be given
// as text, whole ones with a fraction of zero.
func finishFor(kind ecs.Kind, scale float64, format timeFormat) finish {
	switch kind {
	default:
		return func(_ *event.Event, t text) (event.Value, bool) { return stringValue(t), true }
	case ecs.Int:
		return func(_ *event.Event, t text) (event.Value, bool) {
			if n, err := strconv.ParseInt(t.s, 10, 64); err == nil && scale == 1 {
				return event.Int(n), true
			}
			f, ok := parseNumber(t.s)
			f = math.Round(f * scale)
			if !ok || math.Abs(f) >= 1<<63 {
				return event.Value{}, false
			}
			return event.Int(int64(f)), true
		}
	case ecs.Float:
		return func(_ *event.Event, t text) (event.Value, bool) {
			f, ok := parseNumber(t.s)
			return event.Float(f * scale), ok && !math.IsInf(f*scale, 0)
		}
	case ecs.Bool:
		return func(_ *event.Event, t text) (event.Value, bool) { return parseBool(t.s) }
	case ecs.Time:
		return func(_ *event.Event, t text) (event.Value, bool) {
			ns, ok := format(t.s)
			return event.Time(ns), ok
		}
	}
}

func stringValue(t text) event.Value {
	if t.clean {
		return event.CleanString(t.s)
	}
	return event.String(t.s)
}

func parseNumber(s string) (float64, bool) {
	for _, c := range []byte(s) {
		if c|0x20 == 'x' || c == '_' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

func parseBool(s string) (event.Value, bool) {
	for _, word := range [...]string{"true", "1", "yes", "on", "enabled"} {
		if strings.EqualFold(s, word) {
			return event.Bool(true), true
		}
	}
	for _, word := range [...]string{"false", "0", "no", "off", "disabled"} {
		if strings.EqualFold(s, word) {
			return event.Bool(false), true
		}
	}
	return event.Value{}, false
}

// patternChoice is a value for the texts that match a pattern.
type patternChoice struct {
	pattern pattern
	value   event.Value
}

// choose picks a value by the text, without regard to case: by an equal text,
// else by the first pattern that matches.
func choose(choices map[string]event.Value, patterns []patternChoice) finish {
	return func(e *event.Event, t text) (event.Value, bool) {
		if v, ok := choices[t.s]; ok {
			return v, true
		}
		if v, ok := choices[changeCase(e, t, strings.ToLower, 'A').s]; ok {
			return v, true
		}
		for i := range patterns {
			if patterns[i].pattern.matches(t.s) {
				return patterns[i].value, true
			}
		}
		return event.Value{}, false
	}
}

// maskBit is one bit of a mask and what it stands for.
type maskBit struct {
	bit   uint
	value event.Value
}

// chooseBits reads a whole number as a bit mask. A list gets the value of
// every flag that is set, a single field that of the first.
func chooseBits(flags []maskBit, list bool) finish {
	return func(e *event.Event, t text) (event.Value, bool) {
		mask, err := strconv.ParseUint(t.s, 10, 64)
		if err != nil {
			if mask, err = strconv.ParseUint(t.s, 0, 64); err != nil {
				return event.Value{}, false
			}
		}
		names := e.Strings(0)
		if list {
			names = e.Strings(len(flags))
		}
		for i := range flags {
			if mask&(1<<flags[i].bit) == 0 {
				continue
			}
			if !list {
				return flags[i].value, true
			}
			names = append(names, flags[i].value.Str())
		}
		return event.StringList(names), list && len(names) > 0
	}
}

// lookUp returns a transform that replaces a text by a column of the row of a
// table that it names.
func lookUp(t *table, kind string, column int) transform {
	return func(e *event.Event, key text) (text, bool) {
		row := t.find(e, kind, key)
		if row == nil || row[column] == "" {
			return key, false
		}
		return text{s: row[column]}, true
	}
}

// find returns the row of a key; kind is the first part of a composite key.
func (t *table) find(e *event.Event, kind string, key text) []string {
	name := changeCase(e, key, strings.ToLower, 'A').s
	if kind == "" {
		return t.rows[name]
	}
	composite := e.Scratch(len(kind) + len(keySeparator) + len(name))
	composite = append(append(append(composite, kind...), keySeparator...), name...)
	return t.rows[string(composite)]
}
