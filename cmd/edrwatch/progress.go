package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// progress rewrites one line on a terminal; anything else gets nothing.
type progress struct {
	out    io.Writer
	active bool
	width  int
}

func newProgress(out io.Writer, quiet bool) *progress {
	f, ok := out.(*os.File)
	return &progress{out: out, active: !quiet && ok && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) update(format string, args ...any) {
	if !p.active {
		return
	}
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.out, "\r%s%s", text, strings.Repeat(" ", max(p.width-len(text), 0)))
	p.width = len(text)
}

// done clears the line.
func (p *progress) done() {
	if p.active && p.width > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}
