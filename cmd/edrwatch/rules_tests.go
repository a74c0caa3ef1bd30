package main

import (
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/rules"
)

func rulesTestCommand() *cobra.Command {
	var output, run, junit string
	var opts rules.TestOptions
	cmd := &cobra.Command{
		Use:   "test [DIR…]",
		Short: "Run the tests inside rule files",
		Long: "test runs the tests of the rule files of the directories (the shipped library without any) on a virtual clock, with the\n" +
			"engine that the gateway uses. The exit code is 1 when a test fails.",
		Example: "  edrwatch rules test my-rules\n" +
			"  edrwatch rules test my-rules --run 'stopped twice'",
		RunE: func(cmd *cobra.Command, args []string) error {
			detection, err := detectionOf(args)
			if err != nil {
				return err
			}
			if run != "" {
				if opts.Run, err = regexp.Compile(run); err != nil {
					return fmt.Errorf("--run: %w", err)
				}
			}
			report, err := detection.TestRules(opts)
			if err != nil {
				return badConfig(err)
			}
			if junit != "" {
				if err := saveJUnit(junit, report); err != nil {
					return err
				}
			}
			if output == "json" {
				err = writeJSON(cmd.OutOrStdout(), report)
			} else {
				err = printReport(cmd.OutOrStdout(), report, args)
			}
			if err == nil && report.Failed > 0 {
				err = findings()
			}
			return err
		},
	}
	cmd.Flags().StringVar(&run, "run", "", "only tests whose \"rule name/test name\" matches `REGEXP`")
	cmd.Flags().StringVar(&junit, "junit", "", "also write the results as JUnit XML to `FILE`")
	cmd.Flags().BoolVar(&opts.Coverage, "coverage", false, "list the parts of conditions that no event of the tests satisfies")
	cmd.Flags().BoolVar(&opts.Metamorphic, "metamorphic", false,
		"also run each test with events duplicated, shuffled, split over two sessions, where the rule allows it, with restarts, and going on from snapshots: same alerts?")
	cmd.Flags().DurationVar(&opts.Rewind, "rewind", 0, "with --metamorphic: how far back records are read again after a restart (default all)")
	outputFlag(cmd, &output)
	return cmd
}

func saveJUnit(name string, report rules.Report) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	return writeJUnit(file, report)
}

// printReport shows failures with what was expected and what came.
func printReport(w io.Writer, report rules.Report, dirs []string) error {
	for _, r := range report.Results {
		for _, f := range r.Failures {
			if _, err := fmt.Fprintf(w, "%s:%d: %s / %s: %s\n", r.File, r.Line, r.Rule, r.Test, f); err != nil {
				return err
			}
		}
	}
	if err := printCoverage(w, report.Coverage); err != nil {
		return err
	}
	next := ""
	switch {
	case report.Failed > 0:
		next = "; next: mend the rule, or what the test expects (a nearest miss says how far the events came)"
	case len(report.Results) == 0:
		next = "; next: give the rules tests (edrwatch rules new shows how they look)"
	case len(dirs) > 0:
		next = "; next: see what the rules say about records of yours, edrwatch explain --in FILE --rules " + dirs[0] +
			", and what they would have raised, edrwatch replay --in FILE --alerts - --rules " + dirs[0]
	}
	_, err := fmt.Fprintf(w, "%s passed, %d failed%s\n", counted(report.Passed, "test"), report.Failed, next)
	return err
}

// printCoverage lists the clauses that were never true.
func printCoverage(w io.Writer, list []rules.RuleCoverage) error {
	seen, all := 0, 0
	for _, r := range list {
		for _, c := range r.Clauses {
			all++
			if c.True > 0 {
				seen++
				continue
			}
			if _, err := fmt.Fprintf(w, "%s:%d: %s: never true in %s: %s (false %d, unknown %d)\n",
				r.File, r.Line, r.Rule, c.Condition, c.Clause, c.False, c.Unknown); err != nil {
				return err
			}
		}
	}
	if all == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "%d of %d clauses were true at least once\n", seen, all)
	return err
}
