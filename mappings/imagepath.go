package mappings

import (
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// imagePath takes the path of the program out of what the service manager of
// Windows starts: without quotes, arguments and the kernel's prefixes, with the
// directories that Windows has names for. It returns false for what names no
// program.
func imagePath(e *event.Event, t text) (text, bool) {
	s := strings.TrimSpace(t.s)
	if rest, quoted := strings.CutPrefix(s, `"`); quoted {
		s, _, _ = strings.Cut(rest, `"`)
	} else {
		s = s[:programEnd(s)]
	}
	s = strings.TrimSpace(s)
	for _, prefix := range []string{`\??\`, `\\?\`, `\\.\`} {
		s = strings.TrimPrefix(s, prefix)
	}
	if s == "" {
		return t, false
	}
	for _, known := range namedDirectories() {
		if len(s) >= len(known.name) && strings.EqualFold(s[:len(known.name)], known.name) {
			rest := s[len(known.name):]
			if rest != "" && rest[0] != '\\' && !strings.HasSuffix(known.name, `\`) {
				continue
			}
			return text{s: event.View(append(append(e.Scratch(len(known.path)+len(rest)), known.path...), rest...))}, true
		}
	}
	return text{s: s}, true
}

// programEnd returns where the program ends and its arguments begin in a
// command without quotes: behind the first ending of a program that a space or
// the end follows, else at the first space.
func programEnd(s string) int {
	if strings.HasPrefix(s, "%") {
		if i := strings.IndexByte(s[1:], '%') + 2; i > 1 && i < len(s) && s[i] == ' ' {
			return i // a variable that names a program, such as %ComSpec%
		}
	}
	for i := 0; i+4 <= len(s); i++ {
		if s[i] != '.' || i+4 < len(s) && s[i+4] != ' ' && s[i+4] != '\t' && s[i+4] != '"' {
			continue
		}
		for _, ending := range [...]string{"exe", "sys", "com", "bat", "cmd", "dll", "scr"} {
			if strings.EqualFold(s[i+1:i+4], ending) {
				return i + 4
			}
		}
	}
	if i := strings.IndexAny(s, " \t"); i > 0 && !strings.Contains(s[i:], `\`) {
		return i
	}
	return len(s)
}

type namedDirectory struct{ name, path string }

// namedDirectories are the names that stand before the paths of services, with
// what they stand for where Windows is installed as usual.
func namedDirectories() [11]namedDirectory {
	return [...]namedDirectory{
		{`\SystemRoot`, `C:\Windows`},
		{`SystemRoot\`, `C:\Windows\`},
		{`%SystemRoot%`, `C:\Windows`},
		{`%windir%`, `C:\Windows`},
		{`%SystemDrive%`, `C:`},
		{`%ComSpec%`, `C:\Windows\System32\cmd.exe`},
		{`%ProgramFiles%`, `C:\Program Files`},
		{`%ProgramFiles(x86)%`, `C:\Program Files (x86)`},
		{`%ProgramData%`, `C:\ProgramData`},
		{`system32\`, `C:\Windows\System32\`}, // drivers are relative to the directory of Windows
		{`syswow64\`, `C:\Windows\SysWOW64\`},
	}
}
