package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func replayCommand() *cobra.Command {
	var flags offlineFlags
	var in, alerts, events string
	var rules []string
	cmd := &cobra.Command{
		Use:     "replay --in FILE --alerts FILE",
		GroupID: "files",
		Short:   "Back-test rules on a capture or raw file",
		Long: "replay judges a file at full speed on the records' own clock, which is the highest broker timestamp so\n" +
			"far (raw files: @timestamp). Timers that are due fire before the next record, stamped with their due\n" +
			"time; none fire after the last record. Alerts do not change the exit code.",
		Example: "  edrwatch replay --in july19.capture --alerts alerts.ndjson --summary -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in == "" || alerts == "" {
				return errors.New("replay needs --in FILE and --alerts FILE (- is standard input or output)")
			}
			job, closeAll, err := flags.job(cmd, []string{in}, rules, true)
			if err != nil {
				return err
			}
			defer closeAll()
			return runOffline(cmd, &flags, job.Job, events, alerts)
		},
	}
	flags.register(cmd)
	flags.registerPartitions(cmd.Flags())
	cmd.Flags().StringVarP(&in, "in", "i", "", "read records from `FILE`")
	cmd.Flags().StringVarP(&alerts, "alerts", "a", "", "write alert documents to `FILE`")
	cmd.Flags().StringVar(&events, "events", "", "write event documents to `FILE`")
	cmd.Flags().StringSliceVar(&rules, "rules", nil, "judge with the rules of this `DIR` instead of the shipped library")
	return cmd
}
