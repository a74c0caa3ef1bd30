package redact

import "strings"

// plainWord returns the secret that a command has as a plain word, where the words
// in front of it say so: net user, net use, set, setx and ConvertTo-SecureString.
// Begin is -1 when the word at i is none of these.
func (f *finder) plainWord(i int) (begin, end int) {
	s := f.s
	switch s[i] | 0x20 {
	case 'c':
		const name = "convertto-securestring"
		if hasPrefixFold(s[i:], name) {
			return f.plainText(i, i+len(name))
		}
	case 'u':
		switch {
		case !f.command || i < 4 || !afterNet(s[:i]):
		case hasPrefixFold(s[i:], "user "):
			return f.operand(i+5, 1, false)
		case hasPrefixFold(s[i:], "use "):
			return f.operand(i+4, 0, true)
		}
	case 's':
		if !f.command {
			break
		}
		for _, verb := range [...]string{"set ", "setx "} {
			if !hasPrefixFold(s[i:], verb) {
				continue
			}
			// An option of setx may be in front of the name, or behind the value.
			name := f.wordAt(i + len(verb))
			for n := 0; n < maxWords && (strings.HasPrefix(name.text, "/") || strings.HasPrefix(name.text, "-")); n++ {
				name = f.wordAt(name.after)
			}
			if value := f.wordAt(name.after); isSecretKey(name.text) && value.text != "" && value.text[0] != '=' && value.text[0] != '-' {
				return value.begin, value.end
			}
		}
	}
	return -1, 0
}

// afterNet reports whether a text ends with the program net and a space.
func afterNet(s string) bool {
	s = strings.TrimRight(s, " \t\"'\\")
	if hasSuffixFold(s, ".exe") {
		s = s[:len(s)-4]
	}
	s = strings.TrimSuffix(s, "1") // net1 is what net starts.
	return hasSuffixFold(s, "net") && (len(s) == 3 || !isWord(s[len(s)-4]) && s[len(s)-4] != '-' && s[len(s)-4] != '.')
}

// operand returns the word that has the given number of words in front of it,
// options not counted; with share, the one behind the name of the share.
func (f *finder) operand(i, before int, share bool) (begin, end int) {
	for range maxWords {
		w := f.wordAt(i)
		switch {
		case w.begin == w.end:
			return -1, 0
		case w.text[0] == '/':
		case share:
			share = !strings.HasPrefix(w.text, `\\`) && !strings.HasPrefix(w.text, "//") && !strings.Contains(w.text, "://")
		case before > 0:
			before--
		case w.text == "*", strings.HasPrefix(f.s[w.end:], ">"): // Asked for; 2>&1
			return -1, 0
		default:
			return w.begin, w.end
		}
		i = w.after
	}
	return -1, 0
}

// maxWords bounds how far behind its command a secret is looked for.
const maxWords = 12

// plainText returns the secret of ConvertTo-SecureString, whose name stands
// from name to i: its first argument that is no option, or the text in quotes
// that is piped into it. Variables and expressions are none.
func (f *finder) plainText(name, i int) (begin, end int) {
	for range maxWords {
		w := f.wordAt(i)
		if w.begin == w.end {
			break
		}
		if w.text[0] != '-' {
			if w.text[0] == '$' || w.text[0] == '@' {
				return -1, 0
			}
			return w.begin, w.end
		}
		i = w.after
	}
	front := strings.TrimRight(f.s[:name], " \t")
	if !strings.HasSuffix(front, "|") {
		return -1, 0
	}
	if front = strings.TrimRight(front[:len(front)-1], " \t"); len(front) < 3 {
		return -1, 0
	}
	quote := front[len(front)-1]
	if quote != '"' && quote != '\'' {
		return -1, 0
	}
	end = len(front) - 1
	if begin = strings.LastIndexByte(front[max(0, end-maxPiped):end], quote); begin < 0 {
		return -1, 0
	}
	begin += max(0, end-maxPiped) + 1
	if quote == '"' && front[end-1] == '\\' {
		end--
	}
	if begin >= end {
		return -1, 0
	}
	return begin, end
}

// maxPiped bounds how far back the beginning of a piped text is looked for.
const maxPiped = 256

// word is one of a command.
type word struct {
	text       string
	begin, end int
	after      int // where the next one is looked for
}

// wordAt returns the word at i or behind white space there. It is empty at the
// end of the command.
func (f *finder) wordAt(i int) word {
	s := f.s
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	stops := " \t\r\n;|&<>\"'`"
	quoted := 0
	if f.quoteAt(i) > 0 {
		quoted = f.quoteAt(i)
		i += quoted
		stops = s[i-1 : i]
	}
	begin := i
	for ; i < len(s) && strings.IndexByte(stops, s[i]) < 0 && f.quoteAt(i) < 2; i++ {
		if f.escaped && s[i] == '\\' {
			if i+1 < len(s) && strings.IndexByte("nrt", s[i+1]) >= 0 {
				break
			}
			i++
		}
	}
	end := min(i, len(s))
	after := end
	if n := f.quoteAt(end); n > 0 && quoted > 0 {
		after += n
	} else if n > 0 { // The command itself stands in quotes.
		after = len(s)
	}
	return word{s[begin:end], begin, end, after}
}

// quoteAt returns the length of the quote that stands at i; 0 for none.
func (f *finder) quoteAt(i int) int {
	switch {
	case i < len(f.s) && (f.s[i] == '"' || f.s[i] == '\''):
		return 1
	case i+1 < len(f.s) && f.s[i] == '\\' && f.s[i+1] == '"':
		return 2
	}
	return 0
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
