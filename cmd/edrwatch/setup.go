package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/sinks/elasticsearch"
)

func setupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "setup", GroupID: "operate", Short: "Prepare the systems that edrwatch writes to"}
	cmd.AddCommand(setupElasticsearchCommand(), setupKibanaCommand())
	return cmd
}

func setupElasticsearchCommand() *cobra.Command {
	var file, sink string
	var print bool
	cmd := &cobra.Command{
		Use:   "elasticsearch",
		Short: "Install templates, the retention of the data streams and the indices of latest states",
		Long: "setup elasticsearch installs what the data streams of edrwatch need, and the indices that hold the latest\n" +
			"state of every agent and every alert, with the address and credentials of the Elasticsearch sink in the\n" +
			"configuration. It can be repeated: an upgrade replaces the templates.\n" +
			"It needs more privileges than the gateway (deploy/elasticsearch has both API keys), so give it a key of\n" +
			"its own, for instance through EDRWATCH_SINKS_<NAME>_API_KEY. With --print it connects to nothing.",
		Example: "  edrwatch setup elasticsearch --config edrwatch.yaml\n  edrwatch setup elasticsearch --print",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, full, err := elasticsearchConfig(file, sink, print)
			if err != nil {
				return err
			}
			detection, err := app.LoadDetection(app.DetectionOf(&full))
			if err != nil {
				return badConfig(err)
			}
			roots := append(cfg.Templates.VendorRoots, detection.Mappings.Vendors()...)
			slices.Sort(roots)
			cfg.Templates.VendorRoots = slices.Compact(roots)
			if print {
				return printAssets(cmd, cfg, detection)
			}
			return applyAssets(cmd, cfg, full, detection)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE` (or EDRWATCH_CONFIG)")
	cmd.Flags().StringVar(&sink, "sink", "", "`NAME` of the sink, when there are several")
	cmd.Flags().BoolVar(&print, "print", false, "print the requests instead of sending them")
	return cmd
}

// elasticsearchConfig finds the sink that is to be set up. Printing needs none.
func elasticsearchConfig(file, sink string, print bool) (elasticsearch.Config, config.Config, error) {
	if file == "" {
		file = os.Getenv("EDRWATCH_CONFIG")
	}
	if file == "" && !config.FromEnvironment(os.Environ()) {
		if print {
			return elasticsearch.DefaultConfig(), config.Default(), nil
		}
		return elasticsearch.Config{}, config.Config{}, errors.New("name a configuration with --config FILE, or use --print")
	}
	loaded, err := config.Load(file, os.Environ())
	if err != nil {
		return elasticsearch.Config{}, config.Config{}, badConfig(err)
	}
	var found *elasticsearch.Config
	for _, s := range loaded.Config.Sinks {
		cfg, ok := s.Settings.(*elasticsearch.Config)
		if !ok || sink != "" && s.Name != sink {
			continue
		}
		if found != nil {
			return elasticsearch.Config{}, config.Config{}, errors.New("there are several Elasticsearch sinks: name one with --sink")
		}
		found = cfg
	}
	if found == nil {
		return elasticsearch.Config{}, config.Config{}, badConfig(fmt.Errorf("%s has no such sink of type elasticsearch", file))
	}
	return *found, loaded.Config, nil
}

func printAssets(cmd *cobra.Command, cfg elasticsearch.Config, detection *app.Detection) error {
	assets, err := elasticsearch.Assets(detection.Dictionary, cfg.Templates, cfg.Namespace)
	if err != nil {
		return err
	}
	for _, a := range assets {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n%s\n\n", a.Method, a.Path, a.Body); err != nil {
			return err
		}
	}
	return nil
}

func applyAssets(cmd *cobra.Command, cfg elasticsearch.Config, full config.Config, detection *app.Detection) (err error) {
	setup, err := elasticsearch.NewSetup(cfg, detection.Dictionary, newLogger(full.Log, cmd.ErrOrStderr()))
	if err != nil {
		return badConfig(err)
	}
	defer func() {
		if closeErr := setup.Close(); err == nil {
			err = closeErr
		}
	}()
	applied, err := setup.Apply(cmd.Context())
	for _, a := range applied {
		fmt.Fprintf(cmd.OutOrStdout(), "%-9s %s %s\n", a.Change, a.Kind, a.Name)
	}
	return err
}
