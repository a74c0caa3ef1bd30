package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/mappings"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/sources/file"
)

func explainCommand() *cobra.Command {
	var in, output string
	var ruleDirs, mappingDirs []string
	x := &explainer{}
	cmd := &cobra.Command{
		Use:     "explain --in FILE",
		GroupID: "author",
		Short:   "Show why rules match records or not, part by part, and how near they came to an alert",
		Long: "explain reads raw or capture lines, shows the event that a mapping makes of each, the path of the record that\n" +
			"each field comes from, and what the conditions of the rules say about it. Only rules that the index proposes are shown, unless --rule or --all asks for more.\n" +
			"At the end stands the result of all records together, on the clock of replay: the alerts of each rule, and the nearest misses since the last alert of a key,\n" +
			"such as 4 events of 5 in a window, or a step that was waited for.",
		Example: "  edrwatch explain --in records.ndjson --rules my-rules --rule restart",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in == "" {
				return errors.New("explain needs --in FILE (- is standard input)")
			}
			detection, err := app.LoadDetection(app.DetectionConfig{RuleDirs: ruleDirs, MappingDirs: mappingDirs})
			if err != nil {
				return badConfig(err)
			}
			inputs, closeAll, err := openInputs([]string{in}, cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer closeAll()
			defaults := config.Default()
			processors, err := app.NewProcessors(&defaults, detection.Dictionary, nil, nil)
			if err != nil {
				return badConfig(err)
			}
			x.rules, x.mapper = detection.Rules, detection.Mappings.NewMapper(mappings.Traced())
			// What the gateway does to events before it judges and stores them: secrets
			// are shown by no command either.
			x.shard = pipeline.NewShard(defaults.Pipeline.Shard(), x.mapper, x, processors.List()...)
			x.session = x.rules.NewSession(rules.SessionOptions{Lateness: defaults.Pipeline.Lateness, NearMisses: x.about})
			defer x.session.Close()
			decoder, closeDecoder, err := app.NewDecoder(app.DecodersOf(&defaults), nil)
			if err != nil {
				return badConfig(err)
			}
			defer func() { _ = closeDecoder() }()
			x.decoder = decoder
			x.out = &explainText{w: cmd.OutOrStdout(), byName: x.rule != ""}
			if output == "json" {
				x.out = newExplainJSON(cmd.OutOrStdout())
			}
			return x.run(cmd.Context(), file.NewReader(inputs[0].Reader, inputs[0].Name, file.Options{}))
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&in, "in", "i", "", "read records from `FILE`")
	flags.StringVar(&x.rule, "rule", "", "only rules whose id or name contains `TEXT`")
	flags.BoolVar(&x.all, "all", false, "show rules that the index does not propose, too")
	flags.StringSliceVar(&ruleDirs, "rules", nil, "explain the rules of this `DIR` instead of the shipped library")
	flags.StringSliceVar(&mappingDirs, "mappings", nil, "read mapping files of this `DIR`, too")
	outputFlag(cmd, &output)
	return cmd
}

// explainer explains every record of a file. It stands in the place of the
// detector of a shard, and hands on to the rules.
type explainer struct {
	out     explanation
	rules   *rules.Ruleset
	mapper  *mappings.Mapper
	decoder pipeline.Decoder
	shard   *pipeline.Shard
	session *rules.Session
	rule    string
	all     bool

	record *explained
	alerts []explainedAlert
	raised int
}

// explanation is a form of the answer.
type explanation interface {
	record(*explained) error
	finish(*explainedEnd) error
}

// explained is what is said about a record.
type explained struct {
	Line   int              `json:"line"`
	Error  string           `json:"error,omitempty"` // Why it cannot be used.
	Note   string           `json:"note,omitempty"`
	Events []explainedEvent `json:"events"`
}

// explainedEvent is an event that a record became.
type explainedEvent struct {
	Mapping  string // "": none takes the record.
	Event    string // As it is stored.
	Fields   []explainedField
	Verdicts []rules.Verdict
}

// explainedField is a field with its origin in the record.
type explainedField struct{ Name, Value, Origin string }

// explainedAlert is an alert of all records together.
type explainedAlert struct {
	RuleID string `json:"rule_id"`
	Rule   string `json:"rule"`
	Time   string `json:"time"`
	Status string `json:"status"`
	Reason string `json:"reason"`
}

// explainedEnd is what all records together came to.
type explainedEnd struct {
	Alerts []explainedAlert  `json:"alerts"`
	More   int               `json:"more_alerts"` // That are not listed.
	Misses []*rules.NearMiss `json:"misses"`
}

// Bounds of what is said about all records together.
const (
	maxExplainedAlerts = 20
	maxExplainedMisses = 3 // Of a rule.
)

func (x *explainer) run(ctx context.Context, lines *file.Reader) error {
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if line.Blank || line.Record.Value == nil {
			continue
		}
		x.record = &explained{Line: line.Number}
		record, err := x.decoder.Decode(ctx, &line.Record)
		if err != nil {
			return fmt.Errorf("line %d: %w", line.Number, err)
		}
		outcome := x.shard.Process(&line.Partition, record, false)
		if outcome == pipeline.DuplicateRecord {
			x.record.Note = "it was read before, and is not judged again"
		}
		for _, d := range x.shard.Dead() {
			x.record.Error = d.Detail
		}
		x.shard.Reset()
		if err := x.out.record(x.record); err != nil {
			return err
		}
	}
	end := explainedEnd{Alerts: x.alerts, More: x.raised - len(x.alerts)}
	for _, r := range x.rules.Rules() {
		for _, m := range x.session.NearMisses(r, maxExplainedMisses) {
			// Which conditions were not true stands with the records. What came to
			// nothing at all is printed about a rule that was asked for.
			if x.rule != "" || m.Stage != rules.MissedCondition && m.Nearness > 0 {
				end.Misses = append(end.Misses, m)
			}
		}
	}
	return x.out.finish(&end)
}

// Detect explains an event and lets the rules judge it. It implements
// pipeline.Detector.
func (x *explainer) Detect(now int64, e *event.Event, emit func(*event.Event)) {
	said := explainedEvent{Mapping: e.Mapped, Event: string(e.AppendJSON(nil))}
	for id, v := range e.Fields {
		if origin := x.mapper.Origin(id); origin != "" {
			said.Fields = append(said.Fields, explainedField{e.Dictionary().Field(id).Name, string(v.AppendJSON(nil)), origin})
		}
	}
	for _, v := range x.rules.Explain(e) {
		if x.rule != "" && x.about(v.Rule) || x.rule == "" && (v.Candidate || x.all) {
			said.Verdicts = append(said.Verdicts, v)
		}
	}
	x.record.Events = append(x.record.Events, said)
	x.session.Detect(now, e, func(a *event.Event) {
		x.alert(a)
		emit(a)
	})
}

// about reports whether a rule is asked about.
func (x *explainer) about(r *rules.Rule) bool {
	return strings.Contains(r.ID, x.rule) || strings.Contains(strings.ToLower(r.Name), strings.ToLower(x.rule))
}
