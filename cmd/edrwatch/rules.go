package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/rules"
)

// rulesCommand groups what a detection engineer does with rule files.
func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rules", GroupID: "author", Short: "Write, check, test, compare and convert rule files"}
	cmd.AddCommand(rulesCheckCommand(), rulesTestCommand(), rulesListCommand(), rulesNewCommand(), rulesConvertCommand(), rulesDiffCommand())
	return cmd
}

// detectionOf loads the rules of the directories, or the shipped library.
func detectionOf(dirs []string) (*app.Detection, error) {
	detection, err := app.LoadDetection(app.DetectionConfig{RuleDirs: dirs})
	return detection, badConfig(err)
}

func rulesTestCommand() *cobra.Command {
	var output, run string
	cmd := &cobra.Command{
		Use:   "test [DIR…]",
		Short: "Run the tests inside rule files",
		Long:  "test runs the tests of the rule files of the directories (the shipped library without any) on a virtual clock, with the engine that the gateway uses. The exit code is 1 when a test fails.",
		RunE: func(cmd *cobra.Command, args []string) error {
			detection, err := detectionOf(args)
			if err != nil {
				return err
			}
			var opts rules.TestOptions
			if run != "" {
				if opts.Run, err = regexp.Compile(run); err != nil {
					return fmt.Errorf("--run: %w", err)
				}
			}
			report, err := detection.TestRules(opts)
			if err != nil {
				return badConfig(err)
			}
			if output == "json" {
				err = writeJSON(cmd.OutOrStdout(), report)
			} else {
				err = printReport(cmd.OutOrStdout(), report)
			}
			if err == nil && report.Failed > 0 {
				err = findings()
			}
			return err
		},
	}
	cmd.Flags().StringVar(&run, "run", "", "only tests whose \"rule name/test name\" matches `REGEXP`")
	outputFlag(cmd, &output)
	return cmd
}

// printReport shows failures with what was expected and what came.
func printReport(w io.Writer, report rules.Report) error {
	for _, r := range report.Results {
		for _, f := range r.Failures {
			if _, err := fmt.Fprintf(w, "%s:%d: %s / %s: %s\n", r.File, r.Line, r.Rule, r.Test, f); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "%d tests passed, %d failed\n", report.Passed, report.Failed)
	return err
}

func rulesListCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list [DIR…]",
		Short: "List rules",
		RunE: func(cmd *cobra.Command, args []string) error {
			detection, err := detectionOf(args)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), app.RuleList(detection.Rules))
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "SEVERITY\tTYPE\tKIND\tNAME\tFILE")
			for _, r := range detection.Rules.Rules() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Severity, r.Type, r.Kind, r.Name, r.File)
			}
			return w.Flush()
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// outputFlag registers --output text|json.
func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVar(output, "output", "text", "form of the answer: text or json")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if *output != "text" && *output != "json" {
			return fmt.Errorf("--output: expected text or json, found %q", *output)
		}
		return nil
	}
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
