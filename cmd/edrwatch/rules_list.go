package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
)

func rulesListCommand() *cobra.Command {
	var output string
	var costs bool
	var server serverFlags
	cmd := &cobra.Command{
		Use:   "list [DIR…]",
		Short: "List rules, or with --costs what each takes in a running gateway",
		Long: "list shows the rules of the directories (the shipped library without any), and whether each is judged by partition (its key is an agent or a host)\n" +
			"or once for the whole fleet. With --costs it asks a running gateway for those\n" +
			"that it runs, the most expensive first: events for which the condition was evaluated, was true, was unknown because a field was missing, or could\n" +
			"not be computed, alert documents, nanoseconds for a candidate, seconds in all, keys, bytes of state, and evictions because a limit was reached.",
		Example: "  edrwatch rules list my-rules\n  edrwatch rules list --costs --server http://127.0.0.1:8686",
		RunE: func(cmd *cobra.Command, args []string) error {
			if costs {
				if len(args) > 0 {
					return fmt.Errorf("--costs: a gateway runs its own rules, found the directory %s", args[0])
				}
				return listCosts(cmd, &server, output)
			}
			detection, err := detectionOf(args)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), app.RuleList(detection.Rules))
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "SEVERITY\tTYPE\tKIND\tJUDGED\tNAME\tFILE")
			for _, r := range detection.Rules.Rules() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Severity, r.Type, r.Kind, r.Judged(), r.Name, r.File)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&costs, "costs", false, "ask a running gateway what each of its rules costs")
	server.register(cmd)
	outputFlag(cmd, &output)
	return cmd
}

// listCosts asks a gateway for its rules.
func listCosts(cmd *cobra.Command, server *serverFlags, output string) error {
	c, err := server.client()
	if err != nil {
		return err
	}
	list, err := c.Rules(cmd.Context())
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(r api.Rule) bool { return r.Cost == nil })
	slices.SortFunc(list, func(a, b api.Rule) int {
		return cmp.Or(cmp.Compare(b.Cost.Seconds, a.Cost.Seconds), cmp.Compare(b.Cost.StateBytes, a.Cost.StateBytes), cmp.Compare(a.Name, b.Name))
	})
	if output == "json" {
		return writeJSON(cmd.OutOrStdout(), list)
	}
	return writeCosts(cmd.OutOrStdout(), list)
}

// writeCosts writes the table of costs.
func writeCosts(out io.Writer, list []api.Rule) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "CANDIDATES\tMATCHES\tABSENT\tERRORS\tALERTS\tNS/CAND\tSECONDS\tKEYS\tSTATE KiB\tEVICTED\t NAME")
	for i := range list {
		r := &list[i]
		c := r.Cost
		var evicted uint64
		for _, n := range c.Evictions {
			evicted += n
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%.0f\t%.3f\t%d\t%d\t%d\t %s\n", c.Candidates, c.Matches, c.Absent, c.Errors, c.Alerts, c.Nanoseconds,
			c.Seconds, c.Keys, (c.StateBytes+1023)/1024, evicted, r.Name)
	}
	return w.Flush()
}
