package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/demo"
)

func demoCommand() *cobra.Command {
	cfg := demo.Config{Build: buildinfo.Read()}
	var headless, verbose bool
	cmd := &cobra.Command{
		Use:     "demo",
		GroupID: "gateway",
		Short:   "See it work: 19 July 2024 on a simulated fleet",
		Long: "demo starts a Kafka-protocol broker, the gateway, a store and a console in this process, replays\n" +
			"19 July 2024 on a simulated fleet and says what was caught and when. Nothing is left behind.\n" +
			"With --headless it ends by itself; the exit code is 0 only when every alert that must be raised is\n" +
			"in the store.",
		Example: "  edrwatch demo\n" +
			"  edrwatch demo --headless",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Out = cmd.OutOrStdout()
			cfg.Terminal = isTerminal(cfg.Out)
			cfg.Stay = !headless
			if headless {
				cfg.Listen = "127.0.0.1:0"
			}
			level := slog.LevelError
			if verbose {
				level = slog.LevelDebug
			}
			cfg.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			verdict, err := demo.Run(cmd.Context(), cfg)
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("something listens on %s already: choose another address with --listen, or 127.0.0.1:0 for a free one", cfg.Listen)
			}
			if err != nil {
				return err
			}
			if len(verdict.Missed) > 0 {
				return &exitError{exitFindings, fmt.Errorf("%d incidents were missed", len(verdict.Missed))}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&headless, "headless", false, "end when the scenario ends, keep no console up")
	flags.BoolVarP(&verbose, "verbose", "v", false, "show the gateway's log")
	flags.StringVar(&cfg.Scenario, "scenario", "july19", "what happens to the fleet")
	flags.IntVar(&cfg.Agents, "agents", 1000, "size of the fleet")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "same seed, same records")
	flags.DurationVar(&cfg.Pace, "pace", 40*time.Second, "real time that the scenario is compressed into")
	flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:8686", "address of the console")
	return cmd
}

// isTerminal reports whether something written there is read by a person.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""
}
