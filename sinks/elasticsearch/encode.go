package elasticsearch

import (
	"io"
	"strconv"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// encoder builds the bodies of bulk requests: for each document one line that
// says what to do and one that is the document. It is safe for concurrent use.
type encoder struct {
	verb      string            // of the action
	actions   [4]string         // of a Stream: the action's text before the id
	versioned bool              // the action carries the version of the state
	options   bulkOptions       // of its requests
	gzip      *httpx.Compressor // nil: not compressed
}

const (
	actionEnd    = "}}\n"
	versionType  = `,"version_type":"external","version":`
	versionWidth = 19 // digits of the greatest version
)

// newEncoder returns the encoder of the history: documents are created in data
// streams that exist or have a template.
func newEncoder(namespace string, compress bool) encoder {
	e := encoder{verb: "create", options: bulkOptions{dataStream: true, filter: []string{"errors", "items.*.status", "items.*.error", "items.*.failure_store"}}}
	for _, s := range event.Streams() {
		e.actions[s] = `{"create":{"_index":"` + DataStream(s, namespace) + `","_id":`
	}
	if compress {
		e.gzip = new(httpx.Compressor)
	}
	return e
}

// DataStream returns the name of the data stream that documents of s go to.
func DataStream(s event.Stream, namespace string) string {
	typ, dataset := s.DataStream()
	return typ + "-" + dataset + "-" + namespace
}

// cost is the size of a document in a request, before compression.
func (e *encoder) cost(d *event.Document) int {
	version := 0
	if e.versioned {
		version = len(versionType) + versionWidth
	}
	return len(e.actions[d.Stream]) + len(d.ID) + len(`""`) + version + len(actionEnd) + len(d.Body) + 1
}

// fill returns the end of the longest run of documents from from on that stays
// within both limits; it has at least one document.
func (e *encoder) fill(docs []*event.Document, from, maxBytes, maxDocs int) int {
	to, size := from+1, e.cost(docs[from])
	for to < len(docs) && to-from < maxDocs && size+e.cost(docs[to]) <= maxBytes {
		size += e.cost(docs[to])
		to++
	}
	return to
}

// size is the size of a request with docs, before compression.
func (e *encoder) size(docs []*event.Document) int64 {
	size := 0
	for _, d := range docs {
		size += e.cost(d)
	}
	return int64(size)
}

// request returns the bulk request for docs. Its body is a buffer of
// its own: the HTTP transport may read it longer than the request lasts.
func (e *encoder) request(docs []*event.Document) request {
	r := request{bulk: &e.options, contentType: "application/x-ndjson", plainSize: int(e.size(docs))}
	if e.gzip == nil {
		r.body = make([]byte, 0, r.plainSize+len(docs))
		for _, d := range docs {
			r.body = e.appendAction(r.body, d)
			r.body = append(r.body, d.Body...)
			r.body = append(r.body, '\n')
		}
		return r
	}
	r.gzipped = true
	r.body = e.gzip.Compress(r.plainSize/8+512, func(w io.Writer) {
		var line []byte
		for _, d := range docs {
			line = e.appendAction(line[:0], d)
			_, _ = w.Write(line)
			_, _ = w.Write(d.Body)
			_, _ = w.Write(line[len(line)-1:]) // its newline
		}
	})
	return r
}

func (e *encoder) appendAction(dst []byte, d *event.Document) []byte {
	dst = append(dst, e.actions[d.Stream]...)
	dst = event.AppendString(dst, d.ID)
	if e.versioned {
		dst = append(dst, versionType...)
		dst = strconv.AppendInt(dst, d.Latest.Version, 10)
	}
	return append(dst, actionEnd...)
}
