package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go/compress"
)

// compressed returns content as the codec of kafka-go writes it.
func compressed(t testing.TB, codec int8, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := compress.Codecs[codec].NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecompress(t *testing.T) {
	const limit = 1 << 20
	var d decompressor
	for codec := int8(codecGzip); codec <= codecZstd; codec++ {
		t.Run(codecName(codec), func(t *testing.T) {
			for _, size := range []int{0, 1, limit - 1, limit} {
				content := bytes.Repeat([]byte{'x'}, size)
				got, err := d.decompress(codec, nil, compressed(t, codec, content), limit)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
				}
			}
			bomb := compressed(t, codec, make([]byte, 64*limit))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := d.decompress(codec, nil, bomb, limit)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, errTooLarge) {
				t.Errorf("64 times the limit gave %v", err)
			}
			// Twice for growing; the rest is the codec's own window and tables.
			if n := after.TotalAlloc - before.TotalAlloc; n > 16*limit {
				t.Errorf("%d bytes were allocated under a limit of %d", n, limit)
			}
			if _, err := d.decompress(codec, nil, []byte("certainly not compressed, by any means"), limit); err == nil {
				t.Error("nonsense was decompressed")
			}
		})
	}
}

// encodeBatch builds a record batch of uncompressed records with these values.
func encodeBatch(base int64, attributes int16, values ...string) []byte {
	var records []byte
	for i, v := range values {
		var r []byte
		r = append(r, 0)
		r = binary.AppendVarint(r, int64(i))
		r = binary.AppendVarint(r, int64(i))
		r = binary.AppendVarint(r, -1)
		r = binary.AppendVarint(r, int64(len(v)))
		r = append(r, v...)
		r = binary.AppendVarint(r, 0)
		records = binary.AppendVarint(records, int64(len(r)))
		records = append(records, r...)
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(base))
	b = binary.BigEndian.AppendUint32(b, uint32(batchHeader-batchPrefix+len(records)))
	b = append(b, 0, 0, 0, 0, 2, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(attributes))
	b = binary.BigEndian.AppendUint32(b, uint32(max(len(values)-1, 0)))
	b = binary.BigEndian.AppendUint64(b, 1000)
	b = binary.BigEndian.AppendUint64(b, 2000)
	b = append(b, bytes.Repeat([]byte{0xff}, 14)...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(values)))
	b = append(b, records...)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[crcFrom:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestBatchTimestamps(t *testing.T) {
	for attributes, want := range map[int16][]int64{0: {1000, 1001}, 1 << 3: {2000, 2000}} {
		h, raw, _, complete := nextBatch(encodeBatch(7, attributes, "a", "b"))
		r := recordReader{h: &h, c: cursor{b: raw[batchHeader:]}, left: h.count, intern: func(b []byte) string { return string(b) }}
		var got []int64
		for {
			rec, ok, err := r.read()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			got = append(got, rec.Time)
		}
		if !complete || h.last != 8 || !slices.Equal(got, want) {
			t.Errorf("attributes %d: times %v of %+v, want %v", attributes, got, h, want)
		}
	}
}

func TestBatchThatCannotBeRead(t *testing.T) {
	table := crc32.MakeTable(crc32.Castagnoli)
	for _, tc := range []struct {
		name   string
		change func(b []byte) []byte
		want   string
	}{
		{"intact", func(b []byte) []byte { return b }, ""},
		{"a flipped bit", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "expected checksum"},
		{"an old format", func(b []byte) []byte { b[16] = 1; return b }, "found format 1 of before Kafka 0.11"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, raw, _, complete := nextBatch(tc.change(encodeBatch(5, 0, "a", "b")))
			if !complete {
				t.Fatal("the batch is incomplete")
			}
			err := h.check(raw, table)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// FuzzRecords decodes arbitrary bytes as record batches: no crash, no offset
// out of order or range, no more memory than the input justifies.
func FuzzRecords(f *testing.F) {
	f.Add(encodeBatch(5, 0, "a", "b"))
	f.Add(append(encodeBatch(5, 0, "a"), encodeBatch(9, 1<<5, "marker")...))
	f.Add(encodeBatch(0, 0)[:40])
	f.Fuzz(func(t *testing.T, in []byte) {
		for records, i := in, 0; len(records) > 0; i++ {
			h, raw, rest, complete := nextBatch(records)
			if len(rest) >= len(records) {
				t.Fatal("no progress")
			}
			records = rest
			if !complete {
				return
			}
			if len(raw) < batchHeader || h.magic != 2 {
				continue
			}
			(&abortedProducers{pending: []abortedTransaction{{h.producer, h.base}}}).skip(&h, raw)
			r := recordReader{h: &h, c: cursor{b: raw[batchHeader:]}, left: h.count, next: h.base, intern: func(b []byte) string { return string(b) }}
			for last := h.base - 1; ; {
				rec, ok, err := r.read()
				if err != nil || !ok {
					break
				}
				if rec.Offset <= last || rec.Offset > h.last {
					t.Fatalf("offset %d after %d in a batch up to %d", rec.Offset, last, h.last)
				}
				last = rec.Offset
			}
		}
	})
}

// FuzzFetchAnswer decodes arbitrary bytes as the body of a fetch answer.
func FuzzFetchAnswer(f *testing.F) {
	body := make([]byte, 14)
	body[3] = 9
	body = append(body, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1)
	body = append(body, make([]byte, 4+2+8+8+8+4)...)
	batch := encodeBatch(5, 0, "a")
	body = binary.BigEndian.AppendUint32(body, uint32(len(batch)))
	f.Add(append(body, batch...), false)
	f.Add(body, true)
	f.Fuzz(func(t *testing.T, in []byte, cut bool) {
		answer, err := parseFetch(in, 9, cut)
		if err == nil && len(answer.records)+16*len(answer.aborted) > len(in) {
			t.Fatal("more came out than went in")
		}
	})
}

// FuzzDecompress decompresses arbitrary bytes with every codec.
func FuzzDecompress(f *testing.F) {
	for codec := int8(codecGzip); codec <= codecZstd; codec++ {
		f.Add(codec, compressed(f, codec, []byte("content content content")))
	}
	f.Add(int8(codecSnappy), []byte(xerial+"12345678\x00\x00\x00\x02\x01\x00"))
	var d decompressor
	f.Fuzz(func(t *testing.T, codec int8, in []byte) {
		const limit = 1 << 16
		if out, err := d.decompress(codec, nil, in, limit); err == nil && codec != codecNone && len(out) > limit {
			t.Fatalf("%d bytes under a limit of %d", len(out), limit)
		}
	})
}
