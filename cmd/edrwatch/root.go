package main

import (
	"runtime/debug"

	"github.com/spf13/cobra"
)

// newRoot builds the command line. Every subcommand has a file of its own.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "edrwatch",
		Short: "Watches how EDR agents behave",
		Long: "edrwatch reads what EDR agents say about themselves from Kafka, turns it into ECS, judges it\n" +
			"with rules and puts events and alerts into Elasticsearch and Splunk.\n\n" +
			"Start with: edrwatch demo",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddGroup(
		&cobra.Group{ID: "gateway", Title: "The gateway:"},
		&cobra.Group{ID: "files", Title: "Files and back-tests:"},
		&cobra.Group{ID: "author", Title: "For rule and mapping authors:"},
		&cobra.Group{ID: "operate", Title: "Setting up and looking after it:"},
	)
	root.AddCommand(commands()...)
	return root
}

// version is the module version that the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
