package kinds

import (
	"cmp"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/snapshot"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
	"github.com/edrwatch/edrwatch/rules/internal/table"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// windowKeys say which events of a key are looked at together. Three kinds of
// windows, all in event time, all half-open:
//
//   - sliding: (t - window, t] for every event time t;
//   - tumbling: [n·window, (n+1)·window), aligned to 1970;
//   - session: events of which each comes less than gap after the one before,
//     and less than window after the first.
type windowKeys struct {
	Window time.Duration `yaml:"window,required"`
	Kind   string        `yaml:"window_kind"` // sliding, tumbling or session.
	Gap    time.Duration `yaml:"gap"`         // Of a session.
}

// windowKinds are the values of window_kind.
func windowKinds() []string { return []string{"sliding", "tumbling", "session"} }

func (d *windowKeys) check(c *spec.Checker) {
	c.Positive("window", d.Window, false)
	if !c.OneOf("window_kind", d.Kind, windowKinds()) {
		return
	}
	switch {
	case d.Kind != "session" && d.Gap != 0:
		c.Problem("gap", fmt.Sprintf("gap has no meaning for a %s window", d.Kind), "set window_kind: session, or remove gap")
	case d.Kind != "session":
	case d.Gap == 0:
		c.Problem("window_kind", "a session needs gap: how long nothing comes until it is over", "such as gap: 5m; window is the longest that it may last")
	default:
		c.Positive("gap", d.Gap, false)
		if d.Gap > d.Window && d.Window > 0 {
			c.Problem("gap", "gap is longer than window, the longest that a session may last", "")
		}
	}
}

// windowPlan is how the windows that are not sliding are cut.
type windowPlan struct {
	size    int64
	gap     int64 // 0 without sessions.
	sliding bool
}

func (d *windowKeys) plan() windowPlan {
	return windowPlan{size: int64(d.Window), gap: int64(d.Gap), sliding: d.Kind == "sliding"}
}

// phrase names the window in a sentence.
func (w *windowPlan) phrase() string {
	switch {
	case w.sliding:
		return wording.Duration(w.size)
	case w.gap > 0:
		return "a session with gaps below " + wording.Duration(w.gap)
	}
	return "a window of " + wording.Duration(w.size)
}

// evidence tells the window.
func (w *windowPlan) evidence() []engine.Evidence {
	kind := "sliding"
	if w.gap > 0 {
		kind = "session"
	} else if !w.sliding {
		kind = "tumbling"
	}
	list := []engine.Evidence{engine.Text("window", wording.Duration(w.size)), engine.Text("window_kind", kind)}
	if w.gap > 0 {
		list = append(list, engine.Text("gap", wording.Duration(w.gap)))
	}
	return list
}

// patience is how long after an event its window may still grow at its end.
func (w *windowPlan) patience() int64 {
	if w.gap > 0 {
		return w.gap
	}
	return w.size
}

// bucketSample is an event in a tumbling window or session.
type bucketSample struct {
	at    int64
	value float64
	text  string
}

// bucket is one such window: the samples [from, to) of a key.
type bucket struct {
	from, to int
	start    int64 // Of a session the time of its first event.
	close    int64 // The first time that no longer belongs to it.
}

// bucketSamples are the events of a key in order of time; of equal times the
// one that came first is first.
type bucketSamples []bucketSample

// maxBucketSamples bounds the events of a key; of more, the latest count.
const maxBucketSamples = maxCount

func (l *bucketSamples) insert(s bucketSample) (dropped uint64) {
	i := len(*l)
	for i > 0 && (*l)[i-1].at > s.at {
		i--
	}
	*l = slices.Insert(*l, i, s)
	if n := len(*l) - maxBucketSamples; n > 0 {
		*l = slices.Delete(*l, 0, n)
		return uint64(n)
	}
	return 0
}

// each calls f for every window in order of time until it returns false.
func (l bucketSamples) each(w *windowPlan, f func(b bucket) bool) {
	for from := 0; from < len(l); {
		b := w.bucketAt(l, from)
		if !f(b) {
			return
		}
		from = b.to
	}
}

// bucketAt returns the window that begins with a sample.
func (w *windowPlan) bucketAt(l bucketSamples, from int) bucket {
	b := bucket{from: from, to: from + 1, start: l[from].at}
	if w.gap == 0 {
		b.start -= mod(b.start, w.size)
		b.close = b.start + w.size
		rest, _ := slices.BinarySearchFunc(l[b.to:], b.close, func(s bucketSample, at int64) int { return cmp.Compare(s.at, at) })
		b.to += rest
		return b
	}
	b.close = b.start + min(w.gap, w.size)
	for b.to < len(l) && l[b.to].at < b.close {
		b.close = min(l[b.to].at+w.gap, b.start+w.size)
		b.to++
	}
	return b
}

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return ((a % b) + b) % b }

// holding returns the window that an event of a time is in.
func (l bucketSamples) holding(w *windowPlan, at int64) (found bucket) {
	l.each(w, func(b bucket) bool {
		found = b
		return b.close <= at
	})
	return found
}

// prune forgets the windows that no event can join any more, because one of
// such a time would be late.
func (l *bucketSamples) prune(w *windowPlan, oldest int64) {
	n := 0
	l.each(w, func(b bucket) bool {
		if b.close > oldest {
			return false
		}
		n = b.to
		return true
	})
	if n > 0 {
		*l = slices.Delete(*l, 0, n)
	}
}

// near reports whether an event is closer than a span.
func (l bucketSamples) near(at, span int64) bool {
	return slices.ContainsFunc(l, func(s bucketSample) bool { return s.at-at < span && at-s.at < span })
}

func (l bucketSamples) Weight() int {
	if len(l) == 0 {
		return 0
	}
	return table.Grown(len(l), int(unsafe.Sizeof(bucketSample{}))) + len(l)*table.Allocated(len(l[len(l)-1].text))
}

func (l *bucketSamples) persist(a *engine.Archive) {
	snapshot.List(a.Codec, (*[]bucketSample)(l), func(s *bucketSample) {
		a.Time(&s.at)
		a.Float(&s.value)
		a.Shared(&s.text)
	})
	if a.Reading() && !slices.IsSortedFunc(*l, func(x, y bucketSample) int { return cmp.Compare(x.at, y.at) }) {
		a.Fail("samples are not in order of time")
	}
}
