package file

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// AppendCapture appends a record as one line of the capture format, with its
// newline:
//
//	{"ts":ms,"topic":…,"partition":…,"offset":…,"key":string|null,"headers":{name:[string]},"value":string|object|null}
//
// Reading the line gives the same record back byte for byte; only the order of
// headers with different names is lost. A value that is a JSON object on one
// line stands as it is, other text as a string. Bytes that are not UTF-8 go to
// key_b64, value_b64 and headers_b64 in place of key, value and headers.
func AppendCapture(dst []byte, p *event.Partition, r *event.Record) []byte {
	dst = append(dst, `{"ts":`...)
	dst = strconv.AppendInt(dst, r.Time, 10)
	dst = append(dst, `,"topic":`...)
	dst = event.AppendString(dst, p.Topic)
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendInt(dst, int64(p.Number), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, r.Offset, 10)
	dst = appendBytes(dst, "key", r.Key)
	dst = appendHeaders(dst, r.Headers)
	if embeddable(r.Value) {
		dst = append(dst, `,"value":`...)
		dst = append(dst, r.Value...)
	} else {
		dst = appendBytes(dst, "value", r.Value)
	}
	return append(dst, '}', '\n')
}

// appendBytes appends ,"name":string|null or ,"name_b64":string.
func appendBytes(dst []byte, name string, value []byte) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	if !utf8.Valid(value) {
		dst = append(dst, `_b64":`...)
		return appendBase64(dst, value)
	}
	dst = append(dst, `":`...)
	return appendText(dst, value)
}

func appendText(dst, value []byte) []byte {
	if value == nil {
		return append(dst, "null"...)
	}
	return event.AppendString(dst, event.View(value))
}

func appendBase64(dst, value []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, value)
	return append(dst, '"')
}

func appendHeaders(dst []byte, headers []event.Header) []byte {
	text := func(h *event.Header) bool { return utf8.Valid(h.Value) }
	binary := func(h *event.Header) bool { return !utf8.Valid(h.Value) }
	dst = append(dst, `,"headers":{`...)
	dst = append(appendHeaderLists(dst, headers, text, appendText), '}')
	for i := range headers {
		if binary(&headers[i]) {
			dst = append(dst, `,"headers_b64":{`...)
			return append(appendHeaderLists(dst, headers, binary, appendBase64), '}')
		}
	}
	return dst
}

// appendHeaderLists appends "name":[value,…] for every name, in the order of
// its first header that is taken.
func appendHeaderLists(dst []byte, headers []event.Header, take func(*event.Header) bool, value func(dst, value []byte) []byte) []byte {
	first := func(i int) bool {
		for j := range headers[:i] {
			if headers[j].Key == headers[i].Key && take(&headers[j]) {
				return false
			}
		}
		return take(&headers[i])
	}
	names := 0
	for i := range headers {
		if !first(i) {
			continue
		}
		if names > 0 {
			dst = append(dst, ',')
		}
		names++
		dst = event.AppendString(dst, headers[i].Key)
		dst = append(dst, ':', '[')
		n := 0
		for j := i; j < len(headers); j++ {
			if headers[j].Key != headers[i].Key || !take(&headers[j]) {
				continue
			}
			if n > 0 {
				dst = append(dst, ',')
			}
			n++
			dst = value(dst, headers[j].Value)
		}
		dst = append(dst, ']')
	}
	return dst
}

// embeddable reports whether a value can stand in the line as an object and
// be found again as it is.
func embeddable(value []byte) bool {
	if len(value) == 0 || value[0] != '{' || bytes.IndexByte(value, '\n') >= 0 || bytes.IndexByte(value, '\r') >= 0 ||
		!utf8.Valid(value) || !json.Valid(value) {
		return false
	}
	s := scanner{text: value}
	return s.nested() == nil && s.pos == len(value)
}
