package main

import "github.com/spf13/cobra"

// commands lists the subcommands.
func commands() []*cobra.Command {
	return []*cobra.Command{
		demoCommand(), runCommand(),
		normalizeCommand(), replayCommand(), captureCommand(), simulateCommand(), benchCommand(),
		rulesCommand(), mappingsCommand(), explainCommand(), schemaCommand(),
		fleetCommand(), rolloutCommand(), setupCommand(), checkCommand(), configCommand(),
	}
}
