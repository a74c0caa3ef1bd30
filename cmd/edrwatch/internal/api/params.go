package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/sinks/store"
)

// badParameter is a mistake in the query string.
type badParameter struct{ name, message string }

func (e *badParameter) Error() string { return e.name + ": " + e.message }

// params reads a query string. The first mistake is kept in err.
type params struct {
	values url.Values
	known  []string
	err    error
}

func readParams(rawQuery string) *params {
	values, err := url.ParseQuery(rawQuery)
	p := &params{values: values}
	if err != nil {
		p.fail("query string", "expected name=value pairs joined by &, percent-encoded")
	}
	return p
}

func (p *params) fail(name, format string, args ...any) {
	if p.err == nil {
		p.err = &badParameter{name, fmt.Sprintf(format, args...)}
	}
}

// text returns a parameter that may be given once.
func (p *params) text(name string) string {
	p.known = append(p.known, name)
	switch given := p.values[name]; len(given) {
	case 0:
		return ""
	case 1:
		return given[0]
	default:
		p.fail(name, "expected one value, found %d", len(given))
		return ""
	}
}

func (p *params) number(name string, least, most int) int {
	given := p.text(name)
	if given == "" {
		return 0
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < least || n > most {
		p.fail(name, "expected a number from %d to %d, found %q", least, most, given)
	}
	return n
}

func (p *params) boolean(name string) bool {
	switch given := p.text(name); given {
	case "", "false":
		return false
	case "true":
		return true
	default:
		p.fail(name, "expected true or false, found %q", given)
		return false
	}
}

// time returns nanoseconds since 1970, 0 when the parameter is absent.
func (p *params) time(name string) int64 {
	given := p.text(name)
	if given == "" {
		return 0
	}
	t, err := time.Parse(time.RFC3339Nano, given)
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		p.fail(name, "expected a time such as 2024-07-19T04:09:00Z, found %q", given)
		return 0
	}
	return t.UnixNano()
}

// streams returns the streams in a comma-separated list.
func (p *params) streams(name string) []event.Stream {
	given := p.text(name)
	if given == "" {
		return nil
	}
	var streams []event.Stream
	for part := range strings.SplitSeq(given, ",") {
		i := slices.IndexFunc(event.Streams(), func(s event.Stream) bool { return s.String() == part })
		if i < 0 {
			p.fail(name, "expected telemetry, metrics, alerts or gateway, joined by commas, found %q", part)
			return nil
		}
		streams = append(streams, event.Streams()[i])
	}
	return streams
}

// query returns the filters that events, their histogram and alerts share.
func (p *params) query() store.Query {
	return store.Query{
		Text: p.text("q"), From: p.time("from"), To: p.time("to"), Streams: p.streams("stream"),
		Action: p.text("action"), Host: p.text("host"), Agent: p.text("agent"), Severity: p.text("severity"),
		Kind: p.text("kind"), Status: p.text("status"), Rule: p.text("rule"),
	}
}

// paged adds limit and cursor to a query.
func (p *params) paged(q *store.Query) {
	q.Limit = p.number("limit", 1, store.MaxLimit)
	var err error
	if q.Before, err = store.ParseCursor(p.text("cursor")); err != nil {
		p.fail("cursor", "%v", err)
	}
}

// done returns the first mistake; a parameter that nobody asked for is one.
func (p *params) done() error {
	for name := range p.values {
		if slices.Contains(p.known, name) {
			continue
		}
		if near, ok := strict.Nearest(name, p.known); ok {
			p.fail(name, "unknown parameter: did you mean %s?", near)
		} else {
			p.fail(name, "unknown parameter: expected one of %s", strings.Join(p.known, ", "))
		}
	}
	return p.err
}
