package selfreport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// herd is a fleet of which a test tells what changed.
type herd struct {
	mu      sync.Mutex
	all     []fleet.Record
	changed []fleet.Record
}

func newHerd(n int) *herd {
	h := &herd{all: make([]fleet.Record, n)}
	for i := range h.all {
		received := time.Now().Add(-2 * time.Hour)
		h.all[i] = fleet.Record{
			Entity: fmt.Sprint("e", i), ID: fmt.Sprint("agent", i), Host: fmt.Sprint("h", i), Product: "p", Presence: "silent", State: "protecting", StateLastKnown: true,
			Mode: "kernel", Owner: "team-a", LastSeen: time.Now().Add(-time.Hour), Content: map[string]string{"290": "41", "291": "32"},
			LastContent: &fleet.ContentVersion{Channel: "291", Version: "32", Received: &received},
		}
	}
	return h
}

func (h *herd) part(part, of int) (some []fleet.Record) {
	for i := range h.all {
		if i%of == part {
			some = append(some, h.all[i])
		}
	}
	return some
}

func (h *herd) change(r fleet.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed = append(h.changed, r)
}

func (h *herd) take(int) []fleet.Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := h.changed
	h.changed = nil
	return changed
}

// tellOf runs f until the test ends it.
func tellOf(t *testing.T, h *herd, publish func(context.Context, []*event.Document) error) (stop func()) {
	f := &Fleet{
		Periodic: Periodic{Dictionary: dictionary(t), Period: time.Hour, Publish: publish, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Sent: func(int, bool) {}},
		Agents:   h.part, Changed: h.take,
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func TestEveryAgentIsToldOfOnceAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out box
		stop := tellOf(t, newHerd(300), out.publish)
		time.Sleep(30*time.Minute + time.Second)
		synctest.Wait()
		if n := len(out.all()); n < 75 || n > 225 {
			t.Errorf("%d of 300 agents in half of the period", n)
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		ids := map[string]bool{}
		for _, d := range out.all() {
			ids[d.ID] = true
		}
		if len(out.all()) != 300 || len(ids) != 300 {
			t.Errorf("%d documents with %d ids in a period, want 300", len(out.all()), len(ids))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		stop()
		for _, d := range out.all() {
			ids[d.ID] = true
		}
		if len(ids) != 600 {
			t.Errorf("%d ids in two periods, want 600", len(ids))
		}
		first := out.all()[0]
		for _, want := range []string{
			`"kind":"state"`, `"action":"inventory"`, `"type":["info"]`, `"presence":"silent"`, `"state":"protecting"`, `"state_last_known":true`, `"mode":"kernel"`,
			`"owner":"team-a"`, `"channels":["290:41","291:32"]`, `"channel":"291"`, `"version":"32"`, `"received":"`, `"entity":{"id":"e`,
		} {
			if !strings.Contains(string(first.Body), want) {
				t.Errorf("the document has no %s: %s", want, first.Body)
			}
		}
		if first.Stream != event.Metrics || first.AgentID == "" || first.Latest.ID == "" || first.Latest.Version == 0 {
			t.Errorf("it goes to %s as the state %+v", first.Stream, first.Latest)
		}
	})
}

// TestAChangeIsToldWithinSeconds: and when no sink takes it, it comes again, before
// what changed since.
func TestAChangeIsToldWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out box
		down := true
		var mu sync.Mutex
		h := newHerd(1)
		h.all[0].Presence = "alive"
		silent, back := h.all[0], h.all[0]
		silent.Presence = "silent"
		stop := tellOf(t, h, func(ctx context.Context, docs []*event.Document) error {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return errors.New("no sink takes it")
			}
			return out.publish(ctx, docs)
		})
		defer stop()
		h.change(silent)
		time.Sleep(25 * time.Second)
		h.change(back)
		mu.Lock()
		down = false
		mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		var told []string
		for _, d := range out.all() {
			var doc struct {
				Event struct{ Type []string }
				EDR   struct{ Presence string }
			}
			if err := json.Unmarshal(d.Body, &doc); err != nil {
				t.Fatal(err)
			}
			told = append(told, doc.EDR.Presence+" "+strings.Join(doc.Event.Type, ","))
		}
		if got := fmt.Sprint(told); got != "[silent change alive change]" {
			t.Errorf("told of %s", got)
		}
	})
}
