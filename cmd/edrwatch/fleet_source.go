package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/client"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// asked is the inventory of running gateways, each with partitions of its own.
type asked struct {
	ctx     context.Context //nolint:containedctx // It lives as long as one command.
	clients []*client.Client
}

func (a asked) page(q fleet.Query) (fleet.Page, error) {
	pages, err := askAll(a, func(ctx context.Context, c *client.Client) (fleet.Page, error) { return c.Inventory(ctx, q) })
	if err != nil {
		return fleet.Page{}, err
	}
	return fleet.MergePages(q.Limit, pages...), nil
}

func (a asked) summary(q fleet.Query) (fleet.Summary, error) {
	sums, err := askAll(a, func(ctx context.Context, c *client.Client) (fleet.Summary, error) { return c.Summary(ctx, q) })
	if err != nil {
		return fleet.Summary{}, err
	}
	return fleet.MergeSummaries(sums...), nil
}

// askAll asks all gateways at once, and needs an answer of each: agents of one
// that is left out would look as if they did not exist.
func askAll[T any](a asked, ask func(context.Context, *client.Client) (T, error)) ([]T, error) {
	answers := make([]T, len(a.clients))
	group, ctx := errgroup.WithContext(a.ctx)
	for i, c := range a.clients {
		group.Go(func() (err error) {
			answers[i], err = ask(ctx, c)
			return err
		})
	}
	return answers, group.Wait()
}

// replayed is the inventory at the end of a capture.
type replayed struct {
	ctx context.Context //nolint:containedctx // It lives as long as one command.
	f   *fleet.Fleet
}

func (r replayed) page(q fleet.Query) (fleet.Page, error)       { return r.f.Inventory(r.ctx, q) }
func (r replayed) summary(q fleet.Query) (fleet.Summary, error) { return r.f.Summarize(r.ctx, q) }

// writeIndented writes one element of a JSON array.
func writeIndented(w io.Writer, before string, v any) error {
	text, err := json.MarshalIndent(v, "  ", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s  %s", before, text)
	return err
}
