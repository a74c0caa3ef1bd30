package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
)

func runCommand() *cobra.Command {
	var file, data, broker string
	cmd := &cobra.Command{
		Use:     "run",
		GroupID: "gateway",
		Short:   "Run the gateway",
		Long: "run takes records from Kafka, judges them and writes events and alerts to the configured sinks until\n" +
			"SIGTERM. Without a configuration it starts an embedded broker, store and console on this machine,\n" +
			"which is for evaluation: nothing is replicated.",
		Example: "  edrwatch run --config edrwatch.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				file = os.Getenv("EDRWATCH_CONFIG")
			}
			if file == "" && !config.FromEnvironment(os.Environ()) {
				return runEmbedded(cmd, data, broker)
			}
			loaded, err := config.Load(file, os.Environ())
			if err != nil {
				return badConfig(err)
			}
			log := newLogger(loaded.Config.Log, cmd.ErrOrStderr())
			limitMemory(log)
			return runGateway(cmd.Context(), loaded.Config, app.Options{Logger: log, Stdout: cmd.OutOrStdout(), Build: buildinfo.Read()})
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "config", "c", "", "configuration `FILE` (or EDRWATCH_CONFIG)")
	flags.StringVar(&data, "data", "", "`DIR` of the embedded set-up's data (without a configuration)")
	flags.StringVar(&broker, "broker-listen", "127.0.0.1:19092", "address of the embedded broker (without a configuration)")
	return cmd
}

// runEmbedded runs the evaluation set-up.
func runEmbedded(cmd *cobra.Command, data, listen string) error {
	if data == "" {
		var err error
		if data, err = app.DataDir(); err != nil {
			return err
		}
	}
	broker, err := app.StartBroker(app.BrokerConfig{Listen: listen, Dir: filepath.Join(data, "broker"), Topics: app.EmbeddedTopics()})
	if err != nil {
		return err
	}
	defer broker.Close()
	cfg := app.Embedded(broker, app.EmbeddedConfig{Dir: data})
	log := newLogger(cfg.Log, cmd.ErrOrStderr())
	limitMemory(log)
	fmt.Fprintf(cmd.ErrOrStderr(), "No configuration: running embedded, for evaluation only (nothing is replicated).\n"+
		"  Kafka    %s   produce JSON into %v\n  Console  http://%s\n  Data     %s\n",
		broker.Addr(), app.EmbeddedTopics(), cfg.HTTP.Listen, data)
	return runGateway(cmd.Context(), cfg, app.Options{Logger: log, Stdout: cmd.OutOrStdout(), Build: buildinfo.Read()})
}

func runGateway(ctx context.Context, cfg config.Config, opts app.Options) (err error) {
	gateway, err := app.New(cfg, opts)
	if err != nil {
		return badConfig(err)
	}
	defer func() {
		if closeErr := gateway.Close(); err == nil {
			err = closeErr
		}
	}()
	return gateway.Run(ctx)
}

// newLogger returns the log on out in the configured form.
func newLogger(cfg config.Log, out io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(out) {
		return slog.New(slog.NewTextHandler(out, opts))
	}
	return slog.New(slog.NewJSONHandler(out, opts))
}

// limitMemory makes the garbage collector respect the container's limit: 90 %
// of it, unless GOMEMLIMIT is set.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(0.9))
	if err != nil {
		log.Debug("no memory limit from the container", "error", err)
		return
	}
	if limit != math.MaxInt64 {
		log.Info("memory limit set", "bytes", limit)
	}
}
