package splunk

import (
	"fmt"
	"testing"

	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

// BenchmarkBody builds the body of one request.
func BenchmarkBody(b *testing.B) {
	const documents, padding = 500, 600
	docs := sinktest.Documents("bench", documents, padding)
	for _, gzip := range []bool{false, true} {
		b.Run(fmt.Sprintf("events=%d/bytes=%d/gzip=%v", documents, len(docs[0].Body), gzip), func(b *testing.B) {
			e := newEncoder("edrwatch", gzip)
			_, plain := e.body(docs, "edr")
			b.SetBytes(int64(plain))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = e.body(docs, "edr")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*documents), "ns/event")
		})
	}
}
