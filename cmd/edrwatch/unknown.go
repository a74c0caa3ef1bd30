package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// unknownCommand returns an error for a command line that names a subcommand that
// is not there, at whatever level, or asks for help about one. Cobra does so for
// the first level only: below it shows help and ends with 0, as if a script had
// asked for that.
func unknownCommand(root *cobra.Command, args []string) error {
	parent, rest := root, args
	for {
		i := firstName(parent, rest)
		if i < 0 || slices.Contains(rest[:i], "--") || strings.HasPrefix(rest[i], cobra.ShellCompRequestCmd) {
			return nil // No name, or what a shell asks for.
		}
		name := rest[i]
		rest = rest[i+1:]
		if parent == root && name == "help" {
			continue // About the command that follows.
		}
		next := slices.IndexFunc(parent.Commands(), func(c *cobra.Command) bool { return c.Name() == name || c.HasAlias(name) })
		if next < 0 {
			return notFound(parent, name)
		}
		if parent = parent.Commands()[next]; !parent.HasSubCommands() || parent.Runnable() {
			return nil // What follows are its arguments.
		}
	}
}

// firstName is the index of the first argument that is neither a flag of the
// command nor the value of one, -1 for none.
func firstName(cmd *cobra.Command, args []string) int {
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "-")
		if !isFlag {
			return i
		}
		flag := cmd.Flags().ShorthandLookup(name[:min(1, len(name))])
		if long, ok := strings.CutPrefix(name, "-"); ok {
			flag = cmd.Flags().Lookup(long)
		} else if len(name) > 1 {
			continue // -ojson has its value with it.
		}
		if flag != nil && flag.NoOptDefVal == "" {
			i++ // --output json
		}
	}
	return -1
}

// notFound says which command has no such subcommand, and which one may be meant.
func notFound(parent *cobra.Command, name string) error {
	var names []string
	for _, c := range parent.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	hint := "see " + parent.CommandPath() + " --help"
	if nearest, ok := strict.Nearest(name, names); ok {
		hint = fmt.Sprintf("did you mean %q?", nearest)
	}
	return fmt.Errorf("unknown command %q for %q: %s", name, parent.CommandPath(), hint)
}
