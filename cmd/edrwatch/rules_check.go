package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules"
)

func rulesCheckCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check [DIR…]",
		Short: "Compile rule files and list what is wrong with them",
		Long: "check compiles the rule files of the directories (the shipped library without any) and lists everything that is wrong with\n" +
			"its position: errors, without which they would not load, and warnings about conditions that can never be true, exceptions\n" +
			"that end within 30 days, unknown ATT&CK ids and missing documentation. The exit code is 78 with errors and 1 with warnings.",
		Example: "  edrwatch rules check my-rules\n" +
			"  edrwatch rules check my-rules --format github",
		PreRunE: func(*cobra.Command, []string) error {
			if _, ok := findingWriters()[format]; !ok {
				return fmt.Errorf("--format: expected text, json, sarif or github, found %q", format)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			list, n, err := app.LintRules(args, time.Now())
			if err != nil {
				return badConfig(err)
			}
			var errs []strict.Problem
			for _, f := range list {
				if f.Level == rules.LevelError {
					errs = append(errs, f.Problem)
				}
			}
			if err := findingWriters()[format](cmd.OutOrStdout(), list, n); err != nil {
				return err
			}
			if format == "text" && len(errs) == 0 {
				writeAfterCheck(cmd.OutOrStdout(), args, len(list))
			}
			switch {
			case len(errs) > 0 && format == "text":
				return badConfig(strict.NewError(errs...))
			case len(errs) > 0:
				return &exitError{code: exitConfig}
			case len(list) > 0:
				return findings()
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "form of the answer: text, json, sarif (2.1.0) or github (annotations)")
	return cmd
}

// findingWriters are the forms of findings by name.
func findingWriters() map[string]func(io.Writer, []rules.Finding, int) error {
	return map[string]func(io.Writer, []rules.Finding, int) error{
		"text": writeFindingsText, "json": writeFindingsJSON, "sarif": writeFindingsSARIF, "github": writeFindingsGitHub,
	}
}

// writeFindingsText lists warnings, for errors go to standard error.
func writeFindingsText(w io.Writer, list []rules.Finding, n int) error {
	warnings := 0
	for _, f := range list {
		if f.Level == rules.LevelError {
			continue
		}
		warnings++
		if _, err := fmt.Fprintf(w, "%s [%s]\n", f.Problem, f.Check); err != nil {
			return err
		}
	}
	if warnings < len(list) {
		return nil // The errors are what the answer ends with.
	}
	_, err := fmt.Fprintf(w, "%s, %s", counted(n, "rule"), counted(warnings, "warning"))
	return err
}

// writeAfterCheck says what comes after a check.
func writeAfterCheck(w io.Writer, dirs []string, warnings int) {
	test := strings.Join(append([]string{"edrwatch rules test"}, dirs...), " ")
	if warnings > 0 {
		test = "look at the warnings, then " + test
	}
	fmt.Fprintf(w, "; next: %s\n", test)
}

// counted writes a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// findingJSON is a finding as programs read it.
type findingJSON struct {
	Severity rules.Level `json:"severity"`
	Check    string      `json:"check"`
	Rule     string      `json:"rule_id,omitempty"`
	File     string      `json:"file,omitempty"`
	Line     int         `json:"line,omitempty"`
	Column   int         `json:"column,omitempty"`
	Message  string      `json:"message"`
	Hint     string      `json:"hint,omitempty"`
}

func writeFindingsJSON(w io.Writer, list []rules.Finding, n int) error {
	out := make([]findingJSON, len(list))
	for i, f := range list {
		out[i] = findingJSON{f.Level, f.Check, f.RuleID, f.File, f.Line, f.Column, f.Message, f.Hint}
	}
	return writeJSON(w, map[string]any{"rules": n, "findings": out})
}

// writeFindingsGitHub writes workflow commands, see
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
func writeFindingsGitHub(w io.Writer, list []rules.Finding, _ int) error {
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, f := range list {
		at := ""
		if f.File != "" {
			at = "file=" + property.Replace(filepath.ToSlash(f.File)) + ","
		}
		if f.Line > 0 {
			at += fmt.Sprintf("line=%d,col=%d,", f.Line, max(f.Column, 1))
		}
		if _, err := fmt.Fprintf(w, "::%s %stitle=%s::%s\n", f.Level, at, property.Replace("edrwatch "+f.Check), message.Replace(saying(f))); err != nil {
			return err
		}
	}
	return nil
}

// saying is the message with its hint.
func saying(f rules.Finding) string {
	if f.Hint == "" {
		return f.Message
	}
	return f.Message + " (" + f.Hint + ")"
}
