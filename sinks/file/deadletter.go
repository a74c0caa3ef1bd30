package file

import (
	"context"
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// DeadLetter keeps dead letters as NDJSON, one a line:
//
//	{"topic":…,"partition":…,"offset":…,"timestamp":ms,"stage":…,"reason":…,"detail":…,"key":…,"headers":{name:[…]},"original":…}
//
// Bytes that are not UTF-8 stand under "key_b64", "headers_b64" and
// "original_b64" in base64 instead. A letter of a file's record has "line" in
// place of topic, partition and offset when ByLine is set. It is safe for
// concurrent use.
type DeadLetter struct {
	out    *appender
	byLine bool
}

// NewDeadLetter returns a dead letter. With byLine, letters carry "line" (the
// record's offset, which is its line number in files) instead of coordinates
// in Kafka.
func NewDeadLetter(cfg Config, set Settings, byLine bool) (*DeadLetter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &DeadLetter{newAppender(cfg, set), byLine}, nil
}

// Bury appends all letters and returns when the disk has them.
func (d *DeadLetter) Bury(ctx context.Context, dead []event.Dead) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(dead) == 0 {
		return nil
	}
	var lines []byte
	for i := range dead {
		lines = d.appendLetter(lines, &dead[i])
	}
	return d.out.append(lines)
}

// Check reports whether the file can be written.
func (d *DeadLetter) Check(context.Context) error { return d.out.check() }

// Close closes the file.
func (d *DeadLetter) Close() error { return d.out.close() }

func (d *DeadLetter) appendLetter(dst []byte, l *event.Dead) []byte {
	if d.byLine {
		dst = append(dst, `{"line":`...)
		dst = strconv.AppendInt(dst, l.Offset, 10)
	} else {
		dst = append(dst, `{"topic":`...)
		dst = event.AppendString(dst, l.Partition.Topic)
		dst = append(dst, `,"partition":`...)
		dst = strconv.AppendInt(dst, int64(l.Partition.Number), 10)
		dst = append(dst, `,"offset":`...)
		dst = strconv.AppendInt(dst, l.Offset, 10)
	}
	if l.Time != 0 {
		dst = append(dst, `,"timestamp":`...)
		dst = strconv.AppendInt(dst, l.Time, 10)
	}
	dst = append(dst, `,"stage":`...)
	dst = event.AppendString(dst, l.Stage)
	dst = append(dst, `,"reason":`...)
	dst = event.AppendString(dst, l.Reason)
	dst = append(dst, `,"detail":`...)
	dst = event.AppendString(dst, l.Detail)
	if len(l.Key) > 0 {
		dst = appendBytes(dst, "key", l.Key)
	}
	dst = appendHeaders(dst, "headers", l.Headers, true)
	dst = appendHeaders(dst, "headers_b64", l.Headers, false)
	dst = appendBytes(dst, "original", l.Original)
	return append(dst, '}', '\n')
}

// appendBytes appends a member with text as it is, or with other bytes in
// base64 under a name that says so.
func appendBytes(dst []byte, name string, b []byte) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	if utf8.Valid(b) {
		dst = append(dst, '"', ':')
		return event.AppendString(dst, string(b))
	}
	dst = append(dst, `_b64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// appendHeaders appends the headers whose values are text, or those whose
// values are not.
func appendHeaders(dst []byte, member string, headers []event.Header, text bool) []byte {
	var names []string
	values := map[string][][]byte{}
	for _, h := range headers {
		if utf8.Valid(h.Value) != text {
			continue
		}
		if _, seen := values[h.Key]; !seen {
			names = append(names, h.Key)
		}
		values[h.Key] = append(values[h.Key], h.Value)
	}
	if len(names) == 0 {
		return dst
	}
	dst = append(dst, `,"`...)
	dst = append(dst, member...)
	dst = append(dst, `":{`...)
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = event.AppendString(dst, name)
		dst = append(dst, ':', '[')
		for j, v := range values[name] {
			if j > 0 {
				dst = append(dst, ',')
			}
			if text {
				dst = event.AppendString(dst, string(v))
				continue
			}
			dst = append(dst, '"')
			dst = base64.StdEncoding.AppendEncode(dst, v)
			dst = append(dst, '"')
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}
