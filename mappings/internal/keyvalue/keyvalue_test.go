package keyvalue

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestAppendJSON(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{
			`type=KERNEL msg=audit(1721362140.123:42): audit_lost=17 audit_backlog_limit=8192`,
			`{"type":"KERNEL","msg":"audit(1721362140.123:42):","audit_lost":"17","audit_backlog_limit":"8192"}`,
		},
		{`a="x y" b='it is' c="say \"so\"" d=`, `{"a":"x y","b":"it is","c":"say \"so\"","d":""}`},
		{`some words, key.one=1, key-two=2; =3 "e"=4 f="open`, `{"key_one":"1","key-two":"2","f":"\"open"}`},
		{"url=http://example.com/?a=b&c=d", `{"url":"http://example.com/?a=b&c=d"}`},
	} {
		got, err := AppendJSON(nil, tc.text)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s\ngot  %s (%v)\nwant %s", tc.text, got, err, tc.want)
		}
	}
	const want = `offset 0: expected at least one pair of the form key=value, found "no pair at a"`
	if _, err := AppendJSON(nil, "no pair at all"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// FuzzAppendJSON reads arbitrary text: an error or a valid JSON object.
func FuzzAppendJSON(f *testing.F) {
	f.Add(`a="x\"y" b='\' c=d, e==f`)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // Records are checked before.
		}
		out, err := AppendJSON(nil, text)
		if err == nil && !json.Valid(out) {
			t.Errorf("%q: not valid JSON: %s", text, out)
		}
	})
}
