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
	at := strings.Index(s[i:], marker)
	if at < 0 || at > 40 {
		return 0, 0, false
	}
	begin, end = i+at+len(marker), len(s)
	if stop := strings.Index(s[begin:], "-----END "); stop >= 0 {
		end = begin + stop
	}
	return begin, end, end > begin
}

// attached returns a password that stands behind -p without a space. Only some
// programs take it so; for others -p begins a port, a path or a word.
func attached(s string, i int) (begin, end int, ok bool) {
	if !strings.HasPrefix(s[i:], "-p") || i+2 >= len(s) || s[i+2] == ' ' || s[i+2] == '-' || s[i+2] == '=' || !takesAttached(s[:i]) {
		return 0, 0, false
	}
	return valueAt(s, i+2, false)
}

// takesAttached reports whether a word in front of an option names a program
// that takes -pPASSWORD.
func takesAttached(before string) bool {
	for word := range strings.FieldsFuncSeq(before, func(r rune) bool { return strings.ContainsRune(" \t\"'/\\|;&()", r) }) {
		switch strings.TrimSuffix(strings.ToLower(word), ".exe") {
		case "mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlsh", "mariadb", "mariadb-dump", "mariadb-admin", "sshpass", "7z", "7za", "7zr", "rar", "unrar", "winrar":
			return true
		}
	}
	return false
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
		colon := strings.IndexByte(value, ':')
		space := strings.IndexAny(value, " \t")
		if colon <= 0 || space >= 0 && space < colon || strings.HasPrefix(value[colon:], "://") || strings.HasPrefix(value[colon:], ":\\") {
			return 0, 0, false
		}
		return valueAt(s, i+len(option)+colon+1, false)
	}
	return 0, 0, false
}
