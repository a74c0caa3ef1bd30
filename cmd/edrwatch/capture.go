package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/file"
	"github.com/edrwatch/edrwatch/sources/kafka"
)

func captureCommand() *cobra.Command {
	var opts captureOptions
	var brokers, topics []string
	var file, out string
	cmd := &cobra.Command{
		Use:     "capture --topic T",
		GroupID: "files",
		Short:   "Save Kafka topics as a capture file for replay",
		Long: "capture reads topics from their beginning and writes one line a record: coordinates, timestamp, key,\n" +
			"headers and value, so that replay gives what the gateway would have given. It ends when nothing new has\n" +
			"come for a while, after --records, or with Ctrl-C. Brokers and credentials come from the first Kafka\n" +
			"source of --config, or from --brokers. It reads in a consumer group of its own and leaves the offsets of others alone.",
		Example: "  edrwatch capture --brokers 127.0.0.1:19092 --topic edr.crowdstrike.fdr -o fdr.capture",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := captureSource(file, brokers, topics)
			if err != nil {
				return err
			}
			dst, err := createOutput(out, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			opts.out = dst
			opts.bar = newProgress(cmd.ErrOrStderr(), false)
			if err := capture(cmd.Context(), cfg, &opts); err != nil {
				return err
			}
			return dst.close()
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&topics, "topic", "t", nil, "topics to read")
	flags.StringSliceVar(&brokers, "brokers", nil, "host:port of brokers")
	flags.StringVarP(&file, "config", "c", "", "configuration `FILE` (or EDRWATCH_CONFIG)")
	flags.StringVarP(&out, "out", "o", "-", "write the capture to `FILE`")
	flags.IntVar(&opts.records, "records", 0, "stop after this many records (0: all)")
	flags.DurationVar(&opts.idle, "idle", 5*time.Second, "stop when nothing new has come for this long (0: never)")
	return cmd
}

// captureSource returns the settings of the source to read from.
func captureSource(file string, brokers, topics []string) (kafka.Config, error) {
	cfg := kafka.DefaultConfig()
	if file == "" {
		file = os.Getenv("EDRWATCH_CONFIG")
	}
	if file != "" {
		loaded, err := config.Load(file, os.Environ())
		if err != nil {
			return cfg, badConfig(err)
		}
		found := false
		for _, s := range loaded.Config.Sources {
			if k, ok := s.Settings.(*kafka.Config); ok && !found {
				cfg, found = *k, true
			}
		}
		if !found {
			return cfg, badConfig(fmt.Errorf("%s has no Kafka source", file))
		}
	}
	if len(brokers) > 0 {
		cfg.Brokers = brokers
	}
	if len(topics) > 0 {
		cfg.Topics, cfg.TopicPattern = topics, ""
	}
	cfg.Group = fmt.Sprintf("edrwatch-capture-%d", time.Now().UnixNano())
	cfg.Start, cfg.MaxRewind = "earliest", 0
	return cfg, nil
}

// captureOptions say where captured records go and when to stop.
type captureOptions struct {
	out     io.Writer
	bar     *progress
	records int
	idle    time.Duration
}

func capture(ctx context.Context, cfg kafka.Config, opts *captureOptions) error {
	var failure atomic.Value // of errorBox: what keeps the source from working
	source, err := kafka.New(cfg, kafka.Settings{Name: "capture", Health: func(err error) { failure.Store(errorBox{err}) }})
	if err != nil {
		return badConfig(err)
	}
	if err := source.Check(ctx); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	c := &capturer{opts: opts, stop: stop, out: bufio.NewWriterSize(opts.out, 1<<20)}
	if opts.idle > 0 {
		c.quiet = time.AfterFunc(2*opts.idle, stop)
		defer c.quiet.Stop()
	}
	err = source.Run(running, func(context.Context, event.Partition) (event.Worker, error) { return c, nil })
	opts.bar.done()
	if box, ok := failure.Load().(errorBox); ok && err == nil && c.count == 0 {
		err = box.error
	}
	if err != nil {
		return err
	}
	return c.out.Flush()
}

// errorBox lets an atomic.Value hold errors of different types, and none.
type errorBox struct{ error }

// capturer writes the batches of all partitions into one file.
type capturer struct {
	opts  *captureOptions
	stop  context.CancelFunc
	quiet *time.Timer

	mu    sync.Mutex
	out   *bufio.Writer
	line  []byte
	count int
}

// Handle implements event.Worker.
func (c *capturer) Handle(_ context.Context, b *event.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quiet != nil {
		c.quiet.Reset(c.opts.idle)
	}
	for i := range b.Records {
		if c.opts.records > 0 && c.count >= c.opts.records {
			c.stop()
			return nil
		}
		c.line = file.AppendCapture(c.line[:0], &b.Partition, &b.Records[i])
		if _, err := c.out.Write(c.line); err != nil {
			c.stop()
			return fmt.Errorf("writing capture: %w", err)
		}
		c.count++
	}
	c.opts.bar.update("%d records", c.count)
	return nil
}

// Close implements event.Worker.
func (c *capturer) Close() {}
