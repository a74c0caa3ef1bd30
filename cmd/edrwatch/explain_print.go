package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
)

// alert takes note of an alert of the rules that are asked about.
func (x *explainer) alert(a *event.Event) {
	id, name := a.Str(ecs.RuleID), a.Str(ecs.RuleName)
	if !x.about(&rules.Rule{ID: id, Name: name}) {
		return
	}
	if x.raised++; len(x.alerts) < maxExplainedAlerts {
		x.alerts = append(x.alerts, explainedAlert{
			RuleID: strings.Clone(id), Rule: strings.Clone(name), Time: string(event.AppendTime(nil, a.Timestamp())),
			Status: strings.Clone(a.Str(ecs.EDRAlertStatus)), Reason: strings.Clone(a.Str(ecs.EDRAlertReason)),
		})
	}
}

// explainText explains to people.
type explainText struct {
	w       io.Writer
	byName  bool // A rule was asked about.
	records int
}

func (t *explainText) record(r *explained) error {
	t.records++
	var b strings.Builder
	fmt.Fprintf(&b, "line %d\n", r.Line)
	if r.Error != "" {
		fmt.Fprintf(&b, "  cannot be used: %s\n", r.Error)
	}
	if r.Note != "" {
		fmt.Fprintf(&b, "  note     %s\n", r.Note)
	}
	for i := range r.Events {
		e := &r.Events[i]
		mapping := e.Mapping
		if mapping == "" {
			mapping = "none (event.action: other)"
		}
		fmt.Fprintf(&b, "  mapping  %s\n  event    %s\n", mapping, e.Event)
		for _, f := range e.Fields {
			fmt.Fprintf(&b, "  field    %s is %s   [%s]\n", f.Name, f.Value, f.Origin)
		}
		for _, v := range e.Verdicts {
			fmt.Fprintf(&b, "  %-7s  %s (%s)\n", v.Result, v.Rule.Name, v.Role)
			for _, term := range v.Terms {
				fmt.Fprintf(&b, "           %s%-7s  %s%s\n", strings.Repeat("  ", term.Depth), term.Result, term.Text, values(term.Fields))
			}
		}
		switch {
		case len(e.Verdicts) > 0:
		case t.byName:
			fmt.Fprintf(&b, "  no rule is called that; edrwatch rules list shows which there are\n")
		default:
			fmt.Fprintf(&b, "  no rule is a candidate; --all shows the others\n")
		}
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

func (t *explainText) finish(end *explainedEnd) error {
	var b strings.Builder
	fmt.Fprintf(&b, "all %s together\n", counted(t.records, "record"))
	for _, a := range end.Alerts {
		fmt.Fprintf(&b, "  alert    %s: at %s, %s: %s\n", a.Rule, a.Time, a.Status, a.Reason)
	}
	if end.More > 0 {
		fmt.Fprintf(&b, "  alert    and %d more; edrwatch replay writes all\n", end.More)
	}
	for _, m := range end.Misses {
		fmt.Fprintf(&b, "  miss     %s: %s\n", m.Rule.Name, m.Text(func(ns int64) string { return string(event.AppendTime(nil, ns)) }))
	}
	if len(end.Alerts)+len(end.Misses) == 0 {
		fmt.Fprintf(&b, "  no alert, and no condition was true; --rule TEXT shows how near a rule came\n")
	}
	_, err := io.WriteString(t.w, b.String())
	return err
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

// explainJSON explains to programs: one object a line, the last of which has
// alerts and misses.
type explainJSON struct{ enc *json.Encoder }

func newExplainJSON(w io.Writer) *explainJSON {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &explainJSON{enc}
}

func (j *explainJSON) record(r *explained) error {
	if r.Events == nil {
		r.Events = []explainedEvent{}
	}
	return j.enc.Encode(r)
}

func (j *explainJSON) finish(end *explainedEnd) error {
	if end.Alerts == nil {
		end.Alerts = []explainedAlert{}
	}
	if end.Misses == nil {
		end.Misses = []*rules.NearMiss{}
	}
	return j.enc.Encode(end)
}

// MarshalJSON writes the event as it is stored, and the verdicts with the ids
// of their rules.
func (e *explainedEvent) MarshalJSON() ([]byte, error) {
	type field struct {
		Name   string          `json:"name"`
		Value  json.RawMessage `json:"value"`
		Origin string          `json:"origin"`
	}
	type verdict struct {
		RuleID    string       `json:"rule_id"`
		Rule      string       `json:"rule"`
		Role      string       `json:"role"`
		Candidate bool         `json:"candidate"`
		Result    string       `json:"result"`
		Clauses   []rules.Term `json:"clauses"`
	}
	fields, verdicts := []field{}, []verdict{}
	for _, f := range e.Fields {
		fields = append(fields, field{f.Name, json.RawMessage(f.Value), f.Origin})
	}
	for _, v := range e.Verdicts {
		verdicts = append(verdicts, verdict{v.Rule.ID, v.Rule.Name, v.Role, v.Candidate, v.Result, v.Terms})
	}
	return json.Marshal(map[string]any{"mapping": e.Mapping, "event": json.RawMessage(e.Event), "fields": fields, "verdicts": verdicts})
}
