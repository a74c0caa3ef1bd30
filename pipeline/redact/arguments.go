package redact

import (
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// span is a secret in a list of words: all of one word from begin on.
type span struct{ word, begin int }

// arguments finds the secrets in the words of a command that the words around
// them give away: it joins them to a line and looks there. What stands inside of
// one word is left to text. Escaped says that the words stand in JSON. The result is valid until the next call.
func (w *work) arguments(list []string, escaped bool) []span {
	w.line, w.starts, w.spans = w.line[:0], w.starts[:0], w.spans[:0]
	for _, s := range list {
		if len(w.line) > 0 {
			w.line = append(w.line, ' ')
		}
		quote := needsQuotes(s)
		if quote {
			w.line = append(w.line, '"')
		}
		w.starts = append(w.starts, len(w.line))
		w.line = append(w.line, s...)
		if quote {
			w.line = append(w.line, '"')
		}
	}
	line := event.View(w.line)
	if !mayHoldSecret(line) {
		return nil
	}
	f := &w.finder
	f.begin(line, true, escaped)
	for at, i := 0, 0; ; {
		begin, end := f.next(at)
		if begin < 0 {
			return w.spans
		}
		for i+1 < len(list) && w.starts[i+1] <= begin {
			i++
		}
		at = end
		// Behind an option's letter the secret has the rest of the word.
		if start := w.starts[i]; list[i] != mark && (begin == start || begin == start+2 && list[i][0] == '-') {
			w.spans = append(w.spans, span{i, begin - start})
			at = max(end, start+len(list[i]))
		}
	}
}

// needsQuotes reports whether a word could end early in a line.
func needsQuotes(s string) bool {
	return s == "" || strings.ContainsAny(s, " \t\r\n&;,<>(){}[]|`") && strings.IndexByte(s, '"') < 0
}

// argumentList follows a list of words in JSON.
type argumentList struct {
	key, at int // where the list begins, and the number of the word at hand
	secrets []span
}

// next returns how much of the word at hand stays in front of a secret that the
// words around it give away; -1 when it is none.
func (a *argumentList) next(w *work, t tokens) int {
	a.at++
	if t.keyEnd != a.key {
		*a = argumentList{key: t.keyEnd}
		w.words = append(w.words[:0], t.text)
		for ahead := t; ahead.next() && ahead.keyEnd == t.keyEnd; {
			w.words = append(w.words, ahead.text)
		}
		if len(w.words) > 1 {
			a.secrets = w.arguments(w.words, true)
		}
	}
	if len(a.secrets) == 0 || a.secrets[0].word != a.at {
		return -1
	}
	keep := a.secrets[0].begin
	a.secrets = a.secrets[1:]
	return keep
}
