package event

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// Value is one typed value. The zero Value is absent.
//
// It is three words in four fields, which is what the compiler keeps in
// registers: with a string and a slice side by side it was seven words that
// every step of a mapping copied through memory.
type Value struct {
	ptr  unsafe.Pointer // of a text to its bytes, of a list to its first string
	num  uint64         // number, or length of the text or list
	kind ecs.Kind
	form form
}

// form tells texts and lists apart.
type form uint8

const (
	escaped form = iota // a text that is escaped when it is written; any other value
	clean               // a text without anything to escape
	list
)

// String returns a string value. It is escaped when it is written.
func String(s string) Value { return text(s, ecs.String, escaped) }

func text(s string, kind ecs.Kind, form form) Value {
	return Value{unsafe.Pointer(unsafe.StringData(s)), uint64(len(s)), kind, form}
}

// CleanString returns a string value that is known to be valid UTF-8 without
// any character that JSON escapes, so that writing it is a copy.
func CleanString(s string) Value { return text(s, ecs.String, clean) }

// Constant returns a string value that is looked through once, so that writing
// it is a copy where it can be: for what is made once and written often.
func Constant(s string) Value {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == '"' || r == '\\' }) {
		return String(s)
	}
	return CleanString(s)
}

// StringList returns a list of strings, of nil the empty string. The slice is
// not copied.
func StringList(items []string) Value {
	if items == nil {
		return Value{kind: ecs.String}
	}
	return Value{unsafe.Pointer(unsafe.SliceData(items)), uint64(len(items)), ecs.String, list}
}

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
func JSON(fragment string) Value { return text(fragment, ecs.JSON, escaped) }

// Kind tells which accessor holds the value; ecs.None for an absent value.
func (v *Value) Kind() ecs.Kind { return v.kind }

// Str returns the string, or the first of a list; "" for other kinds but JSON.
func (v *Value) Str() string {
	switch {
	case v.ptr == nil:
		return ""
	case v.form != list:
		return unsafe.String((*byte)(v.ptr), int(v.num))
	case v.num == 0:
		return ""
	}
	return *(*string)(v.ptr)
}

// List returns the list of strings; nil where the value is a single one.
func (v *Value) List() []string {
	if v.form != list {
		return nil
	}
	return unsafe.Slice((*string)(v.ptr), int(v.num))
}

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

// Bits is what a number, boolean or time is kept as; Scalar makes a value of it
// again.
func (v *Value) Bits() uint64 { return v.num }

// Scalar returns a value that is no text, from its Bits.
func Scalar(kind ecs.Kind, bits uint64) Value {
	if kind == ecs.Float {
		return Float(math.Float64frombits(bits))
	}
	return Value{kind: kind, num: bits}
}

// Contains reports whether the string or one of the list equals s.
func (v *Value) Contains(s string) bool {
	if v.form == list {
		return slices.Contains(v.List(), s)
	}
	return v.Str() == s
}
