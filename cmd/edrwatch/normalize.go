package main

import (
	"github.com/spf13/cobra"
)

func normalizeCommand() *cobra.Command {
	var flags offlineFlags
	var out string
	cmd := &cobra.Command{
		Use:     "normalize [FILE…]",
		GroupID: "files",
		Short:   "Turn raw records into ECS documents",
		Long: "normalize reads raw NDJSON or capture lines (gzip, too) from files or standard input and writes one\n" +
			"nested ECS document a line in input order. Lines that cannot be used are kept with --dead and never\n" +
			"change the exit code.",
		Example: "  edrwatch normalize fdr.ndjson --dead dead.ndjson --summary -",
		RunE: func(cmd *cobra.Command, args []string) error {
			job, closeAll, err := flags.job(cmd, args, nil, false)
			if err != nil {
				return err
			}
			defer closeAll()
			return runOffline(cmd, &flags, job, out, "")
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVarP(&out, "out", "o", "-", "write documents to `FILE`")
	return cmd
}
