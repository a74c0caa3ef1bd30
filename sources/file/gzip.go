package file

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// inflate returns r decompressed when it begins with gzip's magic bytes, and r
// itself otherwise.
func inflate(r io.Reader, name string, limit int64) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(2)
	if err != nil || !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return buffered, nil // a read error shows again on reading
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fault.New(fault.Permanent, fault.Undecodable, "reading %s: expected gzip after its magic bytes: %w", name, err)
	}
	return &cappedReader{r: z, left: limit, limit: limit, name: name}, nil
}

// cappedReader ends with an error after limit bytes.
type cappedReader struct {
	r           io.Reader
	left, limit int64
	name        string
}

func (c *cappedReader) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fault.New(fault.Permanent, fault.TooLarge, "reading %s: it decompresses to more than %d bytes", c.name, c.limit).
			WithHint("decompress it first, or raise max_inflated_bytes")
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}
