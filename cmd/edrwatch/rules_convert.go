package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/sigma"
)

func rulesConvertCommand() *cobra.Command {
	var from string
	var fields map[string]string
	cmd := &cobra.Command{
		Use:   "convert --from sigma FILE…",
		Short: "Convert Sigma rules and correlations",
		Long: "convert writes the rules of Sigma files (specification 2.1) as rule files to standard output. What has no\n" +
			"counterpart is an error with place and reason, never a rule that means something else; the exit code is 78\n" +
			"then, and nothing is written. A correlation and its rules have to be in one file.",
		Example: "  edrwatch rules convert --from sigma rules/*.yml > converted.yml && edrwatch rules check .",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if from != "sigma" {
				return fmt.Errorf("--from: expected sigma, found %q", from)
			}
			detection, err := detectionOf(nil)
			if err != nil {
				return err
			}
			out, err := convertFiles(args, detection, fields)
			if err != nil {
				return badConfig(err)
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	cmd.Flags().StringVar(&from, "from", "sigma", "language of the files: `sigma`")
	cmd.Flags().StringToStringVar(&fields, "field", nil, "map a Sigma field to one of ours: `NAME=field.name`, may be repeated")
	return cmd
}

// convertFiles converts each file and makes sure that the result compiles.
func convertFiles(names []string, detection *app.Detection, fields map[string]string) ([]byte, error) {
	var all []byte
	var errs []error
	for _, name := range names {
		src, err := strict.ReadPath(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading rules: %w", err))
			continue
		}
		out, err := sigma.Convert(name, src, sigma.Options{Dictionary: detection.Dictionary, Fields: fields})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files, err := rules.ParseFile(name, out)
		if err == nil {
			_, err = files.Compile(detection.Dictionary)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s converts to rules that do not load:\n%w\nthe converted rules are:\n%s", name, err, strings.TrimSpace(string(out))))
			continue
		}
		all = append(all, out...)
	}
	return all, errors.Join(errs...)
}
