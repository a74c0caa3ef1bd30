package main

import (
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// privateWords are words and phrases of ours that an operator has to guess the
// meaning of, with what to write instead.
var privateWords = map[string]string{
	`(?:is|are|was|were|be|been) (?:not )?told(?: to)?\b`: "say who sends or writes what: written, sent, reported, shown",
	`told (?:of|otherwise|apart)`:                         "reported; configured; distinguished",
	`unless told`:                                         "name the setting",
	`without a past`:                                      "new, without history",
	`(?:is|are|was|were|or) lost to`:                      "not delivered to",
	`cannot be kept`:                                      "not recorded, not stored",
	`bec(?:a|o)mes? of`:                                   "name the outcome",
	`of late\b`:                                           "recently",
	`elsewhere`:                                           "name the place",
	`stands? there`:                                       "is there",
	`anew`:                                                "again",
	`for want of`:                                         "because … is missing",
	`(?:taken|(?:takes?|taking) (?:it|them)) up\b`: "read, restored, used",
	`well again`:    "recovered",
	`goes? away`:    "is removed, ends",
	`found no home`: "not mapped",
	`farewell|telltale|\brouse|\bsoil|sightings`: "name what it does",
	`happenings?\b`: "incident",
}

// TestPlainWords holds messages, comments and papers to words that a reader
// who knows the field, and not this program, understands.
func TestPlainWords(t *testing.T) {
	var alternatives []string
	for w := range privateWords {
		alternatives = append(alternatives, w)
	}
	slices.Sort(alternatives)
	private := regexp.MustCompile(`(?i)\b(?:` + strings.Join(alternatives, "|") + `)`)
	check := func(path, text string) {
		found := private.FindString(text)
		if found == "" || strings.HasSuffix(found, "told to") { // Who is told to do something was asked to.
			return
		}
		t.Errorf("%s says %q (write instead: %s)\n\t%.200s", path, found, instead(found), text)
	}
	for _, m := range messages(t) {
		check(m.file, m.text)
	}
	walkSources(t, ".go", func(path string, src []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			check(path, group.Text())
		}
	})
	walkSources(t, ".md", func(path string, src []byte) {
		for line := range strings.Lines(string(src)) {
			check(path, line)
		}
	})
}

// instead is what to write instead of a word that was found.
func instead(found string) string {
	for word, plain := range privateWords {
		if regexp.MustCompile(`(?i)^(?:` + word + `)$`).MatchString(found) {
			return plain
		}
	}
	return "a plain word"
}
