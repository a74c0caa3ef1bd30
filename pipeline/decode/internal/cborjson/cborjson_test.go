package cborjson

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// render decodes what is given in hexadecimal.
func render(t *testing.T, text string) (string, error) {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.Append(nil, data, 1<<20)
	return string(out), err
}

// TestValues renders the examples of RFC 8949, appendix A, and what records hold
// besides.
func TestValues(t *testing.T) {
	for in, want := range map[string]string{
		"00":                     "0",
		"1818":                   "24",
		"1903e8":                 "1000",
		"1bffffffffffffffff":     "18446744073709551615",
		"c249010000000000000000": "18446744073709551616",
		"3bffffffffffffffff":     "-18446744073709551616",
		"c349010000000000000000": "-18446744073709551617",
		"c240":                   "0",
		"c34101":                 "-2",
		"c2420100":               "256",
		"20":                     "-1",
		"3903e7":                 "-1000",
		"f90000":                 "0",
		"f98000":                 "-0",
		"f93e00":                 "1.5",
		"f97bff":                 "65504",
		"f90001":                 "5.9604645e-08",
		"f9c400":                 "-4",
		"fa47c35000":             "100000",
		"fa3f8ccccd":             "1.1",
		"fb3ff199999999999a":     "1.1",
		"fb7e37e43c8800759c":     "1e+300",
		"f97c00":                 "null",
		"f97e00":                 "null",
		"fb7ff8000000000000":     "null",
		"f4":                     "false",
		"f5":                     "true",
		"f6":                     "null",
		"f7":                     "null",
		"f8ff":                   "null",
		"c074323031332d30332d32315432303a30343a30305a": `"2013-03-21T20:04:00Z"`,
		"c11a514b67b0":                 `"2013-03-21T20:04:00Z"`,
		"c1fb41d452d9ec200000":         `"2013-03-21T20:04:00.5Z"`,
		"c13a514b67b0":                 `"1926-10-13T03:55:59Z"`,
		"c1fb7e37e43c8800759c":         "1e+300",
		"c1f97e00":                     "null",
		"c482211 96ab3":                "27315e-2",
		"c48201c249010000000000000000": "18446744073709551616e1",
		"d74401020304":                 `"01020304"`,
		"d64401020304":                 `"AQIDBA=="`,
		"d54401020304":                 `"AQIDBA"`,
		"d818456449455446":             `"ZElFVEY"`,
		"d82076687474703a2f2f7777772e6578616d706c652e636f6d": `"http://www.example.com"`,
		"d82550 00112233445566778899aabbccddeeff":            `"00112233-4455-6677-8899-aabbccddeeff"`,
		"d83444c0000201":                         `"192.0.2.1"`,
		"d8365020010db8000000000000000000000001": `"2001:db8::1"`,
		"d8344101":                               `"AQ"`,
		"40":                                     `""`,
		"4401020304":                             `"AQIDBA"`,
		"60":                                     `""`,
		"62225c":                                 `"\"\\"`,
		"63e6b0b4":                               `"水"`,
		"6100":                                   `"\u0000"`,
		"80":                                     "[]",
		"8301820203820405":                       "[1,[2,3],[4,5]]",
		"a0":                                     "{}",
		"a201020304":                             `{"1":2,"3":4}`,
		"a26161016162820203":                     `{"a":1,"b":[2,3]}`,
		"a2f501 4101 02":                         `{"true":1,"AQ":2}`,
		"a1c1001801":                             `{"1970-01-01T00:00:00Z":1}`,
		"5f42010243030405ff":                     `"AQIDBAU"`,
		"7f657374726561646d696e67ff":             `"streaming"`,
		"9fff":                                   "[]",
		"9f018202039f0405ffff":                   "[1,[2,3],[4,5]]",
		"bf61610161629f0203ffff":                 `{"a":1,"b":[2,3]}`,
		"d9d9f7a16161f6":                         `{"a":null}`,
	} {
		if got, err := render(t, in); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
}

// TestHostileValues must end in an error, and soon.
func TestHostileValues(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                       "",
		"cut off":                       "a16161",
		"more behind it":                "a0a0",
		"a length beyond the end":       "7bffffffffffffffff61",
		"a list beyond the end":         "9bffffffffffffffff",
		"deeper than the scan reads":    strings.Repeat("81", 70) + "00",
		"lists without an end":          strings.Repeat("9f", 1000),
		"tags around tags":              strings.Repeat("c1", 1000) + "00",
		"text that is not UTF-8":        "61ff",
		"a map as a key":                "a1a000",
		"a list as a key":               "a18000",
		"a number of a thousand digits": "c2590200" + strings.Repeat("ff", 512),
		"a big number that is a text":   "c26161",
		"a fraction with a huge number": "c4821bffffffffffffffff01",
		"a fraction of a list":          "c4820180",
		"a fraction that is a number":   "c401",
		"a break by itself":             "ff",
		"a reserved length":             "1c",
		"a chunk of another type":       "7f4101ff",
		"a chunk without a length":      "5f5f4101ffff",
	} {
		if got, err := render(t, in); err == nil {
			t.Errorf("%s: got %s", name, got)
		}
	}
	// Every control character takes six bytes of JSON.
	d, err := NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	data, err := cbor.Marshal(strings.Repeat("\x01", 1000))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Append(nil, data, 2000); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	data, err := cbor.Marshal(map[string]any{"event_simpleName": "SensorHeartbeat", "aid": "a1", "n": 17, "f": 1.5, "list": []any{true, nil, []byte{1, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	room := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Append(room, data, 1<<20); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzAppend compares with the library: what it finds well-formed becomes valid
// JSON or a reasoned error, and what it does not becomes an error.
func FuzzAppend(f *testing.F) {
	for _, seed := range []string{"a26161016162820203", "bf61610161629f0203ffff", "c48221196ab3", "d9d9f7a16161f6", "5f42010243030405ff", "c1fb41d452d9ec200000"} {
		data, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := NewDecoder()
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.Append([]byte("x"), data, 1<<20)
		if out[0] != 'x' {
			t.Fatal("what stood in the buffer is gone")
		}
		if err != nil {
			return
		}
		if d.check.Wellformed(data) != nil || !json.Valid(out[1:]) {
			t.Fatalf("%x became %s", data, out[1:])
		}
	})
}

// TestTheSameAsJSON encodes random trees as CBOR and as JSON.
func TestTheSameAsJSON(t *testing.T) {
	d, err := NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(500) {
		value := randomTree(rand.New(rand.NewPCG(seed, 0)), 4)
		data, err := cbor.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.Append(nil, data, 1<<20)
		if err != nil {
			t.Fatalf("%x: %v", data, err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %s, want %s", out, text)
		}
	}
}

func randomTree(r *rand.Rand, depth int) any {
	kind := r.IntN(8)
	if depth == 0 {
		kind = r.IntN(6)
	}
	switch kind {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return r.Int64() >> r.IntN(63)
	case 3:
		return -r.Int64() >> r.IntN(63)
	case 4:
		return r.NormFloat64()
	case 5:
		letters := []rune("aZ0\"\\\n\x01é水😀")
		text := make([]rune, r.IntN(30))
		for i := range text {
			text[i] = letters[r.IntN(len(letters))]
		}
		return string(text)
	case 6:
		list := make([]any, r.IntN(5))
		for i := range list {
			list[i] = randomTree(r, depth-1)
		}
		return list
	}
	object := map[string]any{}
	for range r.IntN(40) {
		object[string(rune('a'+r.IntN(26)))] = randomTree(r, depth-1)
	}
	return object
}
