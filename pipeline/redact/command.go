package redact

import "strings"

// userinfo returns the password of a URL, as in https://name:password@host,
// whose colon is at i.
func userinfo(s string, i int) (begin, end int, ok bool) {
	name := i
	for name > 0 && (isWord(s[name-1]) || strings.IndexByte("-.%+", s[name-1]) >= 0) {
		name--
	}
	if name < 2 || s[name-2:name] != "//" {
		return 0, 0, false
	}
	begin = i + 1
	end = begin
	for end < len(s) && strings.IndexByte("/@ \t\r\n\"'<>", s[end]) < 0 {
		end++
	}
	return begin, end, end > begin && end < len(s) && s[end] == '@'
}

// privateKey returns what stands between the lines that begin and end a
// private key in PEM form; to the end of the text where it is cut off.
func privateKey(s string, i int) (begin, end int, ok bool) {
	const marker = "PRIVATE KEY-----"
	at := strings.Index(s[i:min(len(s), i+40+len(marker))], marker)
	if at < 0 {
		return 0, 0, false
	}
	begin, end = i+at+len(marker), len(s)
	if stop := strings.Index(s[begin:], "-----END "); stop >= 0 {
		end = begin + stop
	}
	return begin, end, end > begin
}

// letterOption returns the password behind an option of one letter: -p x, -px,
// -p:x or /p:x. To which programs it is one, programs.tsv says; of programs that
// are not there only the form with a colon, which Windows installers have, counts.
func (f *finder) letterOption(i int) (begin, end int, ok bool) {
	s := f.s
	if i+2 >= len(s) || strings.IndexByte("pPa", s[i+1]) < 0 {
		return 0, 0, false
	}
	letter, next := s[i+1], s[i+2]
	switch {
	case next == '-' || next == '=' || isWord(next) && s[i] == '/' && !strings.HasPrefix(s[i:], "/rp"):
		return 0, 0, false
	case isWord(next) && letter == 'a':
		return 0, 0, false
	}
	if !f.followed {
		f.line.follow(s, f.escaped, f.programs)
		f.followed = true
	}
	var room [maxProgram]byte
	program := f.line.program(i, &room)
	v := f.programs.verdict(program, letter)
	switch {
	case next == ':':
		begin, end, ok = valueAt(s, i+3, f.escaped)
		return begin, end, ok && (v >= nextWord || v == unknownOption && letter == 'p' && !harmless(s[begin:end]) && !isProperty(s[begin:end]))
	case isSpace(next) && s[i] == '-':
		begin, end, ok = valueAt(s, i+2, f.escaped)
		return begin, end, ok && s[begin] != '-' && v >= nextWord
	case v == attachedToo:
		return valueAt(s, i+2, f.escaped)
	}
	return 0, 0, false
}

// userAndPassword returns the password of an option such as curl's
// -u name:password.
func userAndPassword(s string, i int) (begin, end int, ok bool) {
	rest := s[i:]
	for _, option := range [...]string{"-u ", "--user ", "--proxy-user ", "-U "} {
		value, found := strings.CutPrefix(rest, option)
		if !found {
			continue
		}
		colon := strings.IndexAny(value, ": \t")
		if colon <= 0 || value[colon] != ':' || strings.HasPrefix(value[colon:], "://") || strings.HasPrefix(value[colon:], ":\\") {
			return 0, 0, false
		}
		return valueAt(s, i+len(option)+colon+1, false)
	}
	return 0, 0, false
}
