package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/client"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// asked is the inventory of a running gateway.
type asked struct {
	ctx context.Context //nolint:containedctx // It lives as long as one command.
	c   *client.Client
}

func (a asked) page(q fleet.Query) (fleet.Page, error)       { return a.c.Inventory(a.ctx, q) }
func (a asked) summary(q fleet.Query) (fleet.Summary, error) { return a.c.Summary(a.ctx, q) }

// replayed is the inventory at the end of a capture.
type replayed struct{ f *fleet.Fleet }

func (r replayed) page(q fleet.Query) (fleet.Page, error)       { return r.f.Inventory(q), nil }
func (r replayed) summary(q fleet.Query) (fleet.Summary, error) { return r.f.Summarize(q), nil }

// writeIndented writes one element of a JSON array.
func writeIndented(w io.Writer, before string, v any) error {
	text, err := json.MarshalIndent(v, "  ", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s  %s", before, text)
	return err
}
