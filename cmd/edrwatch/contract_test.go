package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand visits the commands that a user can call, except cobra's own.
func everyCommand(root *cobra.Command, visit func(*cobra.Command)) {
	for _, c := range root.Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		visit(c)
		everyCommand(c, visit)
	}
}

// TestUnknownCommandsAreErrors misspells every command on every level, alone and
// with an argument and a flag of the right one: a script must not take the help
// for success.
func TestUnknownCommandsAreErrors(t *testing.T) {
	root := newRoot()
	root.InitDefaultCompletionCmd()
	cut := func(name string) string { return name[:len(name)/2] + name[len(name)/2+1:] }
	for _, c := range root.Commands() {
		if c.Name() == "help" { // help for a topic that is not there
			continue
		}
		groups := []*cobra.Command{c}
		if !c.Runnable() {
			groups = append(groups, c.Commands()...)
		}
		for _, wrong := range groups {
			parents := strings.Fields(wrong.Parent().CommandPath())[1:]
			name := cut(wrong.Name())
			for _, args := range [][]string{
				append(parents[:len(parents):len(parents)], name),
				append(parents[:len(parents):len(parents)], name, "x", "--output", "json"),
				append([]string{"help"}, append(parents[:len(parents):len(parents)], name)...),
			} {
				stdout, stderr, code := cli(t, "", args...)
				if code != exitUsage || stdout != "" || !strings.Contains(stderr, `did you mean "`) || !strings.Contains(stderr, `"`+name+`"`) {
					t.Errorf("%v: exit code %d, %q, %q", args, code, stdout, stderr)
				}
			}
		}
	}
	for _, args := range [][]string{{"rules"}, {"rules", "--help"}, {"help", "rules", "check"}, {"help"}, {}, {"--version"}, {"completion", "bash"}, {"__complete", "rules", ""}} {
		if _, stderr, code := cli(t, "", args...); code != exitOK {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	if _, stderr, code := cli(t, "", "rules", "zzzzzzzz"); code != exitUsage || !strings.Contains(stderr, "see edrwatch rules --help") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestGroupsHaveNoFlags holds what unknownCommand relies on: between a group and
// its subcommand stands no flag with a value.
func TestGroupsHaveNoFlags(t *testing.T) {
	everyCommand(newRoot(), func(c *cobra.Command) {
		if c.HasSubCommands() && (c.Runnable() || c.HasLocalFlags()) {
			t.Errorf("%s has subcommands, and runs or has flags of its own", c.CommandPath())
		}
	})
}

// TestEveryCommandHasExamples demands an example of every command that does
// something, and that each is a command line that this command takes.
func TestEveryCommandHasExamples(t *testing.T) {
	everyCommand(newRoot(), func(c *cobra.Command) {
		if !c.Runnable() {
			return
		}
		own := 0
		for line := range strings.Lines(c.Example) {
			for _, part := range regexp.MustCompile(`&&|\||;`).Split(line, -1) {
				words := shellWords(part)
				for len(words) > 0 && regexp.MustCompile(`^EDRWATCH_[A-Z_]+=`).MatchString(words[0]) {
					words = words[1:]
				}
				if len(words) == 0 || words[0] != "edrwatch" {
					continue
				}
				if taken := parses(t, words[1:]); taken == c.CommandPath() {
					own++
				}
			}
		}
		if own == 0 {
			t.Errorf("%s --help has no example of it", c.CommandPath())
		}
	})
}

// parses parses a command line as execute would, without running it, and returns
// the command that takes it.
func parses(t *testing.T, args []string) string {
	t.Helper()
	root := newRoot()
	if err := unknownCommand(root, args); err != nil {
		t.Errorf("%v: %v", args, err)
		return ""
	}
	c, rest, err := root.Find(args)
	if err != nil {
		t.Errorf("%v: %v", args, err)
		return ""
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("%v: %v", args, err)
		return ""
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		t.Errorf("%v: %v", args, err)
	}
	if err := c.ValidateRequiredFlags(); err != nil {
		t.Errorf("%v: %v", args, err)
	}
	return c.CommandPath()
}

// shellWords splits a simple command as a shell would, without what follows a
// redirection or begins a comment.
func shellWords(line string) []string {
	var words []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		word := m[1] + m[2] + m[3]
		if strings.ContainsAny(m[3], "><#") {
			break
		}
		words = append(words, word)
	}
	return words
}
