package event

import (
	"testing"
	"time"
)

// TestAlertVersionsAreInOrder: later ones are greater, resolved is the greatest
// whenever it is said, and all fit Elasticsearch's external versions.
func TestAlertVersionsAreInOrder(t *testing.T) {
	at := time.Date(2024, 7, 19, 4, 9, 0, 0, time.UTC).UnixNano()
	last := int64(0)
	for i, v := range []int64{
		AlertVersion("firing", 0, 0), AlertVersion("firing", at, 1), AlertVersion("firing", at, 9), AlertVersion("firing", at, 1<<40),
		AlertVersion("firing", at+int64(time.Millisecond), 0), AlertVersion("firing", at+int64(50*365*24*time.Hour), 5),
		AlertVersion("resolved", at, 1), AlertVersion("resolved", at+int64(time.Hour), 0),
	} {
		if v <= last {
			t.Errorf("version %d is %d, after %d", i, v, last)
		}
		last = v
	}
}
