package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/deploy/kibana"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
)

func setupKibanaCommand() *cobra.Command {
	var cfg kibana.Config
	var keyFile string
	var conf tlsconf.Config
	var print bool
	cmd := &cobra.Command{
		Use:   "kibana",
		Short: "Install data views, saved searches and dashboards",
		Long: "setup kibana installs what deploy/kibana describes, through Kibana's API. It can be repeated: objects of the\n" +
			"same ids are replaced and no others. The API key comes from --api-key-file or EDRWATCH_KIBANA_API_KEY. With\n" +
			"--print it connects to nothing and prints the file, to be imported by hand.",
		Example: "  edrwatch setup kibana --url https://kibana.example:5601 --api-key-file kibana-key\n  edrwatch setup kibana --print > edrwatch.ndjson",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if print {
				_, err := cmd.OutOrStdout().Write(kibana.Objects())
				return err
			}
			cfg.APIKey = secret.New(os.Getenv("EDRWATCH_KIBANA_API_KEY"))
			if keyFile != "" {
				if cfg.APIKey, err = secret.FromFile(keyFile); err != nil {
					return fmt.Errorf("--api-key-file: %w", err)
				}
			}
			if cfg.TLS, err = conf.Client(newLogger(config.Default().Log, cmd.ErrOrStderr())); err != nil {
				return err
			}
			n, err := kibana.Import(cmd.Context(), cfg)
			if n > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "%d objects are installed\n", n)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.URL, "url", "http://127.0.0.1:5601", "`URL` of Kibana")
	flags.StringVar(&cfg.Space, "space", "", "identifier of the `SPACE`; the default one without")
	flags.StringVar(&keyFile, "api-key-file", "", "`FILE` that holds an API key")
	flags.StringVar(&conf.CAFile, "ca-file", "", "`FILE` of certificates that are trusted instead of the system's")
	flags.BoolVar(&print, "print", false, "print the objects instead of sending them")
	return cmd
}
