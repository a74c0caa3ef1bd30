package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
)

// newRoot builds the command line. Every subcommand has a file of its own.
func newRoot() *cobra.Command {
	var showVersion bool
	var output string
	root := &cobra.Command{
		Use:   "edrwatch",
		Short: "Watches how EDR agents behave",
		Long: "edrwatch reads what EDR agents say about themselves from Kafka, turns it into ECS, judges it\n" +
			"with rules and puts events and alerts into Elasticsearch and Splunk.\n\n" +
			"Start with: edrwatch demo",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !showVersion {
				return cmd.Help()
			}
			return printVersion(cmd, output)
		},
	}
	root.Flags().BoolVarP(&showVersion, "version", "v", false, "say which build this is")
	root.Flags().StringVarP(&output, "output", "o", "text", "form of --version: `text` or json")
	root.AddGroup(
		&cobra.Group{ID: "gateway", Title: "The gateway:"},
		&cobra.Group{ID: "files", Title: "Files and back-tests:"},
		&cobra.Group{ID: "author", Title: "For rule and mapping authors:"},
		&cobra.Group{ID: "operate", Title: "Setting up and looking after it:"},
	)
	root.AddCommand(commands()...)
	return root
}

// printVersion says which build this is, on one line or as JSON.
func printVersion(cmd *cobra.Command, output string) error {
	build := buildinfo.Read()
	switch output {
	case "json":
		return printJSON(cmd.OutOrStdout(), build)
	case "text":
		_, err := fmt.Fprintln(cmd.OutOrStdout(), build)
		return err
	}
	return unknownOutput(output, "text or json")
}
