package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/offline"
)

func mappingsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "mappings", GroupID: "author", Short: "Write mapping files"}
	cmd.AddCommand(mappingsNewCommand())
	return cmd
}

func mappingsNewCommand() *cobra.Command {
	var from, vendor string
	cmd := &cobra.Command{
		Use:   "new --from FILE --vendor NAME",
		Short: "Draft a mapping file from sample records",
		Long: "new reads samples, one JSON object a line, and writes a mapping file that takes them: time, agent and host\n" +
			"where they are recognised by name, and every kind of event, with the action other, for you to edit. Put it into a\n" +
			"directory and look at it with: edrwatch normalize --mappings DIR --coverage samples.ndjson",
		Example: "  edrwatch mappings new --from samples.ndjson --vendor acme > my-mappings/acme.yml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" {
				return errors.New("mappings new needs --from FILE (- is standard input)")
			}
			inputs, closeAll, err := openInputs([]string{from}, cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer closeAll()
			const maxSamples = 64 << 20
			text, err := io.ReadAll(io.LimitReader(inputs[0].Reader, maxSamples))
			if err != nil {
				return fmt.Errorf("reading samples: %w", err)
			}
			var samples [][]byte
			for line := range bytes.Lines(text) {
				if line = bytes.TrimSpace(line); len(line) > 0 {
					samples = append(samples, line)
				}
			}
			draft, err := offline.Draft(vendor, samples)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), draft)
			return err
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "read samples from `FILE`")
	cmd.Flags().StringVar(&vendor, "vendor", "Example", "`NAME` of the vendor")
	return cmd
}
