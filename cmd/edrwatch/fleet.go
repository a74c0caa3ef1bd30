package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/api"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// inventory is where the answers about the fleet come from: a gateway, or a
// capture judged up to its end.
type inventory interface {
	page(q fleet.Query) (fleet.Page, error)
	summary(q fleet.Query) (fleet.Summary, error)
}

// fleetFlags are the options of fleet.
type fleetFlags struct {
	servers []string
	ca      string
	offline offlineFlags
	in      string
	output  string
	summary bool
	query   fleet.Query
}

func fleetCommand() *cobra.Command {
	var f fleetFlags
	cmd := &cobra.Command{
		Use:     "fleet",
		GroupID: "operate",
		Short:   "List the agents: versions, content, mode, state, privileges",
		Long: "fleet asks a running gateway, or with --in judges a capture up to its end, what is known of every agent.\n" +
			"A gateway of several knows the agents of its own partitions: name all of them with --server. Filters are\n" +
			"without regard to case; none selects agents without a value.",
		Example: "  edrwatch fleet --summary\n  edrwatch fleet --product crowdstrike-falcon --behind --output csv > behind.csv\n" +
			"  edrwatch fleet --in july19.capture --presence silent --output json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.servers, "server", strings.Split(defaultServer(), ","), "`URL` of a gateway's API, once for each of several (or EDRWATCH_SERVER, with commas; EDRWATCH_TOKEN is sent as bearer token)")
	flags.StringVar(&f.ca, "ca", "", "trust the certificates of this PEM `FILE`, too")
	flags.StringVarP(&f.in, "in", "i", "", "judge this capture or raw `FILE` instead of asking a gateway")
	flags.StringVarP(&f.offline.config, "config", "c", "", "with --in: take mappings, rules and limits from this configuration `FILE`")
	flags.StringVarP(&f.output, "output", "o", "table", "table, json or csv")
	f.offline.registerPartitions(flags)
	flags.BoolVar(&f.summary, "summary", false, "count the agents instead of listing them")
	flags.StringVar(&f.query.Product, "product", "", "only agents of this `PRODUCT` (agent.type)")
	flags.StringVar(&f.query.Version, "version", "", "only agents of this `VERSION`")
	flags.StringVar(&f.query.Ring, "ring", "", "only agents of this update `RING`")
	flags.StringVar(&f.query.Mode, "mode", "", "only agents in this `MODE`: kernel, ebpf, user, unknown")
	flags.StringVar(&f.query.State, "state", "", "only agents in this `STATE`: protecting, degraded, reduced, disabled, ...")
	flags.StringVar(&f.query.Site, "site", "", "only agents at this `SITE`")
	flags.StringVar(&f.query.Host, "host", "", "only agents on this `HOST`")
	flags.StringVar(&f.query.Presence, "presence", "", "only agents that are `alive`, silent, gone or unknown")
	flags.BoolVar(&f.query.Behind, "behind", false, "only agents older than what most of their product and ring have")
	return cmd
}

func (f *fleetFlags) run(cmd *cobra.Command) error {
	switch f.output {
	case "table", "json", "csv":
	default:
		return unknownOutput(f.output, "table, json or csv")
	}
	if f.summary && f.output == "csv" {
		return unknownOutput(f.output, "table or json for a summary")
	}
	if err := fleet.ParsePresence(f.query.Presence); err != nil {
		return fmt.Errorf("--presence: %w", err)
	}
	from, closeAll, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer closeAll()
	if f.summary {
		sum, err := from.summary(f.query)
		if err != nil {
			return err
		}
		warnPartial(cmd.ErrOrStderr(), &sum.Coverage)
		return printFleetSummary(cmd.OutOrStdout(), f.output, sum)
	}
	return f.list(cmd.OutOrStdout(), cmd.ErrOrStderr(), from)
}

func (f *fleetFlags) open(cmd *cobra.Command) (inventory, func(), error) {
	if f.in == "" {
		from := asked{ctx: cmd.Context()}
		for _, server := range f.servers {
			c, err := (&serverFlags{server, f.ca}).client()
			if err != nil {
				return nil, nil, err
			}
			from.clients = append(from.clients, c)
		}
		return from, func() {}, nil
	}
	job, closeAll, err := f.offline.job(cmd, []string{f.in}, nil, true)
	if err != nil {
		return nil, nil, err
	}
	f.offline.format = "auto"
	if err := runOffline(cmd, &f.offline, job.Job, "", ""); err != nil {
		closeAll()
		return nil, nil, err
	}
	return replayed{cmd.Context(), job.fleet}, closeAll, nil
}

// fleetPage is the number of agents that are asked for at a time.
const fleetPage = 10_000

// list prints all pages; memory holds one of them.
func (f *fleetFlags) list(out, warn io.Writer, from inventory) error {
	q, rows := f.query, newFleetRows(out, f.output)
	q.Limit = fleetPage
	for {
		page, err := from.page(q)
		if err != nil {
			return err
		}
		if err := rows.write(page.Agents); err != nil {
			return err
		}
		if q.After = page.Next; q.After == "" {
			warnPartial(warn, &page.Coverage)
			return rows.end()
		}
	}
}

// warnPartial says which agents are not among those that were listed.
func warnPartial(out io.Writer, c *fleet.Coverage) {
	missing := strings.Join(c.Missing(), ", ")
	switch {
	case !c.Partial:
	case missing == "":
		fmt.Fprintln(out, "edrwatch: the gateway does not know yet which partitions there are: agents may be missing")
	default:
		fmt.Fprintf(out, "edrwatch: only the agents of %s: name the other gateways too, each with --server\n", missing)
	}
}

// fleetRows prints agents in one of the outputs.
type fleetRows struct {
	out    io.Writer
	output string
	csv    *csv.Writer
	table  *tabwriter.Writer
	n      int
}

func newFleetRows(out io.Writer, output string) *fleetRows {
	return &fleetRows{out: out, output: output, csv: csv.NewWriter(out), table: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
}

func (r *fleetRows) write(agents []fleet.Record) error {
	defer func() { r.n += len(agents) }()
	switch r.output {
	case "csv":
		return api.WriteCSV(r.csv, agents, r.n == 0)
	case "json":
		for i := range agents {
			before := ",\n"
			if r.n+i == 0 {
				before = "[\n"
			}
			if err := writeIndented(r.out, before, &agents[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if r.n == 0 && len(agents) > 0 {
		fmt.Fprintln(r.table, "HOST\tPRODUCT\tVERSION\tPRESENCE\tSTATE\tMODE\tRING\tBEHIND\tRUNS AS\tLAST SEEN")
	}
	for i := range agents {
		a := &agents[i]
		host, behind := a.Host, "-"
		if host == "" {
			host = a.ID
		}
		if a.Behind {
			behind = "behind"
		}
		runsAs := strings.TrimSpace(a.Account + " " + a.StartType)
		fmt.Fprintf(r.table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", host, a.Product, dash(a.Version), a.Presence, dash(a.State), dash(a.Mode), dash(a.Ring),
			behind, dash(runsAs), a.LastSeen.Format(time.RFC3339))
	}
	return r.table.Flush()
}

func (r *fleetRows) end() error {
	text := ""
	switch {
	case r.output == "json" && r.n == 0:
		text = "[]\n"
	case r.output == "json":
		text = "\n]\n"
	case r.output == "table" && r.n == 0:
		text = "No agent is known that fits.\n"
	}
	_, err := io.WriteString(r.out, text)
	return err
}

func printFleetSummary(out io.Writer, output string, sum fleet.Summary) error {
	if output == "json" {
		return printJSON(out, sum)
	}
	fmt.Fprintf(out, "%d agents, %d behind the usual version of their ring; last heard %s\n", sum.Agents, sum.Behind, sum.Newest.Format(time.RFC3339))
	for _, t := range sum.Tables {
		if len(t.Counts) == 0 {
			continue
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "\n%s\tAGENTS\n", strings.ToUpper(strings.Join(t.By, "\t")))
		for _, c := range t.Counts {
			for _, v := range c.Values {
				fmt.Fprintf(w, "%s\t", dash(v))
			}
			fmt.Fprintf(w, "%d\n", c.Agents)
		}
		if t.Others > 0 {
			fmt.Fprintf(w, "(others)%s\t%d\n", strings.Repeat("\t", len(t.By)-1), t.Others)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}
