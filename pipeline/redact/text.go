package redact

import (
	"strings"
)

// text redacts one text. Escaped says that it is the inside of a JSON string.
// What it returns is valid until the next call.
func (r *Redactor) text(w *work, s string, command, escaped bool) ([]byte, bool) {
	if len(s) < 5 && len(r.patterns)+len(w.names) == 0 { // pwd=x is the shortest.
		return nil, false
	}
	w.out = w.out[:0]
	done := 0
	if r.secrets && mayHoldSecret(s) {
		f := &w.finder
		f.begin(s, command, escaped)
		for at := 0; ; {
			begin, end := f.next(at)
			if begin < 0 {
				break
			}
			w.out = append(append(w.out, s[done:begin]...), mark...)
			done, at = end, end
		}
	}
	changed := done > 0
	if changed {
		w.out = append(w.out, s[done:]...)
	}
	for _, p := range r.patterns {
		if changed {
			s = string(w.out)
		}
		spans := p.FindAllStringSubmatchIndex(s, -1)
		if len(spans) == 0 {
			continue
		}
		w.out, done = w.out[:0], 0
		for _, span := range spans {
			begin, end := span[0], span[1]
			if len(span) > 2 && span[2] >= 0 {
				begin, end = span[2], span[3]
			}
			w.out = append(append(w.out, s[done:begin]...), mark...)
			done = end
		}
		w.out = append(w.out, s[done:]...)
		changed = true
	}
	if r.users == "keep" {
		return w.out, changed
	}
	if changed {
		s = string(w.out)
	}
	if out, found := r.namesIn(w, s, escaped); found {
		return out, true
	}
	if changed {
		w.out = append(w.out[:0], s...)
	}
	return w.out, changed
}

// namesIn replaces the names of people that the event has in its fields, and
// the names of home directories.
func (r *Redactor) namesIn(w *work, s string, escaped bool) ([]byte, bool) {
	w.out = w.out[:0]
	done := 0
	afterWord := false
	for i := 0; i < len(s); i++ {
		if escaped && s[i] == '\\' {
			i += max(escapeSize(s, i), 1) - 1
			afterWord = false
			continue
		}
		inside := afterWord
		if afterWord = isWord(s[i]); inside {
			continue
		}
		end := homeName(s, i)
		if end == 0 {
			for _, name := range w.names {
				if len(s)-i >= len(name) && strings.EqualFold(s[i:i+len(name)], name) && (i+len(name) == len(s) || !isWord(s[i+len(name)])) {
					end = i + len(name)
					break
				}
			}
		}
		if end == 0 || r.keep[strings.ToLower(s[i:end])] {
			continue
		}
		w.out = append(w.out, s[done:i]...)
		w.out = r.appendName(w, w.out, s[i:end])
		done = end
		i, afterWord = end-1, true
	}
	if done == 0 {
		return nil, false
	}
	w.out = append(w.out, s[done:]...)
	return w.out, true
}

// homeName returns the end of the name of a home directory that begins at i;
// 0 when none does.
func homeName(s string, i int) int {
	if s[i] == '\\' || s[i] == '/' { // The name begins behind the last of them.
		return 0
	}
	above := i
	for above > 0 && (s[above-1] == '\\' || s[above-1] == '/') {
		above--
	}
	if above == i || !(hasSuffixFold(s[:above], `\users`) || hasSuffixFold(s[:above], "/users") || hasSuffixFold(s[:above], "/home")) {
		return 0
	}
	end := i
	for end < len(s) && strings.IndexByte("\\/\"'<>|\r\n", s[end]) < 0 {
		end++
	}
	switch strings.ToLower(s[i:end]) {
	case "", "public", "default", "default user", "all users", "shared":
		return 0
	}
	return end
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// mayHoldSecret rules out most texts (ids, names, versions) before they are
// looked at byte by byte: nextSecret needs a separator in front of a secret, or
// a letter of the tokens that it knows by their form.
func mayHoldSecret(s string) bool {
	if strings.IndexByte(s, '=') >= 0 || strings.IndexByte(s, ':') >= 0 || strings.IndexByte(s, ' ') >= 0 {
		return true
	}
	return len(s) >= 15 && strings.Contains(s, "xox") ||
		len(s) >= 20 && (strings.IndexByte(s, '_') >= 0 && strings.Contains(s, "gh") || strings.Contains(s, "IA")) ||
		len(s) >= 30 && strings.Contains(s, "eyJ")
}

// finder finds the secrets of one text.
type finder struct {
	s        string
	command  bool // s is a command line
	escaped  bool // s is the inside of a JSON string
	followed bool // line is at work on s
	line     commandLine
	programs programs
}

func (f *finder) begin(s string, command, escaped bool) {
	f.s, f.command, f.escaped, f.followed = s, command, escaped, false
}

// What a secret can be found by, as bits: characters below 64, and the letters
// from 64 on that its word, or the word in front of it, begins with. Of a text
// most characters are none of these.
const (
	secretMarks    uint64 = 1<<'=' | 1<<':' | 1<<'-' | 1<<'/'
	secretLetters  uint64 = 1<<('B'-64) | 1<<('b'-64) | 1<<('C'-64) | 1<<('c'-64) | 1<<('e'-64) | 1<<('g'-64) | 1<<('x'-64) | 1<<('A'-64)
	commandLetters uint64 = 1<<('u'-64) | 1<<('U'-64) | 1<<('s'-64) | 1<<('S'-64)
)

// next finds the next secret at or behind from; begin is -1 when there is none.
func (f *finder) next(from int) (begin, end int) {
	s := f.s
	letters := secretLetters
	if f.command {
		letters |= commandLetters
	}
	for i := from; i < len(s); i++ {
		switch c := s[i]; {
		case c < 64:
			if secretMarks>>c&1 == 0 {
				continue
			}
		case c >= 128 || letters>>(c-64)&1 == 0 || i > 0 && isWord(s[i-1]):
			continue
		}
		ok := false
		switch s[i] {
		case '=', ':':
			begin, end, ok = f.settingValue(i)
		case '-', '/':
			if s[i] == '-' || beginsWord(s, i) {
				begin, end, ok = f.optionOrKey(i)
			}
		case 'u', 'U', 's', 'S', 'C', 'c':
			begin, end = f.plainWord(i)
			ok = begin >= 0
		case 'B', 'b':
			begin, end, ok = bearerToken(s, i)
		case 'e', 'g', 'x', 'A':
			begin, end = i, knownToken(s, i)
			ok = end > 0
		}
		if ok && begin >= from && s[begin:end] != mark {
			return begin, end
		}
	}
	return -1, -1
}

// optionOrKey returns the value of the option that begins at i, or the private
// key.
func (f *finder) optionOrKey(i int) (begin, end int, ok bool) {
	if beginsWord(f.s, i) {
		begin, end, ok = f.optionValue(i)
	}
	if end == 0 && strings.HasPrefix(f.s[i:], "-----BEGIN ") {
		return privateKey(f.s, i)
	}
	return begin, end, ok
}

// bearerToken returns the token behind the word Bearer at i.
func bearerToken(s string, i int) (begin, end int, ok bool) {
	const word = "bearer "
	if len(s)-i <= len(word)+8 || !strings.EqualFold(s[i:i+len(word)], word) {
		return 0, 0, false
	}
	begin = i + len(word)
	end = endOfToken(s, begin)
	return begin, end, end-begin >= 8
}

// beginsWord reports whether a word of a command line begins at i.
func beginsWord(s string, i int) bool {
	return i == 0 || isSpace(s[i-1]) || s[i-1] == '"' || s[i-1] == '\''
}

// settingValue returns the value behind the separator at i, where the name in
// front of it is that of a secret, or the user and password of a URL.
func (f *finder) settingValue(i int) (begin, end int, ok bool) {
	s := f.s
	key := wordBefore(s, i)
	switch {
	case isSecretKey(key):
		begin, end, ok = valueAt(s, i+1, f.escaped)
		return begin, end, ok && !isWorkingDirectory(key, s[begin:end], s[:i])
	case s[i] == ':':
		return userinfo(s, i)
	}
	return 0, 0, false
}

// knownToken returns the end of a token that is known by its form: a JSON Web
// Token, and the access tokens of GitHub, Slack and AWS.
func knownToken(s string, i int) int {
	rest := s[i:]
	least := 0
	switch {
	case strings.HasPrefix(rest, "eyJ"):
		least = 30
	case strings.HasPrefix(rest, "ghp_"), strings.HasPrefix(rest, "gho_"), strings.HasPrefix(rest, "ghs_"), strings.HasPrefix(rest, "github_pat_"):
		least = 20
	case strings.HasPrefix(rest, "xoxb-"), strings.HasPrefix(rest, "xoxp-"), strings.HasPrefix(rest, "xoxa-"):
		least = 15
	case strings.HasPrefix(rest, "AKIA"), strings.HasPrefix(rest, "ASIA"):
		least = 20
	default:
		return 0
	}
	if end := endOfToken(s, i); end-i >= least {
		return end
	}
	return 0
}

func endOfToken(s string, i int) int {
	for i < len(s) && (isWord(s[i]) || strings.IndexByte("-._~+/=", s[i]) >= 0) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isWord(c byte) bool { return c|0x20-'a' < 26 || c-'0' < 10 || c == '_' || c >= 0x80 }

// wordBefore returns the name in front of the separator at i, which may be in
// quotes.
func wordBefore(s string, i int) string {
	for n := 0; n < 3 && i > 0 && (s[i-1] == ' ' || s[i-1] == '"' || s[i-1] == '\'' || s[i-1] == '\\'); n++ {
		i--
	}
	begin := i
	for begin > 0 && i-begin < 40 && (isWord(s[begin-1]) || s[begin-1] == '-' || s[begin-1] == '.') {
		begin--
	}
	return s[begin:i]
}

// isSecretKey reports whether a setting of this name holds a secret.
func isSecretKey(name string) bool {
	if n := len(name); n == 0 || isWord(name[n-1]) && !canEndSecretKey(name[n-1]) {
		return false
	}
	var room [40]byte
	key := room[:0]
	for _, c := range []byte(name) {
		switch {
		case c-'A' < 26:
			key = append(key, c|0x20)
		case isWord(c) && c != '_':
			key = append(key, c)
		}
		if len(key) == cap(key) {
			break
		}
	}
	if len(key) < 3 {
		return false
	}
	for _, end := range [...]string{
		"password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "accountkey", "secretkey", "privatekey", "credential",
		"credentials", "authorization",
	} {
		if len(key) >= len(end) && string(key[len(key)-len(end):]) == end {
			return true
		}
	}
	switch string(key) {
	case "pwd", "pass", "userpwd", "dbpass", "sig", "pw", "mysqlpwd", "sshpass":
		return true
	}
	return false
}

// canEndSecretKey rules most names out by their last letter.
func canEndSecretKey(c byte) bool {
	const ends uint64 = 1<<('d'-96) | 1<<('e'-96) | 1<<('t'-96) | 1<<('n'-96) | 1<<('y'-96) | 1<<('l'-96) | 1<<('s'-96) | 1<<('g'-96) | 1<<('w'-96)
	return c == '_' || c|0x20-'a' < 26 && ends>>(c&0x1f)&1 != 0
}

// isWorkingDirectory reports whether a setting called PWD is the shell's
// variable, whose value is a path, and no password of a list such as UID=x;PWD=y.
func isWorkingDirectory(name, value, before string) bool {
	if name != "PWD" || !isPath(value) {
		return false
	}
	before = strings.TrimRight(before, "\" '\\")
	return !strings.HasSuffix(strings.TrimRight(before[:len(before)-len("PWD")], " "), ";")
}

// isSecretOption reports whether a word of a command line announces a secret
// in the next word.
func isSecretOption(word string) bool {
	name := strings.TrimLeft(word, "-/")
	if name == word || len(word)-len(name) > 2 {
		return false
	}
	return isSecretKey(name) || word == "/rp" || strings.EqualFold(name, "asplaintext")
}

// optionValue returns the value of an option such as --password x.
func (f *finder) optionValue(i int) (begin, end int, ok bool) {
	s := f.s
	if f.command {
		if begin, end, ok = f.letterOption(i); ok {
			return begin, end, true
		}
		if begin, end, ok = userAndPassword(s, i); ok {
			return begin, end, true
		}
	}
	stop := i
	for stop < len(s) && (s[stop] == '-' || s[stop] == '/' || isWord(s[stop])) {
		stop++
	}
	if stop == len(s) || s[stop] != ' ' || !isSecretOption(s[i:stop]) {
		return 0, 0, false
	}
	begin, end, ok = valueAt(s, stop, f.escaped)
	return begin, end, ok && s[begin] != '-'
}

// valueAt returns the value that begins at i or behind white space and quotes
// there.
func valueAt(s string, i int, escaped bool) (begin, end int, ok bool) {
	for i < len(s) && s[i] == ' ' {
		i++
	}
	quote := byte(0)
	if i+1 < len(s) && s[i] == '\\' && s[i+1] == '"' {
		i++
	}
	if i < len(s) && (s[i] == '"' || s[i] == '\'') {
		quote = s[i]
		i++
	}
	begin = i
	for ; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) && (escaped || s[i+1] == '"') {
			if strings.IndexByte(`"nrtu`, s[i+1]) >= 0 {
				break
			}
			i++
			continue
		}
		if quote != 0 && c == quote || quote == 0 && strings.IndexByte(" \t\r\n&;,\"'<>(){}[]|", c) >= 0 {
			break
		}
	}
	end = min(i, len(s))
	// The scheme of an Authorization header is no secret, what follows is.
	if scheme := s[begin:end]; quote == 0 && (strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "basic")) && end < len(s) && s[end] == ' ' {
		begin = end + 1
		end = endOfToken(s, begin)
	}
	return begin, end, end > begin
}
