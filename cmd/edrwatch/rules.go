package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
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
