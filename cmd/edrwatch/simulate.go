package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/evaluate"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/file"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

func simulateCommand() *cobra.Command {
	var cfg simulator.Config
	var scenario, out string
	cmd := &cobra.Command{
		Use:     "simulate",
		GroupID: "files",
		Short:   "Write a simulated fleet's records as a capture file",
		Example: "  edrwatch simulate --scenario july19 --agents 1000 -o july19.capture\n  edrwatch replay --in july19.capture --alerts -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fleet, err := openFeed(scenario, cfg)
			if err != nil {
				return badConfig(err)
			}
			dst, err := createOutput(out, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			if err := writeCapture(dst, fleet); err != nil {
				return err
			}
			return dst.close()
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&scenario, "scenario", "july19", "a shipped scenario or a scenario `FILE`")
	flags.IntVar(&cfg.Agents, "agents", 0, "size of the fleet (default: the scenario's, else 1000)")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "same seed, same records")
	flags.DurationVar(&cfg.Duration, "duration", 0, "simulated time (default: the scenario's)")
	flags.StringVarP(&out, "out", "o", "-", "write the capture to `FILE`")
	return cmd
}

// writeCapture writes all records of the fleet, one partition a topic.
func writeCapture(dst outputFile, fleet evaluate.Feed) error {
	w := bufio.NewWriterSize(dst, 1<<20)
	offsets := map[string]int64{}
	var line []byte
	for {
		e, ok := fleet.Next()
		if !ok {
			return w.Flush()
		}
		rec := event.Record{Offset: offsets[e.Topic], Time: e.Time, Key: e.Key, Value: e.Value}
		offsets[e.Topic]++
		line = file.AppendCapture(line[:0], &event.Partition{Topic: e.Topic}, &rec)
		if _, err := w.Write(line); err != nil {
			return fmt.Errorf("writing capture: %w", err)
		}
	}
}
