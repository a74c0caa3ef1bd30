package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/offline"
	"github.com/edrwatch/edrwatch/pipeline"
)

func normalizeCommand() *cobra.Command {
	var flags offlineFlags
	var out, output string
	var coverage bool
	cmd := &cobra.Command{
		Use:     "normalize [FILE…]",
		GroupID: "files",
		Short:   "Turn raw records into ECS documents",
		Long: "normalize reads raw NDJSON or capture lines (gzip, too) from files or standard input and writes one\n" +
			"nested ECS document a line in input order. Lines that cannot be used are kept with --dead and never\n" +
			"change the exit code.\n\n" +
			"With --coverage it prints instead, per source and type of event, how many events there were, to which action\n" +
			"they were mapped, and which raw fields no mapping names and stand under the vendor's root; --out writes the\n" +
			"documents as well.",
		Example: "  edrwatch normalize fdr.ndjson --dead dead.ndjson --summary -",
		RunE: func(cmd *cobra.Command, args []string) error {
			job, closeAll, err := flags.job(cmd, args, nil, false)
			if err != nil {
				return err
			}
			defer closeAll()
			if !coverage {
				return runOffline(cmd, &flags, job.Job, out, "")
			}
			if output != "text" && output != "json" {
				return fmt.Errorf("--output: expected text or json, found %q", output)
			}
			if !cmd.Flags().Changed("out") {
				out = ""
			}
			account := &offline.Coverage{}
			job.Processors = append([]pipeline.Processor{account}, job.Processors...)
			if err := runOffline(cmd, &flags, job.Job, out, ""); err != nil {
				return err
			}
			if output == "json" {
				return account.WriteJSON(cmd.OutOrStdout())
			}
			return account.WriteText(cmd.OutOrStdout())
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVarP(&out, "out", "o", "-", "write documents to `FILE`")
	cmd.Flags().BoolVar(&coverage, "coverage", false, "print, for each type of event, the action it was mapped to and the fields that were not mapped, instead of the documents")
	cmd.Flags().StringVar(&output, "output", "text", "form of the coverage: `text` or json")
	return cmd
}
