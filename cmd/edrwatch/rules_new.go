package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/rules"
)

func rulesNewCommand() *cobra.Command {
	var typ, out string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the beginning of a rule that loads and whose tests pass",
		Long: "new writes a rule file with an id of its own, a note, and a positive and a negative test, to be edited. Run\n" +
			"edrwatch rules check and edrwatch rules test on its directory after every change.",
		Example: "  edrwatch rules new \"Agent stopped twice\" --type threshold -o my-rules/stopped_twice.yml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("rules new needs one name, in quotes, found %d words: edrwatch rules new \"Agent stopped twice\" --type threshold -o my-rules/stopped_twice.yml", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := rules.Scaffold(typ, strings.TrimSpace(args[0]), uuid.NewString())
			if err != nil {
				return fmt.Errorf("--type: %w", err)
			}
			if out == "" || out == "-" {
				_, err := cmd.OutOrStdout().Write(text)
				return err
			}
			if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
				return fmt.Errorf("creating the rule file's directory: %w", err)
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s exists already: choose another name with -o", out)
			}
			if err != nil {
				return fmt.Errorf("creating rule file: %w", err)
			}
			if _, err := f.Write(text); err != nil {
				return errors.Join(fmt.Errorf("writing rule file: %w", err), f.Close())
			}
			dir := filepath.Dir(out)
			fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s; next: edit it, then edrwatch rules check %s and edrwatch rules test %s\n", out, dir, dir)
			return f.Close()
		},
	}
	cmd.Flags().StringVar(&typ, "type", "match", "`TYPE` of the rule: "+strings.Join(rules.Types(), ", "))
	cmd.Flags().StringVarP(&out, "out", "o", "", "write to `FILE`, which must not exist (default: standard output)")
	return cmd
}
