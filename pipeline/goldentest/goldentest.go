// Package goldentest compares what a test made with a file under version control,
// and writes that file instead when EDRWATCH_UPDATE=1 is set. It is for tests.
//
// It is a variable of the environment and not a flag, because a test binary
// refuses a flag that its package does not define: with it, one command
// rewrites the golden files of all packages,
//
//	EDRWATCH_UPDATE=1 go test ./...
//
// and go test runs no test from its cache then.
package goldentest

import (
	"bytes"
	"os"
	"testing"
)

// Variable is the name of the variable that asks for the files to be written.
const Variable = "EDRWATCH_UPDATE"

// Update reports whether golden files are to be written instead of compared.
func Update() bool { return os.Getenv(Variable) == "1" }

// Compare fails the test unless the file at path holds got. With
// EDRWATCH_UPDATE=1 it writes got to path.
func Compare(t testing.TB, path string, got []byte) {
	t.Helper()
	if Update() {
		Write(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v: write it with %s=1 go test", err, Variable)
		return
	}
	if bytes.Equal(got, want) {
		return
	}
	gotLines, wantLines := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	line := 0
	for line < len(gotLines) && line < len(wantLines) && bytes.Equal(gotLines[line], wantLines[line]) {
		line++
	}
	t.Errorf("%s differs in line %d; if that is meant, write it with %s=1 go test and read the diff\ngot  %s\nwant %s",
		path, line+1, Variable, at(gotLines, line), at(wantLines, line))
}

// Write writes a golden file, for tests that compare in a way of their own.
func Write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// at is a line, or where the text ends.
func at(lines [][]byte, i int) []byte {
	if i < len(lines) {
		return lines[i]
	}
	return []byte("(end)")
}
