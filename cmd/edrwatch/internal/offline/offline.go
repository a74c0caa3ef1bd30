// Package offline takes files through the same shard that the gateway runs,
// on the records' own clock and without a broker or a sink: what `normalize`
// and `replay` do. Same input, same output, byte for byte.
package offline

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/file"
)

// Summary accounts for every line: Lines = Blank + Mapped + Other + Dead +
// Duplicate. A Kafka tombstone, which only a capture can hold, carries nothing
// and counts as blank.
type Summary struct {
	Lines     int `json:"lines"`
	Blank     int `json:"blank"`
	Mapped    int `json:"mapped"`
	Other     int `json:"other"`
	Dead      int `json:"dead"`
	Duplicate int `json:"duplicate"`
	Late      int `json:"late"`
	Events    int `json:"events"`
	Alerts    int `json:"alerts"`
}

// Input is one file to read.
type Input struct {
	Name   string // stands in errors and in ids: a path or "stdin"
	Reader io.Reader
}

// Outputs say where results go; a nil writer discards.
type Outputs struct {
	Events io.Writer // one nested ECS document a line, in input order
	Alerts io.Writer // one alert document a line, in the order of raising
	Dead   io.Writer // one {line, stage, reason, original} a line
}

// Job is one run over files.
type Job struct {
	Inputs   []Input
	Format   file.Format
	Shard    pipeline.ShardConfig
	Decoder  pipeline.Decoder // nil: values are taken as they are
	Mapper   pipeline.Mapper
	Detector pipeline.Detector // nil: only map
	// Processors change every event between mapping and detection, in order.
	Processors []pipeline.Processor
	Out        Outputs
	// Progress, where set, is called now and then with the lines done so far.
	Progress func(lines int)
}

// progressEvery is the number of lines between two calls of Progress.
const progressEvery = 20_000

// deadLine is a line of the dead letter file.
type deadLine struct {
	File     string `json:"file,omitempty"` // only where several files are read
	Line     int    `json:"line"`
	Stage    string `json:"stage"`
	Reason   string `json:"reason"`
	Detail   string `json:"detail"`
	Original string `json:"original"`
	Base64   []byte `json:"original_b64,omitempty"` // where the original is not UTF-8
}

// Run reads every input to its end. Bad lines are counted and kept, they are
// no errors; an error is one of reading or writing.
func (j Job) Run(ctx context.Context) (Summary, error) {
	cfg := j.Shard
	cfg.DedupeCoordinates = true
	run := &run{
		job:    j,
		shard:  pipeline.NewShard(cfg, j.Mapper, j.Detector, j.Processors...),
		events: buffer(j.Out.Events), alerts: buffer(j.Out.Alerts), dead: buffer(j.Out.Dead),
	}
	defer run.shard.Close()
	for _, in := range j.Inputs {
		if err := run.file(ctx, in); err != nil {
			return run.summary, err
		}
	}
	stats := run.shard.Stats()
	run.summary.Late = int(stats.Late)
	run.summary.Events = int(stats.Events)
	run.summary.Alerts = int(stats.Alerts)
	return run.summary, errors.Join(run.events.Flush(), run.alerts.Flush(), run.dead.Flush())
}

func buffer(w io.Writer) *bufio.Writer {
	if w == nil {
		w = io.Discard
	}
	return bufio.NewWriterSize(w, 256<<10)
}

// run is the state of one Job in progress.
type run struct {
	job                  Job
	shard                *pipeline.Shard
	events, alerts, dead *bufio.Writer
	summary              Summary
}

func (r *run) file(ctx context.Context, in Input) error {
	lines := file.NewReader(in.Reader, in.Name, file.Options{Format: r.job.Format})
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.summary.Lines++
		if r.summary.Lines%progressEvery == 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if r.job.Progress != nil {
				r.job.Progress(r.summary.Lines)
			}
		}
		if line.Blank {
			r.summary.Blank++
			continue
		}
		if err := r.line(ctx, in, &line); err != nil {
			return err
		}
	}
}

func (r *run) line(ctx context.Context, in Input, line *file.Line) error {
	r.shard.Reset()
	record := &line.Record
	if r.job.Decoder != nil {
		var err error
		// Nobody waits for a schema registry here: what cannot be decoded now ends the run, and buries nothing.
		if record, err = r.job.Decoder.Decode(ctx, record); err != nil {
			return fmt.Errorf("%s: line %d: %w", in.Name, line.Number, err)
		}
	}
	switch r.shard.Process(&line.Partition, record, false) {
	case pipeline.Mapped:
		r.summary.Mapped++
	case pipeline.Other:
		r.summary.Other++
	case pipeline.DeadLettered:
		r.summary.Dead++
	case pipeline.DuplicateRecord:
		r.summary.Duplicate++
	case pipeline.FilteredOut:
		r.summary.Blank++
	}
	for _, doc := range r.shard.Documents() {
		out := r.events
		if doc.Stream == event.Alerts {
			out = r.alerts
		}
		if _, err := out.Write(doc.Body); err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
		if err := out.WriteByte('\n'); err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
	}
	for i := range r.shard.Dead() {
		if err := r.bury(in, line.Number, &r.shard.Dead()[i]); err != nil {
			return fmt.Errorf("writing dead letters: %w", err)
		}
	}
	return nil
}

func (r *run) bury(in Input, number int, d *event.Dead) error {
	entry := deadLine{Line: number, Stage: d.Stage, Reason: d.Reason, Detail: d.Detail}
	if len(r.job.Inputs) > 1 {
		entry.File = in.Name
	}
	entry.setOriginal(d.Original)
	text, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	_, err = r.dead.Write(append(text, '\n'))
	return err
}
