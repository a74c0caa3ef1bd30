package cef

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestAppendJSON(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{
			"header and extension", `CEF:0|Example|Guard|1.2|100|Started|3|src=192.0.2.1 msg=all is well suser=alice`,
			`{"version":"0","device":{"vendor":"Example","product":"Guard","version":"1.2","event_class_id":"100"},"name":"Started","severity":"3",` +
				`"extensions":{"src":"192.0.2.1","msg":"all is well","suser":"alice"}}`,
		},
		{
			"syslog before it, escapes in it", `<14>Jul 19 04:09:00 gw CEF:0|Ex\|ample|a\\b|1|2|n|0|k=a\=b\\c\nd p=C:\Windows q=x=y`,
			`{"version":"0","device":{"vendor":"Ex|ample","product":"a\\b","version":"1","event_class_id":"2"},"name":"n","severity":"0",` +
				`"prefix":"<14>Jul 19 04:09:00 gw","extensions":{"k":"a=b\\c\nd","p":"C:\\Windows","q":"x=y"}}`,
		},
		{
			"labels", `CEF:0|A|B|1|2|n|0|cs1Label=Agent version cs1=7.2 cs2= cs2Label=subtype`,
			`{"version":"0","device":{"vendor":"A","product":"B","version":"1","event_class_id":"2"},"name":"n","severity":"0",` +
				`"extensions":{"cs1Label":"Agent version","cs1":"7.2","cs2":"","cs2Label":"subtype"},"labels":{"agent_version":"7.2","subtype":""}}`,
		},
		{
			"no extension", `CEF:0|A|B|1|2|n|0`,
			`{"version":"0","device":{"vendor":"A","product":"B","version":"1","event_class_id":"2"},"name":"n","severity":"0","extensions":{}}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := new(Parser).AppendJSON(nil, tc.text)
			if err != nil || string(got) != tc.want {
				t.Errorf("got  %s (%v)\nwant %s", got, err, tc.want)
			}
		})
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for text, want := range map[string]string{
		"":                     `offset 0: expected "CEF:", found the end of the text`,
		"LEEF:1.0|A":           `offset 0: expected "CEF:", found "LEEF:1.0|A"`,
		"CEF:0|A|B|1|2":        `offset 13: expected '|' after field 5 of 7 of the header, found the end of the text`,
		`CEF:0|A|B|1|2|name\|`: `offset 20: expected '|' after field 6 of 7 of the header, found the end of the text`,
	} {
		if _, err := new(Parser).AppendJSON(nil, text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// FuzzAppendJSON reads arbitrary text: an error or a valid JSON object.
func FuzzAppendJSON(f *testing.F) {
	f.Add(`CEF:0|Ex\|ample|a\\b|1|2|n|0|k=a\=b\\c\nd cs1Label=x cs1=\`)
	f.Add("<1>CEF:1||||||| =\\")
	p := new(Parser)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // Records are checked before.
		}
		out, err := p.AppendJSON(nil, text)
		if err == nil && !json.Valid(out) {
			t.Errorf("%q: not valid JSON: %s", text, out)
		}
	})
}
