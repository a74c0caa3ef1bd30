package mappings

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// maxHostileBytes bounds what the whole table of hostile records may allocate,
// on top of what mapping needs anyway: no input costs a multiple of itself that
// grows with its shape.
const maxHostileBytes = 64 << 20

// TestHostileRecords maps what nobody should send with the whole library. Each
// becomes an event that is valid JSON, or a fault that says what was expected
// where. Every one is tried as it is, and as a member of records that shipped
// files take and look into.
func TestHostileRecords(t *testing.T) {
	many := func(n int, one func(i int) string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(one(i))
		}
		return b.String()
	}
	numbered := func(i int) string { return `"k` + strconv.Itoa(i) + `":` + strconv.Itoa(i) }
	for _, tc := range []struct{ name, raw, want string }{ // want is what the document or the fault has
		{"objects 10,000 deep", strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), "offset 320: expected at most 64 objects and arrays inside each other"},
		{"arrays 10,000 deep", `{"a":` + strings.Repeat("[", 10_000), "offset 68: expected at most 64 objects"},
		{"records 60 deep", strings.Repeat(`{"records":[`, 31) + strings.Repeat(`]}`, 31), `"other"`},
		{"10,000 keys", "{" + many(10_000, numbered) + "}", `"other"`},
		{"10,000 members of a taken record", `{"event_simpleName":"SensorHeartbeat","aid":"a","timestamp":"1721362140123",` + many(10_000, numbered) + "}", `"sensor-heartbeat"`},
		{"200,000 values", `{"a":[` + many(200_000, func(int) string { return "1" }) + "]}", "expected at most 100000 values"},
		{"10,000 records in an envelope", `{"records":[` + many(10_000, func(int) string { return "{}" }) + "]}", `"other"`},
		{"one key 10,000 times", `{"event_simpleName":"SensorHeartbeat","aid":"x",` + many(10_000, func(i int) string { return `"aid":"` + strconv.Itoa(i) + `"` }) + "}", `"id":"9999"`},
		{"an object and a scalar by one name", `{"event_simpleName":{"x":1},"event_simpleName":"SensorHeartbeat","aid":"a"}`, `"sensor-heartbeat"`},
		{"a huge number", `{"event_simpleName":"SensorHeartbeat","aid":"a","timestamp":` + strings.Repeat("9", 900) + `,"n":1e999999999}`, `"sensor-heartbeat"`},
		{"a number of 2,000 digits", `{"n":` + strings.Repeat("9", 2000) + "}", "offset 5: expected a number of at most 1000 characters"},
		{"a key of 10,000 bytes", `{"` + strings.Repeat("k", 10_000) + `":1}`, "offset 2: expected a key of at most 4096 bytes"},
		{"a lone high surrogate", `{"event_simpleName":"SensorHeartbeat","aid":"a\ud800z"}`, `"id":"a` + "\ufffd" + `z"`},
		{"lone surrogates in fields without a home", `{"\udc00":"\udc00\ud800","b":["\ud83d\ude00\ud83d"]}`, `{"\ufffd":"\ufffd\ufffd","b":["\ud83d\ude00\ufffd"]}`},
		{"surrogates the wrong way round", `{"event_simpleName":"SensorHeartbeat","aid":"\udc00\ud83d"}`, `"id":"` + "\ufffd\ufffd" + `"`},
		{"a NUL that is escaped", `{"event_simpleName":"SensorHeartbeat","aid":"a\u0000b"}`, `"id":"a\u0000b"`},
		{"bytes that are not UTF-8", "{\"aid\":\"a\xff\"}", "offset 9: expected UTF-8, found the byte 0xff"},
		{"an overlong encoding", "{\"aid\":\"\xc0\xaf\"}", "offset 8: expected UTF-8"},
		{"a surrogate in UTF-8", "{\"aid\":\"\xed\xa0\x80\"}", "offset 8: expected UTF-8"},
		{"a byte order mark", "\xef\xbb\xbf" + `{"event_simpleName":"SensorHeartbeat","aid":"a"}`, `"sensor-heartbeat"`},
		{"two byte order marks", "\xef\xbb\xbf\xef\xbb\xbf{}", "offset 3: expected a value"},
		{"a record in many lines", "{\r\n \"a\": [\n1,\r\n 2,\n{\"k\":\n\"x  \\n\"}\r]\n}\n", `"a":[1,2,{"k":"x  \n"}]`},
		{"a string in two lines", "{\"a\":{\"b\":\"x\ny\"}}", "offset 12: expected an escaped control character, found the control character 0x0a"},
		{"UTF-16, little end first", "\xff\xfe{\x00\"\x00a\x00\"\x00:\x001\x00}\x00", "offset 0: expected a value, found UTF-16 text"},
		{"UTF-16, big end first", "\xfe\xff\x00{\x00}", "offset 0: expected a value, found UTF-16 text"},
		{"UTF-16 without a mark", "{\x00\"\x00a\x00\"\x00:\x001\x00}\x00", "offset 1: expected a key in double quotes"},
		{"a second record behind", `{"a":1}{"b":2}`, "offset 7: expected the end of the record"},
		{"a NUL behind", "{\"a\":1}\x00", "offset 7: expected the end of the record, found the control character 0x00"},
		{"an empty object", `{}`, `"other"`},
		{"white space", " \r\n\t ", "offset 5: expected a value, found the end of the record"},
		{"an array at the top", `[{"a":1}]`, "offset 0: expected an object, found a list"},
		{"a string of 16 MiB", `{"a":"` + strings.Repeat("x", 16<<20) + `"}`, "expected at most 8388608 bytes"},
		{"a string of 7 MiB of escapes", `{"event_simpleName":"SensorHeartbeat","aid":"a","x":"` + strings.Repeat(`\n`, 7<<19) + `"}`, `"sensor-heartbeat"`},
		{"CEF that never ends", "CEF:0|" + strings.Repeat("a|", 1<<20), `"other"`},
		{"CEF without an end of its escapes", "CEF:0|v|p|1|2|n|3|k=" + strings.Repeat(`\`, 1<<20), `"cef_event"`},
		{"XML 10,000 deep", `{"message":"` + strings.Repeat("<Event>", 10_000) + `"}`, `"other"`},
		{"XML with an entity that grows", `{"event":{"original":"<!DOCTYPE x [<!ENTITY a 'b'>]><Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>&a;</Event>"}}`, `"other"`},
		{"JSON in a text in a text", `{"message":` + strconv.Quote(`{"message":`+strconv.Quote(`{"message":"{}"}`)+`}`) + `}`, `"other"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := libraryPlan(t).NewMapper()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			events, found := 0, false
			err := m.Map(&event.Partition{}, &event.Record{Value: []byte(tc.raw)}, func(e *event.Event) {
				events++
				if found && events > 3 {
					return // One of a long list is like the others.
				}
				document := e.AppendJSON(nil)
				if !json.Valid(document) || bytes.ContainsAny(document, "\r\n") {
					t.Errorf("not valid JSON in one line: %.200s", document)
				}
				if action := e.Str(ecs.EventAction); action == "" {
					t.Error("an event without an action")
				}
				found = found || strings.Contains(string(document), tc.want)
			})
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > maxHostileBytes {
				t.Errorf("%d bytes of record cost %d bytes of memory", len(tc.raw), used)
			}
			switch {
			case err == nil && events == 0:
				t.Error("neither an event nor a fault")
			case err != nil && (events > 0 || fault.Of(err).Class != fault.Permanent || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%d events and the fault %v; want %s", events, err, tc.want)
			case err != nil && len(err.Error()) > 300:
				t.Errorf("a fault of %d characters", len(err.Error()))
			case err == nil && !found:
				t.Errorf("no event has %s", tc.want)
			}
		})
	}
}
