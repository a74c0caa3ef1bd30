//go:build integration && linux

package integration

import (
	"fmt"
	"testing"
	"time"
)

// TestTwoGateways lets a second gateway join the group under load and kills
// the first. Together they deliver what one alone would have.
func TestTwoGateways(t *testing.T) {
	c, want := shared.corpusAndExpectation(t)
	es := shared.elasticsearch(t)
	f := newFeed(t, "group")
	f.produce(c.part(0, 0.3))
	text := f.text(configuration{more: smallBatches})
	one := start(t, text)
	one.awaitRecords(int64(c.total)/20, time.Minute)
	two := start(t, text)
	f.produce(c.part(0.3, 0.5))
	two.awaitMembership(30 * time.Second)
	f.produce(c.part(0.5, 1))
	two.awaitRecords(1, 30*time.Second)
	eventually(t, time.Minute, "bringing 60 % of the records to an outcome", func() error {
		if n := done(f.committed()); n < int64(c.total)*6/10 {
			return fmt.Errorf("%d of %d", n, c.total)
		}
		return nil
	})
	one.kill()
	if n := done(f.committed()); n >= int64(c.total) {
		t.Fatalf("the gateways had finished before one was killed")
	}
	f.awaitCommitted(90 * time.Second)
	es.checkUnnamed(f, want.documents(f), false)
	f.checkLetters(c, want.dead, nil, true)
	two.checkConservation()
	two.terminate(10 * time.Second)
}
