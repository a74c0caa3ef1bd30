package mappings

import (
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

func scratchEvent(t testing.TB) *event.Event {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	return event.New(dict)
}

func TestTransforms(t *testing.T) {
	e := scratchEvent(t)
	for _, tc := range []struct{ name, in, want string }{ // want "" means absent
		{"lower", "ABC", "abc"}, {"lower", "ÀB", "àb"}, {"upper", "aBc1", "ABC1"}, {"trim", " a ", "a"}, {"trim", "  ", ""},
		{"basename", `C:\Windows\a.exe`, "a.exe"}, {"basename", "/usr/bin/a", "a"}, {"basename", `"C:\a.exe"`, "a.exe"}, {"basename", "a/", ""},
		{"hex", "3221225473", "0xc0000001"}, {"hex", "-1073741823", "0xc0000001"}, {"hex", "5", "0x00000005"}, {"hex", "0xC0000005", "0xc0000005"},
		{"hex", "18446744073709551615", "0xffffffffffffffff"}, {"hex", "five", ""},
		{"hex_number", "0x1F", "31"}, {"hex_number", "1f", "31"}, {"hex_number", "0x", ""},
		{"decimal", "00000291", "291"}, {"decimal", "000", "0"}, {"decimal", "29x", ""}, {"decimal", "", ""},
		{"exception", "c0000005", "0xc0000005"}, {"exception", "x", ""},
		{"first_hex", "0x00000050 (0x1, 0x2)", "0x00000050"}, {"first_hex", "none", ""}, {"first_hex", "0x", ""},
		{"utf16_hex", "410042000000FF00", "AB"}, {"utf16_hex", "3DD800DE", "😀"}, {"utf16_hex", "41", ""}, {"utf16_hex", "zzzz", ""},
		{"service_key", "43005300410067006500" + "6E0074002F0034000000", "CSAgent"}, {"service_key", "410042000000", ""},
		{"service_state", "43005300410067006500" + "6E0074002F0034000000", "4"}, {"service_state", "41002F000000", ""},
		{"channel_version", "1,123,20", "291:32"}, {"channel_version", "1,123", ""}, {"channel_version", "1,x,1", ""},
		{"ip", "192.0.2.1", "192.0.2.1"}, {"ip", "2001:db8::1", "2001:db8::1"}, {"ip", "fe80::1%eth0", ""}, {"ip", "192.0.2.1:80", ""},
		{"domain", "pc-1.example.com", "example.com"}, {"domain", "pc-1", ""}, {"short_host", "pc-1.example.com", "pc-1"},
	} {
		transform, ok := transformByName(tc.name)
		if !ok {
			t.Fatalf("no conversion %s", tc.name)
		}
		got, ok := transform(e, text{s: tc.in})
		if ok != (tc.want != "") || ok && got.s != tc.want {
			t.Errorf("%s of %q = %q, %v; want %q", tc.name, tc.in, got.s, ok, tc.want)
		}
	}
	for _, name := range transformNames() {
		if _, ok := transformByName(name); !ok {
			t.Errorf("conversion %s is named and does not exist", name)
		}
	}
}

func TestPartOf(t *testing.T) {
	for _, tc := range []struct {
		in, by string
		index  int
		want   string
	}{
		{"a-b-c", "-", 0, "a"}, {"a-b-c", "-", 2, "c"}, {"a-b-c", "-", 3, ""}, {"a-b-c", "-", -1, "c"}, {"a-b-c", "-", -3, "a"},
		{"a-b-c", "-", -4, ""}, {"abc", "-", -1, "abc"}, {"a%%31", "%%", -1, "31"}, {"a--b", "-", 1, ""},
	} {
		got, ok := partOf(tc.by, tc.index)(nil, text{s: tc.in})
		if ok != (tc.want != "") || ok && got.s != tc.want {
			t.Errorf("part %d of %q by %q = %q, %v; want %q", tc.index, tc.in, tc.by, got.s, ok, tc.want)
		}
	}
}

func TestTimeFormats(t *testing.T) {
	const never = "never"
	zone := time.FixedZone("", -4*3600)
	for _, tc := range []struct{ format, in, want string }{
		{"auto", "1721362140", "2024-07-19T04:09:00Z"}, {"auto", "1721362140.250", "2024-07-19T04:09:00.25Z"},
		{"auto", "1721362140123", "2024-07-19T04:09:00.123Z"}, {"auto", "1721362140123456", "2024-07-19T04:09:00.123456Z"},
		{"auto", "1721362140123456789", "2024-07-19T04:09:00.123456789Z"}, {"auto", "133658357401230000", "2024-07-19T04:09:00.123Z"},
		{"auto", "17", never}, {"auto", "", never}, {"auto", "99999999999999999999", never}, {"auto", "1.2.3", never},
		{"epoch_s", "1721362140.5", "2024-07-19T04:09:00.5Z"}, {"epoch_s", "0", never}, {"epoch_s", "-5", never}, {"epoch_s", "1.x", never},
		{"epoch_s", "9223372036854775807", never}, {"epoch_ns", "5", "1970-01-01T00:00:00.000000005Z"},
		{"filetime", "0", never}, {"filetime", "9223372036854775807", never}, {"filetime", "116444736000000000", "1970-01-01T00:00:00Z"},
		{"rfc3339", "2024-07-19T04:09:00.1234567Z", "2024-07-19T04:09:00.1234567Z"}, {"rfc3339", "2024-07-19T06:09:00+02:00", "2024-07-19T04:09:00Z"},
		{"rfc3339", "2024-07-19 00:09:00", "2024-07-19T04:09:00Z"}, {"rfc3339", "2024-07-18T22:39:00-0530", "2024-07-19T04:09:00Z"},
		{"rfc3339", "2024-02-30T00:00:00Z", never}, {"rfc3339", "1601-01-01T00:00:00Z", never}, {"rfc3339", "2024-07-19T04:09:00.Z", never},
		{"rfc3339", "2024-07-19T04:09:00+25:00", never}, {"rfc3339", "2024-07-19", never}, {"rfc3339", "2024-12-31T23:59:60Z", "2025-01-01T00:00:00Z"},
		{"rfc3339", "2024-07-19T04:09:00 GMT+02:00", "2024-07-19T02:09:00Z"}, {"rfc3339", "2023-02-29T04:09:00Z", never},
		{"cef", "Jul 19 2024 04:09:00", "2024-07-19T08:09:00Z"}, {"cef", "feb 29 2024 04:09:00.250 GMT-05:30", "2024-02-29T09:39:00.25Z"},
		{"cef", "Jul  9 2024 04:09:00 UTC", "2024-07-09T04:09:00Z"}, {"cef", "1721362140000", "2024-07-19T04:09:00Z"},
		{"cef", "Jul 19 2024 04:09:00 CEST", never}, {"cef", "Jux 19 2024 04:09:00", never}, {"cef", "Jul 32 2024 04:09:00", never}, {"cef", "Jul 19 2024", never},
		{"epoch_ms", "1721362140123.5", "2024-07-19T04:09:00.1235Z"}, {"epoch_us", "1721362140123456", "2024-07-19T04:09:00.123456Z"},
		{"epoch_ns", "1721362140123456789", "2024-07-19T04:09:00.123456789Z"}, {"epoch_ms", "99999999999999999", never}, {"epoch_s", "1e9", never},
		{"epoch_s", "7258118400", "2200-01-01T00:00:00Z"}, {"auto", "7258118400000", "2200-01-01T00:00:00Z"}, {"filetime", "133658357401230000", "2024-07-19T04:09:00.123Z"},
		{"filetime", "1", never}, {"filetime", "133658357401230000.5", never},
		{"rfc3339", "2024-07-19 04:09:00 UTC", "2024-07-19T04:09:00Z"}, {"rfc3339", "2024-07-19 06:09:00.5 +0200", "2024-07-19T04:09:00.5Z"},
		{"rfc3339", "2024-07-19T04:09:00 CEST", never}, {"rfc3339", "9999-12-31T23:59:59Z", never}, {"rfc3339", "2200-01-01T00:00:00Z", "2200-01-01T00:00:00Z"},
		{"rfc3339", "1700-01-01T00:00:00Z", "1700-01-01T00:00:00Z"}, {"rfc3339", "2024-07-19T04:09:00,1Z", "2024-07-19T04:09:00.1Z"}, {"rfc3339", "2024-07-19T04:09:00+", never},
		{"rfc3339", "2024-13-01T00:00:00Z", never}, {"rfc3339", "2024-07-19T24:00:00Z", never}, {"auto", "2024-07-19 00:09:00", "2024-07-19T04:09:00Z"},
		{"01/02/2006 3:04:05 PM", "07/19/2024 12:09:00 AM", "2024-07-19T04:09:00Z"}, {"01/02/2006 3:04:05 PM", "19.07.2024", never},
	} {
		format, ok := timeFormatByName(tc.format, zone)
		if !ok {
			t.Fatalf("no format %s", tc.format)
		}
		ns, ok := format(tc.in)
		if got := time.Unix(0, ns).UTC().Format(time.RFC3339Nano); ok != (tc.want != never) || ok && got != tc.want {
			t.Errorf("%s of %q = %s, %v; want %s", tc.format, tc.in, got, ok, tc.want)
		}
	}
}

// TestZoneWithSummerTime reads local times of a zone whose offset changes.
func TestZoneWithSummerTime(t *testing.T) {
	plan := compileOne(t, header+"zone: America/New_York\ntimestamp: [{from: at}]\n")
	for at, want := range map[string]string{
		"2024-01-15 12:00:00": "2024-01-15T17:00:00.000Z", "2024-07-15 12:00:00": "2024-07-15T16:00:00.000Z",
		"2024-07-15 12:00:00Z": "2024-07-15T12:00:00.000Z", "1721059200": "2024-07-15T16:00:00.000Z",
	} {
		if got := string(mapped(t, plan, "", `{"probe":1,"at":"`+at+`"}`).AppendJSON(nil)); !strings.Contains(got, `"@timestamp":"`+want) {
			t.Errorf("%s: got %s, want %s", at, got, want)
		}
	}
}

// TestUnits brings what vendors measure in to the units of the fields.
func TestUnits(t *testing.T) {
	plan := compileOne(t, header+`fields:
  edr.resource.cpu_pct: {from: load, scale: 100}
  edr.resource.memory_bytes: {from: kib, scale: 1024}
  edr.resource.uptime: {from: ms, scale: 0.001}
  edr.resource.threads: n
  host.cpu.usage: {from: pct, part: {by: " ", index: 0}, scale: 0.01}
  host.uptime: {from: hex, as: hex_number}
`)
	for raw, want := range map[string]string{
		`{"probe":1,"load":0.25}`:            `"cpu_pct":25}`,
		`{"probe":1,"load":"1e-3"}`:          `"cpu_pct":0.1}`,
		`{"probe":1,"load":"25 %"}`:          `"load":"25 %"`,
		`{"probe":1,"load":1e308}`:           `"load":1e308`,
		`{"probe":1,"kib":"2048"}`:           `"memory_bytes":2097152}`,
		`{"probe":1,"kib":1.5}`:              `"memory_bytes":1536}`,
		`{"probe":1,"kib":1e300}`:            `"kib":1e300`,
		`{"probe":1,"ms":61500}`:             `"uptime":62}`,
		`{"probe":1,"pct":"25 %"}`:           `"usage":0.25}`,
		`{"probe":1,"n":"12.0"}`:             `"threads":12}`,
		`{"probe":1,"n":"9007199254740993"}`: `"threads":9007199254740993}`,
		`{"probe":1,"hex":"0x3C"}`:           `"uptime":60}`,
	} {
		if got := string(mapped(t, plan, "", raw).AppendJSON(nil)); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
}

// TestDaysSince1970 compares with package time over every day that times may
// have, and over days that there are not.
func TestDaysSince1970(t *testing.T) {
	for year := 1678; year <= 2261; year++ {
		for month := 1; month <= 12; month++ {
			for day := 1; day <= 31; day++ {
				at := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
				days, ok := daysSince1970(year, month, day)
				if exists := at.Day() == day; ok != exists || ok && int64(days)*86400 != at.Unix() {
					t.Fatalf("%d-%d-%d: got %d, %v", year, month, day, days, ok)
				}
			}
		}
	}
}
