package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/evaluate"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/playback"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/kafkaconn"
	"github.com/edrwatch/edrwatch/sources/file"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// simulation are the options of `simulate`.
type simulation struct {
	cfg      simulator.Config
	scenario string
	out      string
	brokers  []string
	config   string
	speed    float64
	start    string
}

func simulateCommand() *cobra.Command {
	s := simulation{}
	cmd := &cobra.Command{
		Use:     "simulate",
		GroupID: "files",
		Short:   "Simulate a fleet's records: into a capture file or into Kafka",
		Long: `The records are those of the vendors and the same for the same seed. They go into a capture file, as
fast as they can be made, or with --to-kafka into the topics edr.crowdstrike.fdr, edr.windows, edr.defender and
edr.metrics, at their own pace (--speed 1), faster, or as fast as the brokers take them (--speed 0). TLS and
SASL settings come from the first Kafka source of --config, which also names the brokers where --to-kafka does not.`,
		Example: "  edrwatch simulate --scenario july19 --agents 1000 -o july19.capture\n  edrwatch replay --in july19.capture --alerts -\n" +
			"  edrwatch simulate --to-kafka 127.0.0.1:19092 --speed 60 --start now",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&s.scenario, "scenario", "july19", "a shipped scenario or a scenario `FILE`")
	flags.IntVar(&s.cfg.Agents, "agents", 0, "size of the fleet (default: the scenario's, else 1000)")
	flags.Uint64Var(&s.cfg.Seed, "seed", 1, "same seed, same records")
	flags.DurationVar(&s.cfg.Duration, "duration", 0, "simulated time (default: the scenario's)")
	flags.StringVar(&s.start, "start", "", "`TIME` at which it begins, RFC 3339 or now (default: the scenario's)")
	flags.StringVarP(&s.out, "out", "o", "-", "write the capture to `FILE`")
	flags.StringSliceVar(&s.brokers, "to-kafka", nil, "produce to these `BROKERS` (host:port) instead")
	flags.StringVarP(&s.config, "config", "c", "", "produce to the first Kafka source of this configuration `FILE`, with its TLS and SASL settings")
	flags.Float64Var(&s.speed, "speed", 1, "with Kafka: simulated time against the clock; 0: as fast as possible")
	cmd.MarkFlagsMutuallyExclusive("out", "to-kafka")
	cmd.MarkFlagsMutuallyExclusive("out", "config")
	return cmd
}

func (s *simulation) run(cmd *cobra.Command) error {
	switch {
	case s.start == "now":
		s.cfg.Start = time.Now().UTC().Truncate(time.Second)
	case s.start != "":
		at, err := time.Parse(time.RFC3339, s.start)
		if err != nil {
			return fmt.Errorf("--start: expected a time such as 2024-07-19T03:40:00Z, or now, found %q", s.start)
		}
		s.cfg.Start = at
	}
	if !(s.speed >= 0) {
		return fmt.Errorf("--speed: expected at least 0, found %g", s.speed)
	}
	fleet, err := openFeed(s.scenario, s.cfg)
	if err != nil {
		return badConfig(err)
	}
	if len(s.brokers) > 0 || s.config != "" {
		return s.produce(cmd.Context(), fleet, cmd.ErrOrStderr())
	}
	dst, err := createOutput(s.out, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	if err := writeCapture(dst, fleet); err != nil {
		return err
	}
	return dst.close()
}

// produce writes the fleet's records into Kafka.
func (s *simulation) produce(ctx context.Context, fleet evaluate.Feed, stderr io.Writer) error {
	source, err := captureSource(s.config, s.brokers, nil)
	if err != nil {
		return err
	}
	conn := kafkaconn.Config{
		Brokers: source.Brokers, ClientID: "edrwatch-simulate", DialTimeout: source.DialTimeout,
		TLS: kafkaconn.TLS(source.TLS), SASL: kafkaconn.SASL(source.SASL),
	}
	if err := conn.Validate(); err != nil {
		return badConfig(err)
	}
	transport, err := conn.Transport(slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return badConfig(err)
	}
	defer transport.CloseIdleConnections()
	writer := playback.NewWriter(transport, conn.Brokers...)
	defer writer.Close()
	player := &playback.Player{Feed: fleet, Writer: writer, Start: fleet.Truth().Start, Speed: s.speed}

	bar := newProgress(stderr, false)
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for watching.Err() == nil {
			bar.update("%d records, %s", player.Sent.Load(), time.UnixMilli(player.Now.Load()).UTC().Format(time.DateTime))
			select {
			case <-watching.Done():
			case <-time.After(time.Second):
			}
		}
	})
	err = player.Run(ctx)
	stop()
	watch.Wait()
	bar.done()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stderr, "%d records produced\n", player.Sent.Load())
	return err
}

// writeCapture writes all records of the fleet, one partition a topic.
func writeCapture(dst outputFile, fleet evaluate.Feed) error {
	w := bufio.NewWriterSize(dst, 1<<20)
	offsets := map[string]int64{}
	var line []byte
	for {
		e, ok := fleet.Next()
		if !ok {
			return w.Flush()
		}
		rec := event.Record{Offset: offsets[e.Topic], Time: e.Time, Key: e.Key, Value: e.Value}
		offsets[e.Topic]++
		line = file.AppendCapture(line[:0], &event.Partition{Topic: e.Topic}, &rec)
		if _, err := w.Write(line); err != nil {
			return fmt.Errorf("writing capture: %w", err)
		}
	}
}
