package mappings

import "testing"

// TestOnceEscaped takes one half of doubled escapes away, and leaves texts
// alone that are escaped as JSON wants.
func TestOnceEscaped(t *testing.T) {
	for in, want := range map[string]string{
		`"C:\\\\Windows\\\\cmd.exe"`:      `"C:\\Windows\\cmd.exe"`,
		`"C:\\Windows\\cmd.exe"`:          `"C:\\Windows\\cmd.exe"`,
		`"\\\\\\\\srv\\\\share"`:          `"\\\\srv\\share"`,
		`"\\\\srv\\share"`:                `"\\\\srv\\share"`,
		`"\\\"C:\\\\a b\\\\c.exe\\\" -x"`: `"\"C:\\a b\\c.exe\" -x"`,
		`"say \"hello\""`:                 `"say \"hello\""`,
		`"a\nb"`:                          `"a\nb"`,
		`"a\\\\b\nc"`:                     `"a\\b\nc"`,
		`""`:                              `""`,
		`7`:                               `7`,
		`"x\\\\"`:                         `"x\\"`,
	} {
		if got := string(appendOnceEscaped(nil, []byte(in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
