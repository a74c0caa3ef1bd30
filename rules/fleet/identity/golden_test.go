package identity

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestFormat: what was written once is read for ever. EDRWATCH_UPDATE=1 writes the
// file again; that is for a new format, beside the old one.
func TestFormat(t *testing.T) {
	file := filepath.Join("testdata", "links.v1")
	r := New(Config{})
	r.Apply(storm(t, rand.New(rand.NewPCG(11, 12)), 150)...)
	got := r.Snapshot().AppendTo(nil)
	if os.Getenv("EDRWATCH_UPDATE") == "1" {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes are written, of which the file with %d differs", len(got), len(want))
	}
	l, err := Read(want)
	if err != nil {
		t.Fatal(err)
	}
	again := New(Config{})
	again.Apply(l)
	if !bytes.Equal(again.Snapshot().AppendTo(nil), want) || probe(t, again) != probe(t, r) {
		t.Error("what was read is not what was written")
	}
}
