package httpx

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClassify(t *testing.T) {
	for status, want := range map[int]struct {
		class  fault.Class
		reason fault.Reason
	}{
		200: {fault.Transient, fault.Garbled},
		301: {fault.Operator, fault.Misconfigured},
		400: {fault.Permanent, fault.Rejected},
		401: {fault.Operator, fault.Unauthorized},
		403: {fault.Operator, fault.Unauthorized},
		404: {fault.Operator, fault.Misconfigured},
		405: {fault.Operator, fault.Misconfigured},
		407: {fault.Operator, fault.Unauthorized},
		408: {fault.Transient, fault.Unavailable},
		413: {fault.Permanent, fault.Rejected},
		422: {fault.Permanent, fault.Rejected},
		429: {fault.Transient, fault.Overloaded},
		500: {fault.Transient, fault.Unavailable},
		501: {fault.Operator, fault.Misconfigured},
		502: {fault.Transient, fault.Unavailable},
		503: {fault.Transient, fault.Unavailable},
		504: {fault.Transient, fault.Unavailable},
	} {
		got := Classify(status, http.Header{"Retry-After": {"7"}}, time.Time{}, "text")
		if got.Class != want.class || got.Reason != want.reason {
			t.Errorf("status %d is %v, %s; want %v, %s", status, got.Class, got.Reason, want.class, want.reason)
		}
		if got.RetryAfter != 7*time.Second {
			t.Errorf("status %d: RetryAfter = %v, want 7s", status, got.RetryAfter)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2024, 7, 19, 4, 9, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"-5":                            0,
		"12":                            12 * time.Second,
		"soon":                          0,
		"86400":                         maxRetryAfter,
		"Fri, 19 Jul 2024 04:09:30 GMT": 30 * time.Second,
		"Fri, 19 Jul 2024 04:00:00 GMT": 0,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q = %v, want %v", value, got, want)
		}
	}
}

func TestParseURLs(t *testing.T) {
	for address, want := range map[string]string{
		"https://es:9200/":              "",
		"http://127.0.0.1:9200/prefix":  "",
		"es:9200":                       "expected an address",
		"ftp://es":                      "expected an address",
		"https://":                      "expected an address",
		"https://user:canary@es:9200":   "carries credentials",
		"https://user:canary@es:92 00x": "expected an address",
		"https://es:9200?key=canary":    "carries a query",
	} {
		_, err := ParseURLs([]string{address})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error shows the secret: %v", address, err)
		}
	}
	if _, err := ParseURLs(nil); err == nil {
		t.Error("no address: no error")
	}
}

func TestExcerpt(t *testing.T) {
	got := Excerpt([]byte("a\r\nb\x1b]0;title\x07\u202etxt\xff" + strings.Repeat("z", 1000)))
	if strings.ContainsAny(got, "\r\n\x1b\x07\u202e") || !strings.HasPrefix(got, "a  b ]0;title .txt.z") || len(got) > maxExcerpt+10 {
		t.Errorf("Excerpt = %q", got)
	}
}

func TestLimiterHalvesOncePerRound(t *testing.T) {
	l := NewLimiter(8, 1<<20)
	permits := make([]Permit, 8)
	for i := range permits {
		permits[i], _ = l.Acquire(t.Context(), 1)
	}
	for _, p := range permits {
		p.Overloaded()
	}
	if got := l.Window(); got != 4 {
		t.Errorf("window after one overloaded round = %d, want 4", got)
	}
	for range 64 {
		p, err := l.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		p.Accepted()
	}
	if got := l.Window(); got != 8 {
		t.Errorf("window after acceptance = %d, want 8", got)
	}
}

func TestLimiterWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(10, 100)
		big, _ := l.Acquire(t.Context(), 90)
		entered := make(chan Permit)
		go func() {
			p, _ := l.Acquire(t.Context(), 20)
			entered <- p
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Acquire(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a small request overtook a waiting one: %v", err)
		}
		select {
		case <-entered:
			t.Error("110 bytes are in flight under a limit of 100")
		default:
		}
		big.Done()
		(<-entered).Done()
		huge, err := l.Acquire(t.Context(), 1000)
		if err != nil {
			t.Errorf("a request above the limit was not let through alone: %v", err)
		}
		huge.Done()
	})
}

func TestWorst(t *testing.T) {
	var w Worst
	w.Add(nil)
	if err := w.Err(); err != nil {
		t.Errorf("nothing failed, but Err is %v", err)
	}
	busy := fault.New(fault.Transient, fault.Overloaded, "busy")
	busy.RetryAfter = 9 * time.Second
	for _, f := range []*fault.Error{fault.New(fault.Transient, fault.Unavailable, "down"), busy, fault.New(fault.Operator, fault.Unauthorized, "key"), fault.New(fault.Transient, fault.Garbled, "odd")} {
		w.Add(f)
	}
	if f := fault.Of(w.Err()); f.Reason != fault.Unauthorized || f.RetryAfter != 9*time.Second {
		t.Errorf("the worst is %s after %v, want unauthorized after 9s", f.Reason, f.RetryAfter)
	}
	if busy.Reason != fault.Overloaded || busy.RetryAfter != 9*time.Second {
		t.Error("a failure that was added has changed")
	}
}
