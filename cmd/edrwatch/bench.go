package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/evaluate"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/evaluate/variation"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		GroupID: "files",
		Short:   "Measure how well the gateway does its work",
	}
	cmd.AddCommand(benchDetectionCommand())
	return cmd
}

// detectionBench are the options of `bench detection`.
type detectionBench struct {
	scenarios []string
	seeds     uint64
	first     uint64
	agents    int
	ruleDirs  []string
	output    string
	verbose   bool

	partitions int
	parallel   int
}

func benchDetectionCommand() *cobra.Command {
	b := detectionBench{}
	cmd := &cobra.Command{
		Use:   "detection",
		Short: "Judge the rules on simulated fleets whose incidents are known",
		Long: `Every scenario is simulated with several seeds, mapped and judged as replay does, and the alerts are
compared with what really happened: which incidents were found and how soon, which hosts were named,
which verdict was given, how much of the fleet was silent by then, and how many alerts above info had no
cause, for 1,000 agent-days.`,
		Example: "  edrwatch bench detection --scenario july19,patch-night --seeds 5 --agents 1000",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&b.scenarios, "scenario", nil, "shipped scenarios or scenario `FILES` (default: all that are shipped)")
	flags.Uint64Var(&b.seeds, "seeds", 3, "how many fleets a scenario")
	flags.Uint64Var(&b.first, "first-seed", 1, "the first seed")
	flags.IntVar(&b.agents, "agents", 0, "size of the fleets (default: the scenario's, else 1000)")
	flags.IntVar(&b.partitions, "partitions", 1, "partitions of every topic, each with detection state of its own as in a gateway")
	flags.IntVar(&b.parallel, "parallel", 1, "runs at a time")
	flags.StringSliceVar(&b.ruleDirs, "rules", nil, "judge with the rules of this `DIR` instead of the shipped library")
	flags.StringVarP(&b.output, "output", "o", "text", "text or json (one line a run)")
	flags.BoolVarP(&b.verbose, "verbose", "v", false, "print every false alert")
	return cmd
}

func (b *detectionBench) run(cmd *cobra.Command) error {
	if b.output != "text" && b.output != "json" {
		return fmt.Errorf("--output: expected text or json, found %q", b.output)
	}
	if b.seeds < 1 || b.seeds > 10_000 || b.partitions < 1 || b.partitions > 1024 {
		return fmt.Errorf("--seeds and --partitions: expected 1 to 10000 and 1 to 1024, found %d and %d", b.seeds, b.partitions)
	}
	detection, err := app.LoadDetection(app.DetectionConfig{Library: len(b.ruleDirs) == 0, RuleDirs: b.ruleDirs})
	if err != nil {
		return badConfig(err)
	}
	cfg := config.Default()
	processors, err := app.NewProcessors(&cfg, detection.Dictionary, nil, nil)
	if err != nil {
		return badConfig(err)
	}
	// The shards of a run judge one fleet, as those of a gateway do.
	newJudge := func() evaluate.Judging {
		shard := cfg.Pipeline.Shard()
		shard.DedupeCoordinates = true
		judging := detection.NewJudging(cfg.Pipeline.Lateness)
		judging.Pace()
		return benchJudge{judging, shard, processors.List()}
	}
	if len(b.scenarios) == 0 {
		b.scenarios = append(simulator.Names(), variation.Names()...)
	}
	tasks := make([]evaluate.Score, len(b.scenarios)*int(b.seeds))
	group, ctx := errgroup.WithContext(cmd.Context())
	group.SetLimit(max(1, b.parallel))
	var report sync.Mutex
	for i := range tasks {
		name, seed := b.scenarios[i/int(b.seeds)], b.first+uint64(i)%b.seeds
		group.Go(func() error {
			simulated, err := openFeed(name, simulator.Config{Seed: seed, Agents: b.agents})
			if err != nil {
				return badConfig(err)
			}
			if tasks[i], err = b.one(ctx, newJudge(), simulated, seed); err != nil {
				return err
			}
			report.Lock()
			defer report.Unlock()
			b.report(cmd, tasks[i])
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if b.output == "json" {
		return nil
	}
	return evaluate.WriteTable(cmd.OutOrStdout(), evaluate.Summarize(tasks))
}

// benchJudge makes the shards of one run.
type benchJudge struct {
	*app.Judging
	shard      pipeline.ShardConfig
	processors []pipeline.Processor
}

func (j benchJudge) NewShard(partition string) *pipeline.Shard {
	return pipeline.NewShard(j.shard, j.NewMapper(), j.NewDetector(partition), j.processors...)
}

func (b *detectionBench) one(ctx context.Context, judge evaluate.Judging, feed evaluate.Feed, seed uint64) (evaluate.Score, error) {
	alerts, load, err := evaluate.Run(ctx, b.partitions, judge, feed)
	if err != nil {
		return evaluate.Score{}, err
	}
	score := evaluate.Judge(feed.Truth(), alerts)
	score.Seed, score.Load = seed, load
	return score, nil
}

// report tells of one run while the others go on.
func (b *detectionBench) report(cmd *cobra.Command, s evaluate.Score) {
	if b.output == "json" {
		if line, err := json.Marshal(s); err == nil {
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n", line)
		}
		return
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s, seed %d: %d records in %.1f s, %d without a mapping\n",
		s.Scenario, s.Seed, s.Load.Records, s.Load.Took.Seconds(), s.Load.Other)
	if !b.verbose {
		return
	}
	for _, a := range s.False {
		fmt.Fprintf(cmd.ErrOrStderr(), "  false: %s %s %s %s %v: %s\n", a.Time.Format("2006-01-02T15:04:05Z"), a.Severity, a.Kind, a.Rule, a.Hosts, a.Message)
	}
	for _, i := range s.Incidents {
		if i.Found {
			fmt.Fprintf(cmd.ErrOrStderr(), "  found %s after %s: %s %s %s\n", i.ID, i.After, i.First.Severity, i.First.Kind, i.First.Message)
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "  missed %s: %d hosts\n", i.ID, len(i.Hosts))
		}
	}
}

// openFeed makes the fleet of a scenario file, of a shipped scenario or of a
// scenario of the second generator.
func openFeed(name string, cfg simulator.Config) (evaluate.Feed, error) {
	if slices.Contains(variation.Names(), name) {
		return variation.New(variation.Options{Scenario: name, Seed: cfg.Seed, Agents: cmp.Or(cfg.Agents, simulator.DefaultAgents)})
	}
	src, err := os.ReadFile(name)
	if err != nil {
		cfg.Scenario, err = simulator.Shipped(name)
	} else {
		cfg.Scenario, err = simulator.LoadScenario(name, src)
	}
	if err != nil {
		return nil, err
	}
	return simulator.New(cfg)
}
