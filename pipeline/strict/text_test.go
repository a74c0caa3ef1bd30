package strict_test

import (
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// TestTextAt finds the same word again from every way of writing a scalar.
func TestTextAt(t *testing.T) {
	const src = "plain: 'x'\n" +
		"k: abc DEF\n" +
		"folded:   abc\n    DEF ghi\n" +
		"quoted: \"a\\tb \\u0041 c DEF\"\n" +
		"single: 'it''s DEF'\n" +
		"multi: \"one\n\n  two \\\n  DEF\"\n" +
		"literal: |-\n  first ü\n\n    second\n  ü DEF\n" +
		"keep: |+2\n     x\n  DEF\n\n" +
		"fold: >\n  a b\n  c\n\n\n  d\n    more\n  DEF\n" +
		"list:\n  - - 'ü DEF'\n  - {a: ü, b: DEF}\n"
	node, err := strict.ParseOne("f.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(src, "\n")
	found := 0
	_, err = node.Transform(func(n strict.Node) (strict.Node, error) {
		text := n.Text()
		offset := strings.Index(text.Value, "DEF")
		if offset < 0 {
			return n, nil
		}
		found++
		line, column := text.At(offset)
		if line > len(lines) || !strings.HasPrefix(string([]rune(lines[line-1])[column-1:]), "DEF") {
			t.Errorf("%q: DEF found at %d:%d", text.Value, line, column)
		}
		return n, nil
	})
	if err != nil || found != 10 {
		t.Errorf("checked %d texts, want 10 (%v)", found, err)
	}
}

func TestTextAtOutsideOfTheText(t *testing.T) {
	made := strict.Text{Value: "a\nbc", Line: 5, Column: 3}
	for offset, want := range map[int][2]int{-1: {5, 3}, 0: {5, 3}, 2: {6, 1}, 3: {6, 2}, 99: {6, 3}} {
		if line, column := made.At(offset); line != want[0] || column != want[1] {
			t.Errorf("offset %d is at %d:%d, want %v", offset, line, column, want)
		}
	}
}
