package elasticsearch

import (
	"fmt"
	"testing"

	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

// BenchmarkRequest builds the body of one bulk request.
func BenchmarkRequest(b *testing.B) {
	const documents, padding = 500, 600
	docs := sinktest.Documents("bench", documents, padding)
	for _, gzip := range []bool{false, true} {
		b.Run(fmt.Sprintf("documents=%d/bytes=%d/gzip=%v", documents, len(docs[0].Body), gzip), func(b *testing.B) {
			e := newEncoder("default", gzip)
			r := e.request(docs)
			b.SetBytes(int64(r.plainSize))
			b.ReportAllocs()
			for b.Loop() {
				r = e.request(docs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*documents), "ns/document")
			b.ReportMetric(float64(r.plainSize)/float64(len(r.body)), "plain/sent")
		})
	}
}

// BenchmarkDecode reads the answer to one bulk request.
func BenchmarkDecode(b *testing.B) {
	const documents = 500
	body := []byte(`{"errors":false,"items":[{"create":{"status":201}}`)
	for range documents - 1 {
		body = append(body, `,{"create":{"status":201}}`...)
	}
	body = append(body, `]}`...)
	b.Run(fmt.Sprintf("documents=%d", documents), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeBulk(body, "create", documents); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*documents), "ns/document")
	})
}
