package app

import (
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline"
)

// TestFleetSaysWhatItWaitsFor: who looks at a quiet console has to see that the
// gateway cannot know yet.
func TestFleetSaysWhatItWaitsFor(t *testing.T) {
	closed := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name             string
		paced            pipeline.PaceStatus
		transit, skipped []string
		says, reason     string
		partial          bool
	}{
		{name: "up to date", paced: pipeline.PaceStatus{Closed: closed, Target: closed.Add(10 * time.Second), Holding: []string{"t[0]p"}}},
		{name: "nothing came yet"},
		{
			name: "a backlog", paced: pipeline.PaceStatus{Closed: closed, Target: closed.Add(time.Hour), Holding: []string{"t[3]prefix", "t[4]prefix"}},
			says: "catching up: the fleet is judged up to 2024-07-19T04:00:00Z, waiting for t[3] and 1 more", reason: catchingUp,
		},
		{
			name: "a takeover", paced: pipeline.PaceStatus{Closed: closed, Target: closed.Add(time.Minute)}, transit: []string{"t[1]p"},
			says: "no gateway tells of t[1]", reason: inTransit,
		},
		{
			name: "one stands still", paced: pipeline.PaceStatus{Closed: closed, Target: closed, Left: []string{"t[1]p"}}, skipped: []string{"t[1]p"},
			says: "the fleet is judged without t[1], whose agents", reason: leftOut, partial: true,
		},
	} {
		s := fleetStatusOf(tc.paced, tc.transit, tc.skipped)
		if !strings.HasPrefix(s.Text, tc.says) || tc.says == "" && s.Text != "" || s.Partial != tc.partial {
			t.Errorf("%s: %+v", tc.name, s)
		}
		if tc.reason != "" && (len(s.Waiting) != 1 || s.Waiting[0].Reason != tc.reason) {
			t.Errorf("%s: waits for %+v", tc.name, s.Waiting)
		}
	}
}
