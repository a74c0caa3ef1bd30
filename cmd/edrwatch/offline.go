package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/offline"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// offlineFlags are the options that normalize and replay share.
type offlineFlags struct {
	format   string
	dead     string
	summary  string
	config   string
	mappings []string
	quiet    bool
	// Of what judges.
	partitions int
	order      string
}

// registerPartitions adds the options of what judges a capture as a gateway would
// that reads it as a backlog.
func (f *offlineFlags) registerPartitions(flags *pflag.FlagSet) {
	flags.IntVar(&f.partitions, "partitions", 1, "divide the records of each topic of a capture into so many partitions by their keys, as Java clients do, and judge these at the same time; takes memory for all records")
	flags.StringVar(&f.order, "order", "broker", "with --partitions: which partition is read next: broker (by time), serial (one after the other) or shuffle:SEED; the alerts are the same")
}

func (f *offlineFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "auto", "input format: raw, capture or auto (by shape)")
	flags.StringVar(&f.dead, "dead", "", "write what could not be used to `FILE`, one {line,stage,reason,original} a line")
	flags.StringVar(&f.summary, "summary", "", "write the counts of all lines to `FILE` (- is standard output)")
	flags.StringVarP(&f.config, "config", "c", "", "take mappings, rules and limits from this configuration `FILE`")
	flags.StringSliceVar(&f.mappings, "mappings", nil, "read mapping files of this `DIR`, too")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
}

// openInputs opens the named files; none or "-" is standard input.
func openInputs(names []string, stdin io.Reader) ([]offline.Input, func(), error) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	var inputs []offline.Input
	var files []*os.File
	closeAll := func() {
		for _, f := range files {
			f.Close()
		}
	}
	for _, name := range names {
		if name == "-" {
			inputs = append(inputs, offline.Input{Name: "stdin", Reader: stdin})
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("opening input: %w", err)
		}
		files = append(files, f)
		inputs = append(inputs, offline.Input{Name: name, Reader: f})
	}
	return inputs, closeAll, nil
}

// outputFile is a result file; "-" is standard output and "" discards.
type outputFile struct {
	io.Writer
	file *os.File
}

func createOutput(name string, stdout io.Writer) (outputFile, error) {
	switch name {
	case "":
		return outputFile{Writer: io.Discard}, nil
	case "-":
		return outputFile{Writer: stdout}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return outputFile{}, fmt.Errorf("creating output: %w", err)
	}
	return outputFile{f, f}, nil
}

func (o outputFile) close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

// runOffline runs a job with the files of the flags and writes its summary.
func runOffline(cmd *cobra.Command, f *offlineFlags, job offline.Job, events, alerts string) error {
	if err := job.Format.UnmarshalText([]byte(f.format)); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	var outs [4]outputFile
	for i, name := range []string{events, alerts, f.dead, f.summary} {
		var err error
		if outs[i], err = createOutput(name, cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	job.Out = offline.Outputs{Events: outs[0], Alerts: outs[1], Dead: outs[2]}
	bar := newProgress(cmd.ErrOrStderr(), f.quiet)
	job.Progress = func(lines int) { bar.update("%d lines", lines) }
	summary, err := job.Run(cmd.Context())
	bar.done()
	if err != nil {
		return err
	}
	if f.summary != "" {
		text, err := json.Marshal(summary)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(outs[3], "%s\n", text); err != nil {
			return fmt.Errorf("writing summary: %w", err)
		}
	}
	for _, o := range outs {
		err = errors.Join(err, o.close())
	}
	return err
}

// judgedJob is a run over files with what it leaves behind.
type judgedJob struct {
	offline.Job
	config config.Config
	fleet  *fleet.Fleet
}

// job builds the run over the named files: its mapper, and its detector where
// rules are to judge.
func (f *offlineFlags) job(cmd *cobra.Command, names, ruleDirs []string, judge bool) (judgedJob, func(), error) {
	cfg := config.Default()
	detect := app.DetectionConfig{Library: len(ruleDirs) == 0}
	if f.config != "" {
		loaded, err := config.Load(f.config, os.Environ())
		if err != nil {
			return judgedJob{}, nil, badConfig(err)
		}
		cfg = loaded.Config
		detect = app.DetectionOf(&cfg)
	}
	detect.MappingDirs = append(detect.MappingDirs, f.mappings...)
	if len(ruleDirs) > 0 {
		detect.RuleDirs, detect.Library = ruleDirs, false
	}
	detection, err := app.LoadDetection(detect)
	if err != nil {
		return judgedJob{}, nil, badConfig(err)
	}
	processors, err := app.NewProcessors(&cfg, detection.Dictionary, nil, nil)
	if err != nil {
		return judgedJob{}, nil, badConfig(err)
	}
	decoder, closeDecoder, err := app.NewDecoder(app.DecodersOf(&cfg), newLogger(cfg.Log, cmd.ErrOrStderr()))
	if err != nil {
		return judgedJob{}, nil, badConfig(err)
	}
	inputs, closeInputs, err := openInputs(names, cmd.InOrStdin())
	closeAll := func() {
		if closeInputs != nil {
			closeInputs()
		}
		_ = closeDecoder() // It has nothing to write.
	}
	if err != nil {
		closeAll()
		return judgedJob{}, nil, err
	}
	job := judgedJob{
		Job:    offline.Job{Inputs: inputs, Shard: cfg.Pipeline.Shard(), Decoder: decoder, Mapper: detection.NewMapper(), Processors: processors.List()},
		config: cfg,
	}
	if judge {
		judging := detection.NewJudging(cfg.Pipeline.Lateness)
		job.fleet, job.Judge, job.Partitions = judging.Fleet(), judging, f.partitions
		job.fleet.Know(processors.Registry)
		if f.partitions < 0 || f.partitions > 4096 {
			return judgedJob{}, nil, fmt.Errorf("--partitions: expected 1 to 4096, found %d", f.partitions)
		}
		if f.order != "" {
			if job.Order, err = offline.ParseOrder(f.order); err != nil {
				return judgedJob{}, nil, fmt.Errorf("--order: %w", err)
			}
		}
	}
	return job, closeAll, nil
}
