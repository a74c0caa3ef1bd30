package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/mappings"
	"github.com/edrwatch/edrwatch/rules"
)

// configFlag registers --config and returns a function that loads it.
func configFlag(cmd *cobra.Command) func() (*config.Loaded, error) {
	file := cmd.Flags().StringP("config", "c", "", "configuration `FILE` (or EDRWATCH_CONFIG)")
	return func() (*config.Loaded, error) {
		if *file == "" {
			*file = os.Getenv("EDRWATCH_CONFIG")
		}
		if *file == "" && !config.FromEnvironment(os.Environ()) {
			return nil, errors.New("name a configuration with --config FILE")
		}
		loaded, err := config.Load(*file, os.Environ())
		return loaded, badConfig(err)
	}
}

func configCommand() *cobra.Command {
	print := &cobra.Command{
		Use:   "print",
		Short: "Show the effective configuration, secrets redacted, with the origin of every value",
		Example: "  edrwatch config print --config edrwatch.yaml\n" +
			"  EDRWATCH_HTTP_LISTEN=0.0.0.0:8686 edrwatch config print --config edrwatch.yaml",
		Args: cobra.NoArgs,
	}
	load := configFlag(print)
	print.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := load()
		if err != nil {
			return err
		}
		return loaded.Print(cmd.OutOrStdout())
	}
	cmd := &cobra.Command{Use: "config", GroupID: "operate", Short: "Look at the configuration"}
	cmd.AddCommand(print)
	return cmd
}

func schemaCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "schema", GroupID: "author", Short: "Print a JSON Schema for editors"}
	for _, file := range []struct {
		name, short string
		schema      func() ([]byte, error)
	}{
		{"config", "The schema of the configuration file", config.Schema},
		{"rule", "The schema of rule files", rules.Schema},
		{"mapping", "The schema of mapping files", mappings.Schema},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: file.name, Short: file.short, Args: cobra.NoArgs, Example: "  edrwatch schema " + file.name + " > edrwatch-" + file.name + ".schema.json",
			RunE: func(cmd *cobra.Command, _ []string) error {
				text, err := file.schema()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
				return err
			},
		})
	}
	return cmd
}

// checkCommand tries everything that the gateway would use.
func checkCommand() *cobra.Command {
	var noEnvironment bool
	cmd := &cobra.Command{
		Use:     "check",
		GroupID: "operate",
		Short:   "Check the configuration, and that everything it names can be reached",
		Long: "check loads the configuration, mappings and rules and then tries brokers, sinks and the dead letter.\n" +
			"The exit code is 78 when something does not load and 1 when something cannot be reached.",
		Example: "  edrwatch check --config edrwatch.yaml\n" +
			"  edrwatch check --config edrwatch.yaml --no-environment",
		Args: cobra.NoArgs,
	}
	load := configFlag(cmd)
	cmd.Flags().BoolVar(&noEnvironment, "no-environment", false, "only load the files, connect to nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := load()
		if err != nil {
			return err
		}
		cfg := loaded.Config
		if noEnvironment {
			_, err := app.LoadDetection(app.DetectionOf(&cfg))
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "configuration, mappings and rules are good")
			}
			return badConfig(err)
		}
		return checkParts(cmd, cfg)
	}
	return cmd
}

func checkParts(cmd *cobra.Command, cfg config.Config) (err error) {
	cfg.HTTP.Listen, cfg.HTTP.HealthListen = "127.0.0.1:0", "127.0.0.1:0" // a gateway may be running
	gateway, err := app.New(cfg, app.Options{Logger: newLogger(cfg.Log, cmd.ErrOrStderr()), Stdout: cmd.OutOrStdout(), Build: buildinfo.Read()})
	if err != nil {
		return badConfig(err)
	}
	defer func() {
		if closeErr := gateway.Close(); err == nil {
			err = closeErr
		}
	}()
	results := gateway.Check(cmd.Context())
	if errors.Is(cmd.Context().Err(), context.Canceled) {
		return cmd.Context().Err()
	}
	bad := 0
	for _, name := range slices.Sorted(maps.Keys(results)) {
		if results[name] == nil {
			fmt.Fprintf(cmd.OutOrStdout(), "ok      %s\n", name)
			continue
		}
		bad++
		fmt.Fprintf(cmd.OutOrStdout(), "FAILED  %s: %v\n", name, results[name])
	}
	if bad > 0 {
		return findings()
	}
	return nil
}
