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

// TestRolloutsAreToldHourlyAndWhenTheVerdictChanges also holds that what no sink
// took comes again.
func TestRolloutsAreToldHourlyAndWhenTheVerdictChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		verdict := fleet.Hold
		list := func() []fleet.Rollout {
			mu.Lock()
			defer mu.Unlock()
			r := fleet.Rollout{
				Product: "a", Kind: fleet.Content, Channel: "291", Version: "32", AlertKey: "a/content 291 32", CurrentRing: "canary", Exposed: 60, AtRisk: 58, Fleet: 600, Harmed: 2,
				Verdict: verdict, FirstExposure: time.Now(), LastExposure: time.Now(),
			}
			if verdict == fleet.Hold {
				r.Reasons = []fleet.Reason{{What: "time since the first", Have: "5m0s", Need: "1h0m0s"}}
			} else {
				r.Caveats = []string{"nobody was left to compare with"}
			}
			return []fleet.Rollout{r}
		}
		var b box
		sent := map[bool]int{}
		r := &Rollouts{
			Periodic: Periodic{
				Dictionary: dictionary(t), Period: time.Hour, Publish: b.publish, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
				Sent: func(n int, ok bool) { sent[ok] += n },
			},
			List: list,
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		change := func(to fleet.Verdict) {
			mu.Lock()
			defer mu.Unlock()
			verdict = to
		}
		b.fail(errors.New("down"))
		time.Sleep(3*time.Minute + 30*time.Second) // of the bubble
		b.fail(nil)
		time.Sleep(27 * time.Minute)
		change(fleet.Continue)
		time.Sleep(80 * time.Minute)
		change(fleet.Hold)
		time.Sleep(2 * time.Minute)
		cancel()
		running.Wait()
		var got []string
		for _, d := range b.all() {
			var x struct {
				At    time.Time `json:"@timestamp"`
				Event struct{ Action, Kind, Dataset string }
				EDR   struct {
					Rollout struct {
						Key, Verdict, Ring, Version string
						Reasons                     []string
						Exposed, Harmed, Fleet      int
					}
				}
			}
			if err := json.Unmarshal(d.Body, &x); err != nil {
				t.Fatal(err)
			}
			if x.Event.Action != "rollout-judged" || x.Event.Kind != "state" || d.Stream != event.Gateway || x.EDR.Rollout.Key != "a/content 291 32" || x.EDR.Rollout.Exposed != 60 {
				t.Errorf("document %s", d.Body)
			}
			got = append(got, fmt.Sprintf("%s %s %s", x.At.Format("15:04"), x.EDR.Rollout.Verdict, strings.Join(x.EDR.Rollout.Reasons, "; ")))
		}
		want := `00:04 hold time since the first (5m0s, needed 1h0m0s)
00:31 continue nobody was left to compare with
01:00 continue nobody was left to compare with
01:51 hold time since the first (5m0s, needed 1h0m0s)`
		if text := strings.Join(got, "\n"); text != want {
			t.Errorf("told\n%s\nwant\n%s", text, want)
		}
		if sent[true] != 4 || sent[false] != 3 {
			t.Errorf("counted %v", sent)
		}
	})
}
