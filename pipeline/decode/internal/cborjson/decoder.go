package cborjson

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits of what a record may hold. Depth is that of the scan that follows.
const (
	maxDepth   = 64
	maxMembers = 100_000 // of one array or map
)

// ErrTooLarge is returned for what would become more JSON than permitted.
var ErrTooLarge = errors.New("the JSON would be larger than permitted")

// Decoder writes CBOR as JSON. It belongs to one goroutine.
type Decoder struct {
	check cbor.DecMode

	data  []byte
	at    int
	limit int    // length of the output that must not be passed
	room  []byte // of byte strings in chunks
}

// NewDecoder returns a decoder.
func NewDecoder() (*Decoder, error) {
	check, err := cbor.DecOptions{MaxNestedLevels: maxDepth, MaxArrayElements: maxMembers, MaxMapPairs: maxMembers}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("setting limits of CBOR: %w", err)
	}
	return &Decoder{check: check}, nil
}

// Append appends the JSON of one data item to dst, at most limit bytes of it.
// After an error dst holds a part of it.
func (d *Decoder) Append(dst, data []byte, limit int) ([]byte, error) {
	if err := d.check.Wellformed(data); err != nil {
		return dst, fmt.Errorf("reading CBOR: %w", err)
	}
	d.data, d.at, d.limit = data, 0, len(dst)+limit
	out, err := d.item(dst)
	if err != nil {
		return out, fmt.Errorf("reading CBOR: offset %d: %w", d.at, err)
	}
	if len(out) > d.limit {
		return out, ErrTooLarge
	}
	return out, nil
}
