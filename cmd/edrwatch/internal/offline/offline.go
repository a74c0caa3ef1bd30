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
	Detector pipeline.Detector // nil: only map, or Judge
	// Judge, where set, judges the topics of captures in step, as a gateway judges
	// its partitions; Mapper and Detector are not used then.
	Judge Judge
	// Partitions is into how many partitions the records of each topic are divided
	// by their key, which are judged at the same time; 0 and 1: each topic is one,
	// and the file is read in its order. More need memory for all records.
	Partitions int
	// Order is how far ahead of each other partitions are read.
	Order Order
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
	j.Shard.DedupeCoordinates = true
	run := &run{job: j, events: buffer(j.Out.Events), alerts: buffer(j.Out.Alerts), dead: buffer(j.Out.Dead)}
	switch {
	case j.Judge == nil:
		run.reader = single{run, run.newShard("")}
	case j.Partitions > 1:
		run.reader = newParallel(run)
	default:
		run.reader = newTopics(run)
	}
	defer run.close()
	for _, in := range j.Inputs {
		if err := run.file(ctx, in); err != nil {
			return run.summary, err
		}
	}
	if err := run.reader.finish(ctx); err != nil {
		return run.summary, err
	}
	for _, s := range run.shards {
		stats := s.Stats()
		run.summary.Late += int(stats.Late)
		run.summary.Events += int(stats.Events)
		run.summary.Alerts += int(stats.Alerts)
	}
	run.summary.Alerts += run.raised
	return run.summary, errors.Join(run.events.Flush(), run.alerts.Flush(), run.dead.Flush())
}

// reader takes the lines of a run through shards.
type reader interface {
	line(in Input, line *file.Line) error
	// finish is called after the last line.
	finish(ctx context.Context) error
}

// single takes all lines through one shard, in their order.
type single struct {
	run   *run
	shard *pipeline.Shard
}

func (s single) line(in Input, line *file.Line) error {
	s.shard.Reset()
	s.run.count(s.shard.Process(&line.Partition, &line.Record, false))
	return s.run.write(s.shard, in, line.Number)
}

func (single) finish(context.Context) error { return nil }

func buffer(w io.Writer) *bufio.Writer {
	if w == nil {
		w = io.Discard
	}
	return bufio.NewWriterSize(w, 256<<10)
}

// run is the state of one Job in progress.
type run struct {
	job                  Job
	reader               reader
	shards               []*pipeline.Shard
	events, alerts, dead *bufio.Writer
	summary              Summary
	raised               int // alerts that no shard raised
}

// newShard returns a shard of the run; the partition is known by its name.
func (r *run) newShard(partition string) *pipeline.Shard {
	m, d := r.job.Mapper, r.job.Detector
	if j := r.job.Judge; j != nil {
		m, d = j.NewMapper(), j.NewDetector(partition)
	}
	s := pipeline.NewShard(r.job.Shard, m, d, r.job.Processors...)
	r.shards = append(r.shards, s)
	return s
}

// close releases what the shards hold.
func (r *run) close() {
	for _, s := range r.shards {
		s.Close()
	}
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
		if err := r.decode(ctx, in, &line); err != nil {
			return err
		}
		if err := r.reader.line(in, &line); err != nil {
			return err
		}
	}
}

// decode takes off what is wrapped around a line's value.
func (r *run) decode(ctx context.Context, in Input, line *file.Line) error {
	if r.job.Decoder == nil {
		return nil
	}
	// Nobody waits for a schema registry here: what cannot be decoded now ends the run, and buries nothing.
	record, err := r.job.Decoder.Decode(ctx, &line.Record)
	if err != nil {
		return fmt.Errorf("%s: line %d: %w", in.Name, line.Number, err)
	}
	if record != &line.Record {
		line.Record = *record
	}
	return nil
}

// count accounts for a line.
func (r *run) count(outcome pipeline.RecordOutcome) {
	switch outcome {
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
}

// write writes what a line became.
func (r *run) write(s *pipeline.Shard, in Input, number int) error {
	for _, doc := range s.Documents() {
		out := r.events
		if doc.Stream == event.Alerts {
			out = r.alerts
		}
		if err := writeLine(out, doc.Body); err != nil {
			return err
		}
	}
	return r.buryAll(s, in, number)
}

func writeLine(out *bufio.Writer, body []byte) error {
	_, err := out.Write(body)
	if err == nil {
		err = out.WriteByte('\n')
	}
	if err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

func (r *run) buryAll(s *pipeline.Shard, in Input, number int) error {
	for i := range s.Dead() {
		if err := r.bury(in, number, &s.Dead()[i]); err != nil {
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
