package strict_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// FuzzParse holds Parse and Decode to their promises on any input: no panic, positions inside of the file, and a text
// that knows the place of every character of it.
func FuzzParse(f *testing.F) {
	for _, src := range []string{
		"a: 1\nb: [x, 'y', \"z\\n\"]\n", "a: |\n  x\n\n  y\n", "a: >-\n  x\n  y\n", "---\na: 1\n---\n---\nb: 2\n", "? a\n: b\n",
		"- - - a\n- {b: [c, {d: e}]}\n", "a: &x 1\nb: *x\n", "a: !!int 3\n", "<<: {a: b}\n", "\ta: 1", "a: \"\\", "[", "{", "- |+2\n   a",
		"id: x\nwindow: 1d\nlimit: 8MiB\ncount: 0x10\nwhen: 'a''b'\nnested: {id: y}\nweights: {a: .5}\n",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		nodes, err := strict.Parse("f.yml", src)
		if err != nil {
			return
		}
		lines := strings.Split(string(src)+"\n", "\n")
		for _, node := range nodes {
			checkPositions(t, node, lines)
			var r rule
			_ = node.Decode(&r)
			_ = node.Value()
		}
	})
}

func checkPositions(t *testing.T, node strict.Node, lines []string) {
	line, column := node.Position()
	inside := func(line, column int) bool {
		return line >= 1 && line <= len(lines) && column >= 1 && column <= utf8.RuneCountInString(lines[line-1])+1
	}
	if !inside(line, column) {
		t.Errorf("%s stands at %d:%d, outside of the file", node.Describe(), line, column)
	}
	text := node.Text()
	for offset := range text.Value {
		if line, column := text.At(offset); !inside(line, column) {
			t.Errorf("byte %d of %q stands at %d:%d, outside of the file", offset, text.Value, line, column)
		}
	}
	for _, item := range node.Items() {
		checkPositions(t, item, lines)
	}
	for _, e := range node.Entries() {
		checkPositions(t, e.Key, lines)
		checkPositions(t, e.Value, lines)
	}
}
