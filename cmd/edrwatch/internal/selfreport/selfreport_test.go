package selfreport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// box keeps what is published.
type box struct {
	mu   sync.Mutex
	docs []*event.Document
	err  error
}

// all returns what was published so far.
func (b *box) all() []*event.Document {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.docs)
}

// fail makes publishing fail, or work again.
func (b *box) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *box) publish(_ context.Context, docs []*event.Document) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.docs = append(b.docs, docs...)
	return nil
}

func dictionary(t *testing.T) *ecs.Dictionary {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	return dict
}

func TestGatewayTellsOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out box
		failed := 0
		lag := int64(7)
		started := time.Now()
		g := &Gateway{
			Dictionary: dictionary(t), Interval: time.Minute, Publish: out.publish, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			Status: func() Status {
				return Status{Name: "gw", Version: "1", Records: 10, Lag: &lag, Failing: []string{"sink es"}, Started: started}
			},
			Sent: func(_ string, ok bool) {
				if !ok {
					failed++
				}
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { g.Run(ctx); close(done) }()
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		out.fail(errors.New("down"))
		time.Sleep(time.Minute)
		synctest.Wait()
		out.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		g.Reloaded(ctx, "rules", errors.New("line 3"))
		cancel()
		<-done
		g.Stopped(t.Context(), "stopped in order")
		var actions []string
		ids := map[string]bool{}
		for _, d := range out.all() {
			actions = append(actions, d.Action)
			ids[d.ID] = true
			if d.Stream != event.Gateway || d.AgentID != "" {
				t.Errorf("%s goes to %s, agent %q", d.Action, d.Stream, d.AgentID)
			}
		}
		if got, want := fmt.Sprint(actions), "[gateway-started gateway-heartbeat gateway-heartbeat gateway-heartbeat gateway-reloaded gateway-stopped]"; got != want {
			t.Errorf("told of %s, want %s", got, want)
		}
		if len(ids) != len(out.all()) || failed != 1 {
			t.Errorf("%d ids of %d documents, %d failed, want 1", len(ids), len(out.all()), failed)
		}
		var told struct {
			Event struct{ Dataset, Kind, Outcome string }
			EDR   struct {
				Gateway struct {
					Name         string
					Records, Lag int64
					Uptime       int64
					Failing      []string
				}
			}
		}
		if err := json.Unmarshal(out.all()[2].Body, &told); err != nil {
			t.Fatal(err)
		}
		if g := told.EDR.Gateway; told.Event.Dataset != "edr.gateway" || told.Event.Kind != "metric" || g.Name != "gw" || g.Records != 10 || g.Lag != 7 || g.Uptime != 120 || len(g.Failing) != 1 {
			t.Errorf("heartbeat: %s", out.all()[2].Body)
		}
		if err := json.Unmarshal(out.all()[4].Body, &told); err != nil || told.Event.Outcome != "failure" {
			t.Errorf("a reload that failed: %s", out.all()[4].Body)
		}
	})
}
