package snapshot

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestValuesComeBack writes values at the edges of what they may be and reads
// them with the same calls.
func TestValuesComeBack(t *testing.T) {
	base := int64(1_721_361_600_000_000_000)
	times := []int64{0, 1, -1, base, base + 1, base - int64(time.Hour), base + 250_000_000, math.MaxInt64, math.MinInt64, base - 1<<60}
	numbers := []int64{0, 1, -1, 63, -64, 64, math.MaxInt64, math.MinInt64}
	floats := []float64{0, math.Copysign(0, -1), math.Inf(1), 0.1}
	texts := []string{"", "a", "windows", "windows", strings.Repeat("x", 300), "a"}
	write := func(c *Codec) {
		List(c, &times, c.Time)
		List(c, &numbers, func(n *int64) { Int(c, n) })
		List(c, &floats, c.Float)
		List(c, &texts, c.Shared)
		List(c, &texts, c.Text)
	}
	w := NewWriter([]byte("before"))
	w.Base = base
	w.Section("values", 3, write)
	w.Section("values again", 3, write)
	b := w.Finish()
	f, err := Parse(b[len("before"):])
	if err != nil {
		t.Fatal(err)
	}
	f.Base = base
	if f.Version("values") != 3 || f.Version("others") != 0 || f.Len("values") != 2 {
		t.Errorf("the sections are %+v", f.sections)
	}
	wantTimes, wantNumbers, wantFloats, wantTexts := times, numbers, floats, texts
	for _, name := range []string{"values again", "values"} {
		if err := f.Read(name, write); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(times, wantTimes) || !slices.Equal(numbers, wantNumbers) || !slices.Equal(floats, wantFloats) || !slices.Equal(texts, wantTexts) {
			t.Errorf("read %v %v %v %q", times, numbers, floats, texts)
		}
	}
	if !math.Signbit(floats[1]) {
		t.Error("a number lost its sign")
	}
}

// TestReadingStopsAtWhatCannotBe names the section and the byte.
func TestReadingStopsAtWhatCannotBe(t *testing.T) {
	w := NewWriter(nil)
	large := int64(300)
	w.Section("numbers", 1, func(c *Codec) { Int(c, &large) })
	f, err := Parse(w.Finish())
	if err != nil {
		t.Fatal(err)
	}
	var small uint8
	var more bool
	var list []string
	for want, read := range map[string]func(*Codec){
		`section "numbers", byte 2: the number 300 does not fit`:                   func(c *Codec) { Int(c, &small); Int(c, &large) },
		`section "numbers", byte 2: expected 0 or 1, found 600`:                    func(c *Codec) { c.Bool(&more) },
		`section "numbers", byte 2: expected a list of 600 entries, found 0 bytes`: func(c *Codec) { List(c, &list, c.Text) },
		`section "numbers", byte 2: expected a text of 600 bytes, found 0`:         func(c *Codec) { c.Bytes(new([]byte)) },
		`section "numbers", byte 0: 2 bytes are left over`:                         func(*Codec) {},
		`section "numbers", byte 2: expected a number`:                             func(c *Codec) { Int(c, &large); Int(c, &large) },
		`section "numbers", byte 2: expected one of 0 texts, found number 600`:     func(c *Codec) { c.Shared(new(string)) },
		`there is no section "others"`:                                             nil,
	} {
		name := "numbers"
		if read == nil {
			name = "others"
		}
		if err := f.Read(name, read); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if small != 0 || more || list != nil {
		t.Errorf("what cannot be was kept: %d %t %q", small, more, list)
	}
}
