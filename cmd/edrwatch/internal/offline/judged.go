package offline

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sources/file"
)

// Judge makes what judges the partitions of a run, and judges them together.
type Judge interface {
	NewMapper() pipeline.Mapper
	NewDetector(partition string) pipeline.Detector
	// Step is the time of the log that is judged at once.
	Step() time.Duration
	// Pace says that steps are closed by Close from now on. Before, detectors judge
	// what they know of each other by themselves.
	Pace()
	// Close judges the step that ends at a time, nanoseconds since 1970, which all
	// partitions have ended. Alerts are valid until emit returns.
	Close(end int64, emit func(alert *event.Event))
	// Flush judges what rules about the whole fleet have of the step in progress, at
	// the time of the last record.
	Flush(at int64, emit func(alert *event.Event))
}

// topics takes a file in its order through one shard a topic, which are judged
// in step: the oracle of a gateway with any number of partitions.
type topics struct {
	run    *run
	steps  *pipeline.Lockstep
	shards map[string]*pipeline.Shard
	alerts []raised
	raised *raising
	err    error
}

func newTopics(r *run) *topics {
	t := &topics{run: r, shards: map[string]*pipeline.Shard{}, raised: newRaising(r)}
	t.steps = pipeline.NewLockstep(r.job.Judge.Step(), t.close, t.keep)
	return t
}

func (t *topics) line(in Input, line *file.Line) error {
	s, ok := t.shards[line.Partition.Topic]
	if !ok {
		s = t.run.newShard(line.Partition.Topic)
		t.shards[line.Partition.Topic] = s
		if line.Record.Time > 0 {
			t.run.job.Judge.Pace()
			t.steps.Add(s)
		}
	}
	if line.Record.Time > 0 {
		t.steps.Reach(line.Record.Time * int64(time.Millisecond))
	}
	s.Reset()
	t.run.count(s.Process(&line.Partition, &line.Record, false))
	for _, doc := range s.Documents() {
		if doc.Stream == event.Alerts {
			continue
		}
		if err := writeLine(t.run.events, doc.Body); err != nil {
			return err
		}
	}
	t.keep(s)
	if line.Record.Time == 0 {
		t.flush() // Nothing will be closed.
	}
	if err := t.run.buryAll(s, in, line.Number); err != nil {
		return err
	}
	return t.err
}

func (t *topics) finish(context.Context) error {
	t.steps.Finish()
	latest := int64(0)
	for _, s := range t.shards {
		latest = max(latest, s.Now())
	}
	t.alerts = append(t.alerts, t.raised.flush(latest)...)
	t.flush()
	return t.err
}

// keep keeps the alerts among a shard's documents until the step is closed.
func (t *topics) keep(s *pipeline.Shard) {
	t.alerts = appendRaised(t.alerts, s)
}

func (t *topics) close(end int64) {
	t.alerts = append(t.alerts, t.raised.close(end)...)
	t.flush()
}

func (t *topics) flush() {
	if err := writeRaised(t.run, t.alerts); err != nil && t.err == nil {
		t.err = err
	}
	t.alerts = t.alerts[:0]
}

// raised is an alert that is written when its step is closed: the order in which
// partitions raise alerts within a step says nothing.
type raised struct {
	at   int64
	id   string
	body []byte
}

func appendRaised(to []raised, s *pipeline.Shard) []raised {
	for _, doc := range s.Documents() {
		if doc.Stream == event.Alerts {
			to = append(to, raised{doc.Time, strings.Clone(doc.ID), slices.Clone(doc.Body)})
		}
	}
	return to
}

// writeRaised writes alerts in the order of their time, and of their ids.
func writeRaised(r *run, alerts []raised) error {
	slices.SortFunc(alerts, func(a, b raised) int {
		if a.at != b.at {
			return int(min(max(a.at-b.at, -1), 1))
		}
		return strings.Compare(a.id, b.id)
	})
	for _, a := range alerts {
		if err := writeLine(r.alerts, a.body); err != nil {
			return err
		}
	}
	return nil
}

// raising makes documents of what is found at the closing of a step.
type raising struct {
	run   *run
	shard *pipeline.Shard
}

func newRaising(r *run) *raising { return &raising{r, pipeline.NewShard(r.job.Shard, nil, nil)} }

func (r *raising) close(end int64) []raised { return r.raise(end, r.run.job.Judge.Close) }

// flush makes documents of what is found at the end of the log.
func (r *raising) flush(latest int64) []raised { return r.raise(latest, r.run.job.Judge.Flush) }

func (r *raising) raise(at int64, judge func(at int64, emit func(*event.Event))) []raised {
	r.shard.Reset()
	r.shard.Raise(at, func(emit func(*event.Event)) { judge(at, emit) })
	found := appendRaised(nil, r.shard)
	r.run.raised += len(found)
	return found
}
