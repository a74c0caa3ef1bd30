package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

func unknownOutput(output, known string) error {
	return fmt.Errorf("--output: expected %s, found %q", known, output)
}

func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// versionName is how people call a version.
func versionName(r *fleet.Rollout) string {
	return strings.Join(strings.Fields(r.Kind+" "+r.Channel+" "+r.Version), " ")
}

func printRollouts(w io.Writer, output string, list []fleet.Rollout) error {
	switch output {
	case "json":
		return printJSON(w, list)
	case "text":
	default:
		return unknownOutput(output, "text or json")
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "No agent got a new version recently.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PRODUCT\tVERSION\tVERDICT\tRING\tEXPOSED\tAT RISK\tFLEET\tFAILED\tFIRST\tLATEST")
	for i := range list {
		r := &list[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", r.Product, versionName(r), r.Verdict, dash(r.CurrentRing), r.Exposed, r.AtRisk, r.Fleet, r.Harmed,
			r.FirstExposure.Format(time.RFC3339), r.LastExposure.Format(time.RFC3339))
	}
	return t.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// summaryOf is a verdict in one line.
func summaryOf(r *fleet.Rollout) string {
	text := fmt.Sprintf("%s: %s %s, %d agents got it, %d failed", r.Verdict, r.Product, versionName(r), r.Exposed, r.Harmed)
	for _, reason := range r.Reasons {
		text += "; " + reason.What
		if reason.Need != "" {
			text += fmt.Sprintf(" (%s, needed %s)", reason.Have, reason.Need)
		}
	}
	for _, caveat := range r.Caveats {
		text += "; " + caveat
	}
	return text
}

func printVerdict(w io.Writer, output string, r *fleet.Rollout) error {
	switch output {
	case "json":
		return printJSON(w, r)
	case "text":
		if r.Version == "" {
			_, err := fmt.Fprintln(w, "hold: no agent got the version yet")
			return err
		}
		_, err := fmt.Fprintln(w, summaryOf(r))
		return err
	}
	return unknownOutput(output, "text or json")
}

func printRollout(w io.Writer, output string, r *fleet.Rollout) error {
	switch output {
	case "json":
		return printJSON(w, r)
	case "text", "markdown":
		_, err := io.WriteString(w, rolloutReport(r, output == "markdown"))
		return err
	}
	return unknownOutput(output, "text, markdown or json")
}

// report collects the lines of a report, as text or Markdown.
type report struct {
	strings.Builder
	markdown bool
}

func (b *report) heading(level int, text string) {
	if b.markdown {
		fmt.Fprintf(b, "%s %s\n\n", strings.Repeat("#", level), text)
		return
	}
	fmt.Fprintf(b, "%s\n", strings.ToUpper(text))
}

func (b *report) item(name, format string, args ...any) {
	if b.markdown {
		fmt.Fprintf(b, "- **%s**: %s\n", name, fmt.Sprintf(format, args...))
		return
	}
	fmt.Fprintf(b, "  %-28s %s\n", name, fmt.Sprintf(format, args...))
}

func (b *report) table(header []string, rows [][]string) {
	if b.markdown {
		fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
		for _, row := range rows {
			fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		}
		return
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(t, "  "+strings.Join(row, "\t"))
	}
	_ = t.Flush() // It writes to memory.
}

// rolloutReport writes all that is known of a version for people.
func rolloutReport(r *fleet.Rollout, markdown bool) string {
	b := &report{markdown: markdown}
	b.heading(1, fmt.Sprintf("%s, %s: %s", r.Product, versionName(r), r.Verdict))
	for _, reason := range r.Reasons {
		need := ""
		if reason.Need != "" {
			need = fmt.Sprintf(": %s, needed %s", reason.Have, reason.Need)
		}
		b.item(string(r.Verdict), "%s%s", reason.What, need)
	}
	for _, caveat := range r.Caveats {
		b.item("mind", "%s", caveat)
	}
	b.item("exposed", "%d agents got it, %d of the %d that live have it; ring %s", r.Exposed, r.AtRisk, r.Fleet, dash(r.CurrentRing))
	b.item("exposures", "%s to %s", r.FirstExposure.Format(time.RFC3339), r.LastExposure.Format(time.RFC3339))
	b.item("failed", "%d agents at %d of %d sites", r.Harmed, r.SitesHarmed, r.Sites)
	if r.FirstHarm != nil {
		b.item("first failure", "%s", r.FirstHarm.Format(time.RFC3339))
	}
	if len(r.HarmedHosts) > 0 {
		b.item("hosts", "%s", strings.Join(r.HarmedHosts[:min(len(r.HarmedHosts), 20)], ", "))
	}
	if r.ControlGone {
		b.item("control", "nobody is left without it: only silence, and what the ring did before, can be judged")
	}
	b.WriteByte('\n')
	b.heading(2, "Comparison with agents that do not have it")
	var rows [][]string
	for _, c := range r.Comparison {
		ratio := "-"
		if c.Ratio != nil {
			ratio = fmt.Sprintf("%.1f", *c.Ratio)
		}
		rows = append(rows, []string{c.Failure, fmt.Sprint(c.With), fmt.Sprintf("%.1f", c.Expected), fmt.Sprint(c.Without), ratio, interval(c), fmt.Sprintf("%.1f", c.LogE)})
	}
	b.table([]string{"failure", "with it", "expected", "without", "rate ratio", "95 %", fmt.Sprintf("log e (alarm %.1f)", r.Alarm)}, rows)
	b.WriteByte('\n')
	if len(r.Rings) > 0 {
		b.heading(2, "Rings")
		rows = nil
		for _, ring := range r.Rings {
			kept := "kept"
			if !ring.SoakKept {
				kept = "cut short"
			} else if ring.Soaked < ring.Soak {
				kept = "goes on"
			}
			rows = append(rows, []string{dash(ring.Name), fmt.Sprint(ring.Exposed), fmt.Sprint(ring.AtRisk), ring.FirstExposure.Format(time.RFC3339),
				fmt.Sprintf("%s of %s, %s", untilText(&ring.Soaked), untilText(&ring.Soak), kept), untilText(&ring.Compared),
				fmt.Sprintf("%d of %.1f", ring.Before.Failed, ring.Before.Expected)})
		}
		b.table([]string{"ring", "exposed", "at risk", "first", "soak", "compared for", "failed of as many as before"}, rows)
		b.WriteByte('\n')
	}
	b.conformance(&r.Conformance)
	return b.String()
}

func interval(c fleet.Compared) string {
	if c.Low == nil && c.High == nil {
		return "-"
	}
	low, high := "0", "∞"
	if c.Low != nil {
		low = fmt.Sprintf("%.1f", *c.Low)
	}
	if c.High != nil {
		high = fmt.Sprintf("%.1f", *c.High)
	}
	return low + " to " + high
}

func (b *report) conformance(s *fleet.SDP) {
	b.heading(2, "Safe deployment practice")
	yes := map[bool]string{true: "yes", false: "no"}
	b.item("in phases", "%s: %d rings, the first was %.0f %% of the fleet", yes[s.Phased], s.RingsUsed, s.FirstRing*100)
	b.item("1 / 50 / 90 % of the fleet", "after %s / %s / %s", untilText(s.To1Percent), untilText(s.To50Percent), untilText(s.To90Percent))
	b.item("fastest", "%.2f %% of the fleet a minute", s.FastestPerMin)
	b.item("longest pause", "%s", untilText(&s.LongestPause))
	b.item("diversity", "%d operating systems, %d types of hosts, %d sites", s.OS, s.HostTypes, s.Sites)
	if s.HarmToStop != nil {
		state := ""
		if s.Spreading {
			state = ", and it still spreads"
		}
		b.item("from harm to stop", "%s%s", untilText(s.HarmToStop), state)
	}
}

func untilText(s *float64) string {
	if s == nil {
		return "(not yet)"
	}
	return (time.Duration(*s) * time.Second).String()
}
