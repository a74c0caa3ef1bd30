package eventxml

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestAppendJSON(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"attributes, texts and named data",
			`<?xml version="1.0"?><Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>` +
				`<Provider Name='Service Control Manager' Guid="{x}"/><EventID Qualifiers='16384'>7036</EventID><Version>0</Version>` +
				`<Correlation/></System><EventData><Data Name='param1'>A &amp; B &lt;c&gt; &#233;&#x41;</Data><Data Name='param2'></Data><Binary>4300</Binary></EventData></Event>`,
			`{"System":{"Provider":{"#attributes":{"Name":"Service Control Manager","Guid":"{x}"}},` +
				`"EventID":{"#attributes":{"Qualifiers":"16384"},"#text":"7036"},"Version":"0","Correlation":null},` +
				`"EventData":{"param1":"A & B <c> éA","param2":null,"Binary":"4300"}}`},
		{"data by position", "<Event>\n <EventData>\n  <Data>a</Data>\n  <Data/>\n  <Data>c</Data>\n  <Binary/>\n </EventData>\n</Event>",
			`{"EventData":{"Data":{"#text":["a","","c"]},"Binary":null}}`},
		{"user data", `<Event><UserData><LogFileCleared xmlns="x"><Channel>Security</Channel></LogFileCleared></UserData></Event>`,
			`{"UserData":{"LogFileCleared":{"Channel":"Security"}}}`},
		{"repeated names", `<Event><UserData><a>1</a><a>2</a></UserData></Event>`, `{"UserData":{"a":"1","a_2":"2"}}`},
		{"comments and sections", `<!-- x --><Event><a><!-- < -->1<![CDATA[<&]]></a></Event>`, `{"a":"1<&"}`},
		{"prefix of a namespace", `<ev:Event xmlns:ev="x"><ev:System><ev:EventID>1</ev:EventID></ev:System></ev:Event>`, `{"System":{"EventID":"1"}}`},
		{"Azure's item", `<DataItem type="System.XmlData" time="x"><EventData xmlns="x"><Data Name="param1">a</Data></EventData></DataItem>`,
			`{"EventData":{"param1":"a"}}`},
		{"Azure's parameters", `<Param>a</Param><Param>b</Param>`, `{"EventData":{"Data":{"#text":["a","b"]}}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := &Parser{}
			got, err := p.AppendJSON([]byte("x"), tc.text)
			if err != nil || string(got) != "x"+tc.want {
				t.Errorf("got  %s, %v\nwant x%s", got, err, tc.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "offset 0: expected an element, found the end of the text",
		"<html></html>":                    `offset 0: expected <Event>, found "<html></html"`,
		"<Event>":                          "offset 7: expected </Event>, found the end of the text",
		"<Event/>":                         `offset 0: expected an event with elements, found "<Event/>"`,
		"<Event><a></b></Event>":           `offset 13: expected </a>, found "></Event>"`,
		"<Event a=1>":                      `offset 8: expected = and a quoted value, found "=1>"`,
		"<!DOCTYPE x><Event/>":             `offset 1: expected a name, found "!DOCTYPE x><"`,
		strings.Repeat("<Event>", 20):      `offset 125: expected at most 16 levels and 2048 elements, found "><Event><Eve"`,
		"<Event><a>1</a>" + "<b x='1></b>": "offset 27: expected the end of the value, found the end of the text",
	} {
		p := &Parser{}
		got, err := p.AppendJSON([]byte("x"), text)
		var parse *Error
		if !errors.As(err, &parse) || err.Error() != want || string(got) != "x" {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add(`<Event><System><EventID Qualifiers="1">1</EventID></System><EventData><Data>a&amp;</Data><Data Name="b">c</Data></EventData></Event>`)
	f.Add(`<Param>a</Param><Param/>`)
	p := &Parser{}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := p.AppendJSON(nil, text)
		if err == nil && !json.Valid(got) {
			t.Errorf("%q became %s", text, got)
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	text := `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Service Control Manager' ` +
		`Guid='{555908d1-a6d7-4695-8e1e-26931d2012f4}' EventSourceName='Service Control Manager'/><EventID Qualifiers='16384'>7036</EventID>` +
		`<Version>0</Version><Level>4</Level><Task>0</Task><Opcode>0</Opcode><Keywords>0x8080000000000000</Keywords>` +
		`<TimeCreated SystemTime='2024-07-19T04:12:00.8491400Z'/><EventRecordID>9371</EventRecordID><Correlation/>` +
		`<Execution ProcessID='612' ThreadID='4180'/><Channel>System</Channel><Computer>PC-0042.example.com</Computer><Security/></System>` +
		`<EventData><Data Name='param1'>CrowdStrike Falcon Sensor Service</Data><Data Name='param2'>stopped</Data>` +
		`<Binary>43005300460061006C0063006F006E0053006500720076006900630065002F0031000000</Binary></EventData></Event>`
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	p, room := &Parser{}, []byte(nil)
	for b.Loop() {
		var err error
		if room, err = p.AppendJSON(room[:0], text); err != nil {
			b.Fatal(err)
		}
	}
}
