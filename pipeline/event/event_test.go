package event

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

func dictionary(tb testing.TB, custom ...ecs.Field) *ecs.Dictionary {
	tb.Helper()
	d, err := ecs.New(custom...)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestAppendJSON(t *testing.T) {
	dict := dictionary(t, ecs.Field{Name: "crowdstrike.Typed", Type: "long"})
	typed, _ := dict.Lookup("crowdstrike.Typed")
	for _, tc := range []struct {
		name string
		fill func(e *Event)
		want string
	}{
		{"empty", func(*Event) {}, `{}`},
		{"nesting, arrays and types", func(e *Event) {
			e.Set(ecs.Timestamp, Time(1721362140000000000))
			e.SetString(ecs.HostOSType, "windows")
			e.SetString(ecs.HostName, "pc-1")
			e.SetString(ecs.EventCategory, "host")
			e.Set(ecs.EventSeverity, Int(47))
			e.Set(ecs.EDRResourceCPUPct, Float(12.5))
			e.Set(ecs.EDRTamperBlocked, Bool(true))
			e.Set(ecs.EDRAlertEvidence, JSON(`{"a":1}`))
		}, `{"@timestamp":"2024-07-19T04:09:00.000Z","edr":{"alert":{"evidence":{"a":1}},"resource":{"cpu_pct":12.5},"tamper":{"blocked":true}},` +
			`"event":{"category":["host"],"severity":47},"host":{"name":"pc-1","os":{"type":"windows"}}}`},
		{"a later value replaces an earlier one", func(e *Event) {
			e.SetString(ecs.HostName, "a")
			e.SetString(ecs.HostName, "b")
		}, `{"host":{"name":"b"}}`},
		{"an absent value removes the field", func(e *Event) {
			e.SetString(ecs.HostName, "a")
			e.Set(ecs.HostName, Float(math.NaN()))
		}, `{}`},
		{"escapes", func(e *Event) {
			e.SetString(ecs.Message, "\"\\\n\r\t\x01 ü \xff \u2028")
		}, `{"message":"\"\\\n\r\t\u0001 ü ` + "\ufffd \u2028" + `"}`},
		{"vendor fields alone", func(e *Event) {
			e.SetVendor("crowdstrike")
			e.Extra("Foo", `"x"`)
			e.Extra("Foo", `{"y":1}`)
			e.SetString(ecs.HostName, "a")
		}, `{"host":{"name":"a"},"crowdstrike":{"Foo":{"y":1}}}`},
		{"vendor fields beside a typed one", func(e *Event) {
			e.SetVendor("crowdstrike")
			e.Extra("Foo", `1`)
			e.Set(typed, Int(7))
			e.SetString(ecs.HostName, "a")
		}, `{"crowdstrike":{"Typed":7,"Foo":1},"host":{"name":"a"}}`},
		{"only vendor fields", func(e *Event) {
			e.SetVendor("acme")
			e.Extra("Foo", `1`)
		}, `{"acme":{"Foo":1}}`},
		{"appended list", func(e *Event) {
			for _, r := range []string{"r1", "r2", "r1", "r3"} {
				e.Append(ecs.EDRRules, r)
			}
		}, `{"edr":{"rules":["r1","r2","r3"]}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := New(dict)
			e.SetString(ecs.Message, "of the event before")
			e.Reset()
			tc.fill(e)
			got := string(e.AppendJSON(nil))
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if !json.Valid([]byte(got)) {
				t.Error("not valid JSON")
			}
		})
	}
}

func TestAppendTime(t *testing.T) {
	for ns, want := range map[int64]string{
		0:                   "1970-01-01T00:00:00.000Z",
		1721362140000000000: "2024-07-19T04:09:00.000Z",
		1721362140120000000: "2024-07-19T04:09:00.120Z",
		1721362140000001000: "2024-07-19T04:09:00.000001Z",
		1721362140000000001: "2024-07-19T04:09:00.000000001Z",
		-1:                  "1969-12-31T23:59:59.999999999Z",
	} {
		if got := string(AppendTime(nil, ns)); got != want {
			t.Errorf("AppendTime(%d) = %s, want %s", ns, got, want)
		}
	}
}

func TestScratchSurvivesGrowth(t *testing.T) {
	e := New(dictionary(t))
	first := View(append(e.Scratch(5), "first"...))
	for range 10 {
		_ = append(e.Scratch(4000), strings.Repeat("x", 4000)...)
	}
	if first != "first" {
		t.Errorf("text built before the arena grew became %q", first)
	}
}

func TestAppendID(t *testing.T) {
	p := Partition{Prefix: "00c0ffee", Number: 3}
	if got := string(AppendID(nil, &p, 41, 0)); got != "00c0ffee-3-41-0" {
		t.Errorf("id = %s", got)
	}
}

// FuzzAppendJSON checks that whatever stands in the strings, a document is
// valid JSON and reads back as the valid part of what went in.
func FuzzAppendJSON(f *testing.F) {
	f.Add("plain", 1.5, int64(3))
	f.Add("\xff\u2028\"\\\x00", math.MaxFloat64, int64(math.MinInt64))
	dict := dictionary(f)
	f.Fuzz(func(t *testing.T, s string, n float64, i int64) {
		e := New(dict)
		e.SetString(ecs.Message, s)
		e.Set(ecs.EDRResourceCPUPct, Float(n))
		e.Set(ecs.EventSeverity, Int(i))
		e.Set(ecs.Timestamp, Time(i))
		var back struct {
			Message *string `json:"message"`
			Event   struct {
				Severity int64 `json:"severity"`
			} `json:"event"`
		}
		doc := e.AppendJSON(nil)
		if err := json.Unmarshal(doc, &back); err != nil {
			t.Fatalf("%v: %s", err, doc)
		}
		if want := string([]rune(s)); back.Event.Severity != i || *back.Message != want {
			t.Errorf("%q read back as %q, severity %d as %d", want, *back.Message, i, back.Event.Severity)
		}
	})
}

// TestConstant writes texts that need escaping and texts that do not.
func TestConstant(t *testing.T) {
	for text, want := range map[string]string{"plain": `"plain"`, "größer": `"größer"`, `a "b" \c`: `"a \"b\" \\c"`, "line\nfeed": `"line\nfeed"`, "\xff": "\"\ufffd\""} {
		v := Constant(text)
		if got := string(v.AppendJSON(nil)); got != want || v.Str() != text {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
