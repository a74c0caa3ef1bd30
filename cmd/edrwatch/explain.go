package main

import (
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
	var in, rule string
	var ruleDirs, mappingDirs []string
	var all bool
	cmd := &cobra.Command{
		Use:     "explain --in FILE",
		GroupID: "author",
		Short:   "Show why rules match a record or not, part by part",
		Long: "explain reads raw or capture lines, shows the event that a mapping makes of each, the path of the record that\n" +
			"each field comes from, and what the conditions of the rules say about it. Only rules that the index proposes are shown, unless --rule or --all asks for more.\n" +
			"Windows and episodes are not looked at: replay shows those.",
		Args: cobra.NoArgs,
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
			x := &explainer{out: cmd.OutOrStdout(), detection: detection, processors: processors.List(), rule: rule, all: all}
			return x.run(file.NewReader(inputs[0].Reader, inputs[0].Name, file.Options{}))
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&in, "in", "i", "", "read records from `FILE`")
	flags.StringVar(&rule, "rule", "", "only rules whose id or name contains `TEXT`")
	flags.BoolVar(&all, "all", false, "show rules that the index does not propose, too")
	flags.StringSliceVar(&ruleDirs, "rules", nil, "explain the rules of this `DIR` instead of the shipped library")
	flags.StringSliceVar(&mappingDirs, "mappings", nil, "read mapping files of this `DIR`, too")
	return cmd
}

// explainer prints the explanation of every record of a file.
type explainer struct {
	out       io.Writer
	detection *app.Detection
	mapper    *mappings.Mapper
	// What the gateway does to events before it judges and stores them: secrets
	// are shown by no command either.
	processors []pipeline.Processor
	rule       string
	all        bool
}

func (x *explainer) run(lines *file.Reader) error {
	x.mapper = x.detection.Mappings.NewMapper(mappings.Traced())
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if line.Blank || line.Record.Value == nil {
			continue
		}
		fmt.Fprintf(x.out, "line %d\n", line.Number)
		err = line.Record.Fault
		if err == nil {
			err = x.mapper.Map(&line.Partition, &line.Record, x.explain)
		}
		if err != nil {
			fmt.Fprintf(x.out, "  cannot be used: %v\n", err)
		}
	}
}

func (x *explainer) explain(e *event.Event) {
	for _, p := range x.processors {
		p.Process(e)
	}
	mapping := e.Mapped
	if mapping == "" {
		mapping = "none (event.action: other)"
	}
	fmt.Fprintf(x.out, "  mapping  %s\n  event    %s\n", mapping, e.AppendJSON(nil))
	for id, v := range e.Fields {
		if origin := x.mapper.Origin(id); origin != "" {
			fmt.Fprintf(x.out, "  field    %s is %s   [%s]\n", e.Dictionary().Field(id).Name, v.AppendJSON(nil), origin)
		}
	}
	shown := 0
	for _, v := range x.detection.Rules.Explain(e) {
		if !x.wanted(&v) {
			continue
		}
		shown++
		fmt.Fprintf(x.out, "  %-7s  %s (%s)\n", v.Result, v.Rule.Name, v.Role)
		for _, t := range v.Terms {
			fmt.Fprintf(x.out, "           %s%-7s  %s%s\n", strings.Repeat("  ", t.Depth), t.Result, t.Text, values(t.Fields))
		}
	}
	if shown == 0 {
		fmt.Fprintf(x.out, "  no rule is a candidate; --all shows the others\n")
	}
}

func (x *explainer) wanted(v *rules.Verdict) bool {
	if x.rule != "" {
		return strings.Contains(v.Rule.ID, x.rule) || strings.Contains(strings.ToLower(v.Rule.Name), strings.ToLower(x.rule))
	}
	return v.Candidate || x.all
}

// values shows what the fields of a term hold.
func values(fields []rules.TermField) string {
	var b strings.Builder
	for _, f := range fields {
		if f.Found {
			fmt.Fprintf(&b, "   [%s is %s]", f.Name, f.Value)
		} else {
			fmt.Fprintf(&b, "   [%s is missing]", f.Name)
		}
	}
	return b.String()
}
