package api

import (
	"context"
	"encoding/csv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Inventory tells what is known of the agents. Its methods are called by many
// goroutines.
type Inventory interface {
	Inventory(ctx context.Context, q fleet.Query) (fleet.Page, error)
	Summarize(ctx context.Context, q fleet.Query) (fleet.Summary, error)
	List(ctx context.Context, q fleet.Query, by string, desc bool, offset int) (records []fleet.Record, total int, err error)
	// Coverage says which partitions the agents are of.
	Coverage() fleet.Coverage
}

// Agents on a page of the inventory.
const (
	inventoryLimit    = 1000
	maxInventoryLimit = 50_000
)

func inventoryQuery(p *params) fleet.Query {
	q := fleet.Query{
		Product: p.text("product"), Version: p.text("version"), Ring: p.text("ring"), Mode: p.text("mode"), State: p.text("state"),
		Site: p.text("site"), Presence: p.text("presence"), Host: p.text("host"), Content: p.text("content"), Text: p.text("q"), Behind: p.boolean("behind"),
	}
	if err := fleet.ParsePresence(q.Presence); err != nil {
		p.fail("presence", "%v", err)
	}
	return q
}

func (d *Data) inventorySummary(r *http.Request) (any, error) {
	p := readParams(r.URL.RawQuery)
	q := inventoryQuery(p)
	if err := p.done(); err != nil {
		return nil, err
	}
	sum, err := d.agents.Summarize(r.Context(), q)
	sum.Coverage = d.agents.Coverage()
	return sum, err
}

// inventory answers with a page of agents, as JSON, or as CSV where the
// question asks for it by format=csv or by Accept. The next page of CSV is
// named in a Link header, and what it does not cover in Edrwatch-Partial.
func (d *Data) inventory(w http.ResponseWriter, r *http.Request) {
	p := readParams(r.URL.RawQuery)
	q := inventoryQuery(p)
	q.After = p.text("after")
	if q.Limit = p.number("limit", 1, maxInventoryLimit); q.Limit == 0 {
		q.Limit = inventoryLimit
	}
	format := p.text("format")
	switch format {
	case "json", "csv":
	case "":
		format = "json"
		if accept := r.Header.Get("Accept"); strings.Contains(accept, "text/csv") && !strings.Contains(accept, "json") {
			format = "csv"
		}
	default:
		p.fail("format", "expected json or csv, found %q", format)
	}
	if err := p.done(); err != nil {
		d.failure(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), d.cfg.QueryTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	page, err := d.agents.Inventory(ctx, q)
	if err != nil {
		d.failure(w, r, err)
		return
	}
	page.Coverage = d.agents.Coverage()
	w.Header().Add("Vary", "Accept")
	if format == "json" {
		respond(w, http.StatusOK, page)
		return
	}
	if page.Partial {
		w.Header().Set("Edrwatch-Partial", strings.Join(page.Missing(), ", "))
	}
	if page.Next != "" {
		values := p.values
		values.Set("after", page.Next)
		w.Header().Set("Link", "<"+r.URL.Path+"?"+values.Encode()+`>; rel="next"`)
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", `attachment; filename="fleet.csv"`)
	w.Header().Set("Cache-Control", "no-store")
	_ = WriteCSV(csv.NewWriter(w), page.Agents, true) // A reader that went away is not our concern.
}

// WriteCSV writes agents as CSV: the fields of fleet.Record under the names of
// its JSON, content as channel=version joined by spaces. A text that a
// spreadsheet would take for a formula begins with an apostrophe.
func WriteCSV(w *csv.Writer, agents []fleet.Record, header bool) error {
	if header {
		if err := w.Write([]string{
			"id", "host", "host_id", "product", "version", "presence", "state", "mode", "ring", "site", "os", "host_type", "model", "content",
			"account", "start_type", "protected", "behind", "cadence_seconds", "first_seen", "last_seen",
			"entity", "since", "state_last_known", "last_content", "last_content_received", "owner",
		}); err != nil {
			return err
		}
	}
	for i := range agents {
		a := &agents[i]
		protected := ""
		if a.Protected != nil {
			protected = strconv.FormatBool(*a.Protected)
		}
		row := []string{
			a.ID, a.Host, a.HostID, a.Product, a.Version, a.Presence, a.State, a.Mode, a.Ring, a.Site, a.OS, a.HostType, a.Model, contentText(a.Content),
			a.Account, a.StartType, protected, strconv.FormatBool(a.Behind), strconv.FormatFloat(a.Cadence, 'f', -1, 64),
			a.FirstSeen.Format(time.RFC3339Nano), a.LastSeen.Format(time.RFC3339Nano),
			a.Entity, timeText(a.Since), strconv.FormatBool(a.StateLastKnown), a.LastContent.String(), receivedText(a.LastContent), a.Owner,
		}
		for j := range row {
			if row[j] != "" && strings.ContainsRune("=+-@\t\r", rune(row[j][0])) {
				row[j] = "'" + row[j]
			}
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func timeText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

func receivedText(c *fleet.ContentVersion) string {
	if c == nil {
		return ""
	}
	return timeText(c.Received)
}

func contentText(content map[string]string) string {
	var list []string
	for channel, version := range content {
		if channel != "" {
			version = channel + "=" + version
		}
		list = append(list, version)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
