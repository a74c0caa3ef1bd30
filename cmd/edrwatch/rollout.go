package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/client"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// rolloutFlags are the options of the subcommands of rollout.
type rolloutFlags struct {
	server        serverFlags
	offline       offlineFlags
	in            string
	rules         []string
	kind, channel string
	output        string
}

func rolloutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rollout",
		GroupID: "operate",
		Short:   "What new sensor and content versions do to the agents that get them",
		Long: "rollout asks a running gateway, or with --in judges a capture up to its end, how the versions that\n" +
			"agents get behave, and whether a rollout may go on. What a version needs in each ring stands under\n" +
			"rollout_policy in the configuration.",
	}
	cmd.AddCommand(rolloutListCommand(), rolloutShowCommand(), rolloutVerdictCommand())
	return cmd
}

func (f *rolloutFlags) register(cmd *cobra.Command, outputs string) {
	f.server.register(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.in, "in", "i", "", "judge this capture or raw `FILE` instead of asking a gateway")
	flags.StringVarP(&f.offline.config, "config", "c", "", "with --in: take mappings, rules and rollout_policy from this configuration `FILE`")
	flags.StringVarP(&f.output, "output", "o", "text", outputs)
}

func (f *rolloutFlags) registerVersion(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.kind, "kind", "", "sensor or content, where both have the version")
	cmd.Flags().StringVar(&f.channel, "channel", "", "content `CHANNEL`, where several have the version")
}

// all returns what is known of all versions.
func (f *rolloutFlags) all(cmd *cobra.Command) ([]fleet.Rollout, error) {
	if f.in == "" {
		c, err := f.server.client()
		if err != nil {
			return nil, err
		}
		return c.Rollouts(cmd.Context())
	}
	job, closeAll, err := f.offline.job(cmd, []string{f.in}, f.rules, true)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	f.offline.format = "auto"
	if err := runOffline(cmd, &f.offline, job.Job, "", ""); err != nil {
		return nil, err
	}
	return job.fleet.Rollouts(job.config.RolloutPolicy), nil
}

// one returns what is known of the version that the arguments name.
func (f *rolloutFlags) one(cmd *cobra.Command, product, version string) (fleet.Rollout, error) {
	if f.in == "" {
		c, err := f.server.client()
		if err != nil {
			return fleet.Rollout{}, err
		}
		return c.Rollout(cmd.Context(), product, f.kind, f.channel, version)
	}
	list, err := f.all(cmd)
	if err != nil {
		return fleet.Rollout{}, err
	}
	found := slices.DeleteFunc(list, func(r fleet.Rollout) bool { return !r.Fits(product, f.kind, f.channel, version) })
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return fleet.Rollout{}, fmt.Errorf("%w: no agent of %s got version %s recently: edrwatch rollout list shows the known versions", client.ErrNotFound, product, version)
	}
	return fleet.Rollout{}, fmt.Errorf("%d rollouts have this version: add --kind or --channel", len(found))
}

func rolloutListCommand() *cobra.Command {
	var f rolloutFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the versions that agents got recently",
		Example: "  edrwatch rollout list\n  edrwatch rollout list --in july19.capture --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := f.all(cmd)
			if err != nil {
				return err
			}
			return printRollouts(cmd.OutOrStdout(), f.output, list)
		},
	}
	f.register(cmd, "text or json")
	return cmd
}

func rolloutShowCommand() *cobra.Command {
	var f rolloutFlags
	cmd := &cobra.Command{
		Use:     "show PRODUCT VERSION",
		Short:   "Show how a version spreads, which agents it harms, and whether its rollout follows safe deployment practice",
		Example: "  edrwatch rollout show crowdstrike-falcon 7.17.18721.0\n  edrwatch rollout show crowdstrike-falcon 32 --channel 291 --output markdown",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.one(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			return printRollout(cmd.OutOrStdout(), f.output, &r)
		},
	}
	f.register(cmd, "text, markdown or json")
	f.registerVersion(cmd)
	return cmd
}

func rolloutVerdictCommand() *cobra.Command {
	var f rolloutFlags
	var wait bool
	var timeout, poll time.Duration
	cmd := &cobra.Command{
		Use:   "verdict PRODUCT VERSION",
		Short: "Decide whether a rollout may go on: exit code 0 continue, 10 hold, 11 rollback",
		Long: "verdict prints the policy's verdict on a version and ends with its exit code, for a deployment job:\n" +
			"0 continue, 10 hold, 11 rollback, 2 when there is no verdict. With --wait it waits as long as the verdict is\n" +
			"hold, also before the first agent has the version.",
		Example: "  edrwatch rollout verdict crowdstrike-falcon 7.17.18721.0 --wait --timeout 4h && deploy next-ring",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if wait && f.in != "" {
				return errors.New("--wait is for a running gateway: a file does not change")
			}
			r, err := f.await(cmd, args[0], args[1], wait, timeout, poll)
			if err != nil {
				return err
			}
			if err := printVerdict(cmd.OutOrStdout(), f.output, &r); err != nil {
				return err
			}
			switch r.Verdict {
			case fleet.Hold:
				return &exitError{code: exitHold}
			case fleet.Rollback:
				return &exitError{code: exitRollback}
			}
			return nil
		},
	}
	f.register(cmd, "text or json")
	f.registerVersion(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the verdict is not hold")
	cmd.Flags().DurationVar(&poll, "poll", 5*time.Second, "with --wait: ask this often")
	cmd.Flags().DurationVar(&timeout, "timeout", 24*time.Hour, "with --wait: stop after this time, with the verdict of that moment")
	return cmd
}

// await returns the verdict on a version; with wait not before it is something
// else than hold or the time is over. A gateway that cannot be asked for a
// while, because it is restarted, ends no wait; one that does not understand
// the question or refuses it ends it at once, since asking again is in vain.
func (f *rolloutFlags) await(cmd *cobra.Command, product, version string, wait bool, timeout, poll time.Duration) (fleet.Rollout, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	shown := ""
	for {
		r, err := f.one(cmd, product, version)
		later := errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrUnavailable)
		if !wait || err == nil && r.Verdict != fleet.Hold || err != nil && !later {
			return r, err
		}
		news := ""
		if err != nil {
			news = err.Error()
		} else {
			news = summaryOf(&r)
		}
		if news != shown {
			fmt.Fprintln(cmd.ErrOrStderr(), time.Now().UTC().Format(time.RFC3339), news)
			shown = news
		}
		select {
		case <-ctx.Done():
			if cmd.Context().Err() != nil {
				return r, context.Cause(cmd.Context())
			}
			if errors.Is(err, client.ErrNotFound) {
				return fleet.Rollout{Verdict: fleet.Hold}, nil
			}
			return r, err
		case <-time.After(max(poll, 10*time.Millisecond)):
		}
	}
}

// serverFlags say which gateway is asked.
type serverFlags struct{ server, ca string }

func (f *serverFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.server, "server", defaultServer(), "`URL` of the gateway's API (or EDRWATCH_SERVER; EDRWATCH_TOKEN is sent as bearer token)")
	cmd.Flags().StringVar(&f.ca, "ca", "", "trust the certificates of this PEM `FILE`, too")
}

// defaultServer is the gateway that is asked where no flag names one.
func defaultServer() string { return cmp.Or(os.Getenv("EDRWATCH_SERVER"), "http://127.0.0.1:8686") }

func (f *serverFlags) client() (*client.Client, error) {
	return client.New(client.Config{Server: f.server, CA: f.ca, Token: os.Getenv("EDRWATCH_TOKEN")})
}
