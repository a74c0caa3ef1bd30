package playback

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/sources/simulator"
)

// steady gives one record a second.
type steady struct {
	start   time.Time
	n, last int
}

func (s *steady) Next() (simulator.Emission, bool) {
	if s.n == s.last {
		return simulator.Emission{}, false
	}
	s.n++
	return simulator.Emission{Topic: "t", Key: []byte("k"), Value: []byte("v"), Time: s.start.Add(time.Duration(s.n) * time.Second).UnixMilli()}, true
}

// written notes when messages came, after the start.
type written struct {
	began time.Time
	at    []time.Duration
	fail  error
}

func (w *written) WriteMessages(_ context.Context, messages ...kafka.Message) error {
	for range messages {
		w.at = append(w.at, time.Since(w.began))
	}
	return w.fail
}

func TestRecordsComeAtTheirPace(t *testing.T) {
	for _, c := range []struct {
		speed float64
		last  time.Duration // when the last of a hundred seconds is written
	}{{1, 100 * time.Second}, {10, 10 * time.Second}, {0, 0}} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC)
			w := &written{began: time.Now()}
			p := &Player{Feed: &steady{start: start, last: 100}, Writer: w, Start: start, Speed: c.speed}
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(w.at) != 100 || p.Sent.Load() != 100 || p.Now.Load() != start.Add(100*time.Second).UnixMilli() {
				t.Errorf("speed %g: %d written, %d sent, now %d", c.speed, len(w.at), p.Sent.Load(), p.Now.Load())
			}
			if got := w.at[99]; got < c.last-slack || got > c.last+slack {
				t.Errorf("speed %g: expected the last record after %s, found %s", c.speed, c.last, got)
			}
		})
	}
}

func TestRunEndsWithItsContextAndWithTheBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		p := &Player{Feed: &steady{start: start, last: 100}, Writer: &written{began: start}, Start: start, Speed: 1}
		if err := p.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || p.Sent.Load() < 4 || p.Sent.Load() > 6 {
			t.Errorf("expected to end after five records, found %v after %d", err, p.Sent.Load())
		}
		refused := errors.New("refused")
		p = &Player{Feed: &steady{start: start, last: 100}, Writer: &written{began: start, fail: refused}, Start: start}
		if err := p.Run(t.Context()); !errors.Is(err, refused) || p.Sent.Load() != 0 {
			t.Errorf("expected %v and nothing sent, found %v and %d", refused, err, p.Sent.Load())
		}
	})
}
