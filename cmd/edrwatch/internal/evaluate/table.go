package evaluate

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Row sums the scores of one scenario's runs up: one row an incident, and one
// for what was raised without a reason.
type Row struct {
	Scenario, Incident string
	Runs               int
	Found              int
	OnTime             int // found within the incident's limit; all of them where it has none
	Median, Worst      time.Duration
	Named              int           // runs in which the version was named
	NamedMedian        time.Duration // from the start to the alert that named it
	NamedWorst         time.Duration
	Precision, Recall  float64
	Rollback, Hold     int
	Dark               float64 // median
	False              int     // alerts above info that nothing explains
	AgentDays          float64
	Rules              map[string]int // false alerts by rule
}

// FalsePer1000 is the number of false alerts for 1,000 agent-days.
func (r Row) FalsePer1000() float64 {
	if r.AgentDays == 0 {
		return 0
	}
	return float64(r.False) / r.AgentDays * 1000
}

// Summarize sums up, in the order in which scenarios and incidents first occur.
// The false alerts of a scenario stand in the row without an incident.
func Summarize(scores []Score) []Row {
	var rows []Row
	times, names, dark := map[int][]time.Duration{}, map[int][]time.Duration{}, map[int][]float64{}
	row := func(scenario, incident string) int {
		for i := range rows {
			if rows[i].Scenario == scenario && rows[i].Incident == incident {
				return i
			}
		}
		rows = append(rows, Row{Scenario: scenario, Incident: incident, Rules: map[string]int{}})
		return len(rows) - 1
	}
	for _, s := range scores {
		i := row(s.Scenario, "")
		r := &rows[i]
		r.Runs++
		r.False += len(s.False)
		r.AgentDays += float64(s.Agents) * s.Days
		for _, a := range s.False {
			r.Rules[a.Rule]++
		}
		for _, incident := range s.Incidents {
			i := row(s.Scenario, incident.ID)
			r := &rows[i]
			r.Runs++
			if !incident.Found {
				continue
			}
			r.Found++
			if incident.Within == 0 || incident.After <= incident.Within {
				r.OnTime++
			}
			times[i] = append(times[i], incident.After)
			dark[i] = append(dark[i], incident.Dark)
			if incident.Named {
				r.Named++
				names[i] = append(names[i], incident.NamedIn)
			}
			r.Precision += incident.Precision
			r.Recall += incident.Recall
			switch incident.Verdict {
			case "rollback":
				r.Rollback++
			case "hold":
				r.Hold++
			}
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.Found > 0 {
			r.Precision /= float64(r.Found)
			r.Recall /= float64(r.Found)
		}
		r.Median, r.Worst = spread(times[i])
		r.NamedMedian, r.NamedWorst = spread(names[i])
		if d := dark[i]; len(d) > 0 {
			slices.Sort(d)
			r.Dark = d[len(d)/2]
		}
	}
	return rows
}

func spread(of []time.Duration) (median, worst time.Duration) {
	if len(of) == 0 {
		return 0, 0
	}
	slices.Sort(of)
	return of[len(of)/2], of[len(of)-1]
}

// WriteTable writes the rows for people.
func WriteTable(w io.Writer, rows []Row) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "SCENARIO\tINCIDENT\tFOUND\tON TIME\tMEDIAN\tWORST\tVERSION NAMED\tHOSTS P/R\tVERDICT\tDARK\tFALSE/1000 AGENT-DAYS")
	for _, r := range rows {
		if r.Incident == "" {
			fmt.Fprintf(table, "%s\t\t\t\t\t\t\t\t\t\t%.2f (%d)%s\n", r.Scenario, r.FalsePer1000(), r.False, rules(r.Rules))
			continue
		}
		named, verdict := "-", "-"
		if r.Named > 0 {
			named = fmt.Sprintf("%d: %s, worst %s", r.Named, r.NamedMedian.Round(time.Second), r.NamedWorst.Round(time.Second))
		}
		if r.Rollback+r.Hold > 0 {
			verdict = fmt.Sprintf("rollback %d, hold %d", r.Rollback, r.Hold)
		}
		fmt.Fprintf(table, "%s\t%s\t%d/%d\t%d\t%s\t%s\t%s\t%.2f/%.2f\t%s\t%.1f %%\t\n", r.Scenario, r.Incident, r.Found, r.Runs, r.OnTime,
			r.Median.Round(time.Second), r.Worst.Round(time.Second), named, r.Precision, r.Recall, verdict, r.Dark*100)
	}
	return table.Flush()
}

func rules(counts map[string]int) string {
	var list []string
	for name, n := range counts {
		list = append(list, fmt.Sprintf("%s: %d", name, n))
	}
	slices.Sort(list)
	if len(list) == 0 {
		return ""
	}
	return " " + strings.Join(list, "; ")
}
