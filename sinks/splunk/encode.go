package splunk

import (
	"io"
	"strconv"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// SourceType returns the source type of a stream's events.
func SourceType(s event.Stream) string {
	switch s {
	case event.Metrics:
		return "edrwatch:metric"
	case event.Alerts:
		return "edrwatch:alert"
	case event.Gateway:
		return "edrwatch:gateway"
	}
	return "edrwatch:telemetry"
}

// encoder builds the bodies of requests: JSON objects one after another, each
// an event with its metadata. It is safe for concurrent use.
type encoder struct {
	// middle is, by stream, what stands between host and index.
	middle [4]string
	gzip   *httpx.Compressor // nil: not compressed
}

func newEncoder(source string, compress bool) encoder {
	var e encoder
	for _, s := range event.Streams() {
		text := append([]byte(`"source":`), event.AppendString(nil, source)...)
		text = append(text, `,"sourcetype":`...)
		text = append(event.AppendString(text, SourceType(s)), ',')
		e.middle[s] = string(text)
	}
	if compress {
		e.gzip = new(httpx.Compressor)
	}
	return e
}

// cost is about the size of a document in a request, never below it.
func (e *encoder) cost(d *event.Document, index string) int {
	const (
		rest    = 120
		escaped = 6 // a control character becomes \u0001
	)
	return rest + len(e.middle[d.Stream]) + escaped*(len(d.Host)+len(index)+len(d.ID)) + len(d.Body)
}

// appendEvent appends one event.
func (e *encoder) appendEvent(dst []byte, d *event.Document, index string) []byte {
	dst = append(dst, '{')
	if d.Time > 0 {
		dst = append(dst, `"time":`...)
		dst = appendSeconds(dst, d.Time)
		dst = append(dst, ',')
	}
	if d.Host != "" {
		dst = append(dst, `"host":`...)
		dst = append(event.AppendString(dst, d.Host), ',')
	}
	dst = append(dst, e.middle[d.Stream]...)
	if index != "" {
		dst = append(dst, `"index":`...)
		dst = append(event.AppendString(dst, index), ',')
	}
	dst = append(dst, `"event":`...)
	dst = append(dst, d.Body...)
	// The values of fields are strings: Splunk refuses all others (code 15).
	dst = append(dst, `,"fields":{"event_id":`...)
	dst = event.AppendString(dst, d.ID)
	return append(dst, '}', '}', '\n')
}

// appendSeconds appends ns as seconds with three decimals. Splunk takes no
// exponent.
func appendSeconds(dst []byte, ns int64) []byte {
	ms := ns / 1_000_000
	dst = strconv.AppendInt(dst, ms/1000, 10)
	dst = append(dst, '.')
	rest := ms % 1000
	return append(dst, byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

// body returns a request's body in a buffer of its own (the HTTP transport may
// read it longer than the request lasts) and its size before compression.
func (e *encoder) body(docs []*event.Document, index string) (body []byte, plain int) {
	size := 0
	for _, d := range docs {
		size += e.cost(d, index)
	}
	if e.gzip == nil {
		body = make([]byte, 0, size)
		for _, d := range docs {
			body = e.appendEvent(body, d, index)
		}
		return body, len(body)
	}
	body = e.gzip.Compress(size/8+512, func(w io.Writer) {
		var line []byte
		for _, d := range docs {
			line = e.appendEvent(line[:0], d, index)
			plain += len(line)
			_, _ = w.Write(line)
		}
	})
	return body, plain
}
