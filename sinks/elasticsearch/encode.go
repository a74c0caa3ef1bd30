package elasticsearch

import (
	"io"
	"net/http"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// bulkPath asks for creation in data streams that exist or have a template,
// for no document text in error messages (they are logged), and for just the
// parts of the answer that are read.
const bulkPath = "/_bulk?require_data_stream=true&include_source_on_error=false" +
	"&filter_path=errors,items.*.status,items.*.error,items.*.failure_store"

// encoder builds the bodies of bulk requests: for each document one line that
// says what to do and one that is the document. It is safe for concurrent use.
type encoder struct {
	actions [4]string         // of a Stream: the action's text before the id
	gzip    *httpx.Compressor // nil: not compressed
}

const actionEnd = "}}\n"

func newEncoder(namespace string, compress bool) encoder {
	var e encoder
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
	return len(e.actions[d.Stream]) + len(d.ID) + len(`""`) + len(actionEnd) + len(d.Body) + 1
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

// request returns the bulk request that creates docs. Its body is a buffer of
// its own: the HTTP transport may read it longer than the request lasts.
func (e *encoder) request(docs []*event.Document) request {
	r := request{
		method: http.MethodPost, path: bulkPath, contentType: "application/x-ndjson",
		plainSize: int(e.size(docs)),
	}
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
	return append(dst, actionEnd...)
}
