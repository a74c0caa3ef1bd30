package event

import (
	"math"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// Value is one typed value. The zero Value is absent.
type Value struct {
	num   uint64
	str   string
	list  []string
	kind  ecs.Kind
	clean bool
}

// String returns a string value. It is escaped when it is written.
func String(s string) Value { return Value{kind: ecs.String, str: s} }

// CleanString returns a string value that is known to be valid UTF-8 without
// any character that JSON escapes, so that writing it is a copy.
func CleanString(s string) Value { return Value{kind: ecs.String, str: s, clean: true} }

// StringList returns a list of strings. The slice is not copied.
func StringList(list []string) Value { return Value{kind: ecs.String, list: list} }

// Int returns an integer value.
func Int(n int64) Value { return Value{kind: ecs.Int, num: uint64(n)} }

// Float returns a number value. NaN and infinities are absent values: JSON has
// no form for them.
func Float(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: ecs.Float, num: math.Float64bits(f)}
}

// Bool returns a boolean value.
func Bool(b bool) Value {
	v := Value{kind: ecs.Bool}
	if b {
		v.num = 1
	}
	return v
}

// Time returns a point in time, in nanoseconds since 1970 UTC.
func Time(ns int64) Value { return Value{kind: ecs.Time, num: uint64(ns)} }

// JSON returns a fragment that is written as it is; it must be valid JSON.
func JSON(fragment string) Value { return Value{kind: ecs.JSON, str: fragment} }

// Kind tells which accessor holds the value; ecs.None for an absent value.
func (v *Value) Kind() ecs.Kind { return v.kind }

// Str returns the string, or the first of a list; "" for other kinds but JSON.
func (v *Value) Str() string {
	if len(v.list) > 0 {
		return v.list[0]
	}
	return v.str
}

// List returns the list of strings; nil where the value is a single one.
func (v *Value) List() []string { return v.list }

// Int returns the integer.
func (v *Value) Int() int64 { return int64(v.num) }

// Float returns the number; integers are converted.
func (v *Value) Float() float64 {
	if v.kind == ecs.Int {
		return float64(int64(v.num))
	}
	return math.Float64frombits(v.num)
}

// Bool returns the boolean.
func (v *Value) Bool() bool { return v.num != 0 }

// Time returns nanoseconds since 1970 UTC.
func (v *Value) Time() int64 { return int64(v.num) }

// At returns the point in time as a time.Time in UTC.
func (v *Value) At() time.Time { return time.Unix(0, int64(v.num)).UTC() }

// Contains reports whether the string or one of the list equals s.
func (v *Value) Contains(s string) bool {
	if v.list != nil {
		return slices.Contains(v.list, s)
	}
	return v.str == s
}
