package redact

import (
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// commandLine follows a command line up to an option and tells the program
// that the option belongs to. It moves forward only, so that a long line with
// many options is gone through once.
type commandLine struct {
	s       string
	escaped bool // s is the inside of a JSON string
	known   programs
	at      int
	depth   int
	levels  [maxQuotes + 1]level
}

// maxQuotes bounds how deep quotes and $( ) are followed into each other.
const maxQuotes = 6

// level is one command: that of the line, or one inside of quotes or brackets.
type level struct {
	program string // as it stands, with its path
	opener  byte   // what the level began with: a quote, a backtick, a bracket
	begin   int    // of what stands inside of the opener
	starter        // what the program still needs before another program follows
	pending bool   // the program starts another one, whose name is yet to come
	skip    bool   // the next word is the value of an option
	path    bool   // the program is a path without quotes that may go on behind a space
}

// follow begins with a line.
func (c *commandLine) follow(s string, escaped bool, known programs) {
	c.s, c.escaped, c.known, c.at, c.depth = s, escaped, known, 0, 0
	c.levels[0] = level{}
}

// program returns the name of the program, in lower case and without its path,
// of the command that stands at i.
func (c *commandLine) program(i int, room *[maxProgram]byte) string {
	for c.at < i {
		c.step(i)
	}
	for d := c.depth; d >= 0; d-- { // "-p x" in quotes of its own is an option of the command around it.
		if p := c.levels[d].program; p != "" && p[0] != '-' {
			return programName(p, room)
		}
	}
	return ""
}

// step takes the next word, separator or quote in front of stop.
func (c *commandLine) step(stop int) {
	l := &c.levels[c.depth]
	switch b := c.s[c.at]; {
	case b == '\\' && c.at+1 < len(c.s) && c.s[c.at+1] == '"':
		c.at++
	case c.escaped && b == '\\' && c.at+1 < len(c.s) && (c.s[c.at+1] == 'n' || c.s[c.at+1] == 'r'):
		*l = level{opener: l.opener, begin: l.begin}
		c.at += 2
	case b == ' ' || b == '\t':
		c.at++
	case strings.IndexByte(";|&\n\r", b) >= 0:
		*l = level{opener: l.opener, begin: l.begin}
		c.at++
	case b == '"' || b == '\'' || b == '`':
		c.quote(b)
	case b == '(' && (l.program == "" || c.at > 0 && c.s[c.at-1] == '$'):
		c.openQuote(b)
	case b == ')' && c.closeQuote('('):
	default:
		begin := c.at
		for c.at++; c.at < stop && strings.IndexByte(" \t;|&\n\r\"'`)", c.s[c.at]) < 0; c.at++ {
			if c.s[c.at] == '(' && c.s[c.at-1] == '$' {
				break
			}
			if c.escaped && c.s[c.at] == '\\' {
				if c.at+1 < stop && c.s[c.at+1] != '\\' {
					break
				}
				c.at++
			}
		}
		c.at = min(c.at, stop)
		l.word(c.s[begin:c.at], c.known)
	}
}

// quote opens or closes what stands between quotes.
func (c *commandLine) quote(b byte) {
	if !c.closeQuote(b) {
		c.openQuote(b)
	}
}

func (c *commandLine) openQuote(b byte) {
	c.at++
	if c.depth == maxQuotes {
		return
	}
	c.depth++
	c.levels[c.depth] = level{opener: b, begin: c.at}
}

// closeQuote ends the innermost level that b ends, with all inside of it. What stood
// in quotes is a word of the command around them.
func (c *commandLine) closeQuote(b byte) bool {
	for d := c.depth; d > 0; d-- {
		if c.levels[d].opener != b {
			continue
		}
		c.depth = d - 1
		if b != '(' {
			c.levels[c.depth].word(strings.TrimSuffix(c.s[c.levels[d].begin:c.at], `\`), c.known)
		}
		c.at++
		return true
	}
	return false
}

// word takes a word of the command.
func (l *level) word(w string, known programs) {
	var room [maxProgram]byte
	switch {
	case l.program != "" && !l.pending:
		l.goOn(w)
	case l.skip:
		l.skip = false
	case l.pending && (w == "" || w[0] == '-' || w[0] == '/' && l.slash):
		l.skip = len(w) == 2 && strings.IndexByte(l.valued, w[1]) >= 0
	case isAssignment(w):
	case l.verbs:
		switch w {
		case "compose":
		case "exec":
			l.starter = starter{valued: "uwenc", operands: 1}
		case "login":
			l.program, l.pending = loginProgram, false
		default:
			l.pending = false
		}
	case l.operands > 0:
		l.operands--
	default:
		l.program = w
		name := programName(w, &room)
		l.starter, l.pending = starterOf(name)
		l.path = !l.pending && len(w) > 2 && w[1] == ':' && known.verdict(name, 'p') == unknownOption && !hasSuffixFold(w, ".exe")
	}
}

// goOn looks whether a path such as C:\Program Files\MySQL\mysql.exe goes on.
func (l *level) goOn(w string) {
	if !l.path || w == "" || w[0] == '-' || w[0] == '/' {
		l.path = false
		return
	}
	if strings.IndexByte(w, '\\') >= 0 {
		l.program = w
		l.path = !hasSuffixFold(w, ".exe")
	}
}

// isAssignment reports whether a word sets a variable, as in LANG=C sort.
func isAssignment(w string) bool {
	for i := 0; i < len(w); i++ {
		if w[i] == '=' {
			return i > 0
		}
		if !isWord(w[i]) {
			return false
		}
	}
	return false
}

// maxProgram is the length of the longest name that is recognised.
const maxProgram = 24

// programName returns the name of a program in lower case, without quotes, path
// and .exe. What it returns stands in room.
func programName(word string, room *[maxProgram]byte) string {
	word = word[strings.LastIndexAny(word, `/\`)+1:]
	if hasSuffixFold(word, ".exe") {
		word = word[:len(word)-4]
	}
	if len(word) > maxProgram {
		word = word[:maxProgram]
	}
	name := room[:0]
	for i := 0; i < len(word); i++ {
		c := word[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		name = append(name, c)
	}
	return event.View(name)
}
