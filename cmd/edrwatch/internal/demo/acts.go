package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sinks/store"
)

// showActs has a line for everything that a responder would be asked to do.
func (s *screen) showActs(ctx context.Context) error {
	page, err := s.store.Search(ctx, store.Query{Streams: []event.Stream{event.Gateway}, Action: "response-taken", Limit: store.MaxLimit})
	if err != nil {
		return fmt.Errorf("reading acts: %w", err)
	}
	for _, d := range slices.Backward(page.Docs) {
		if s.acts[d.ID] {
			continue
		}
		s.acts[d.ID] = true
		var doc struct {
			Timestamp time.Time `json:"@timestamp"`
			Agent     struct{ Type, Version string }
			EDR       struct {
				Content  struct{ Version, Channel string }
				Response struct{ Action, Responder string }
			}
		}
		if err := json.Unmarshal(d.Body, &doc); err != nil {
			return fmt.Errorf("reading act %s: %w", d.ID, err)
		}
		what := []string{doc.EDR.Response.Action}
		for _, part := range []string{doc.Agent.Type, doc.Agent.Version, doc.EDR.Content.Channel, doc.EDR.Content.Version} {
			if part != "" {
				what = append(what, part)
			}
		}
		s.line("  %s UTC  %s", doc.Timestamp.UTC().Format("15:04:05"), s.paint("35", printable("would "+strings.Join(what, " "))+" (a dry run)"))
	}
	return nil
}
