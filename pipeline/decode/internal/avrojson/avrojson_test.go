package avrojson

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
)

func compiled(t testing.TB, schemas ...string) *Plan {
	t.Helper()
	plan, err := Compile(schemas...)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestValues encodes values with the library and renders them.
func TestValues(t *testing.T) {
	at := time.Date(2026, 7, 19, 4, 9, 7, 123456789, time.UTC)
	for _, c := range []struct {
		schema string
		value  any
		want   string
	}{
		{`"null"`, nil, "null"},
		{`"boolean"`, true, "true"},
		{`"int"`, int32(-7), "-7"},
		{`"long"`, int64(math.MinInt64), "-9223372036854775808"},
		{`"float"`, float32(1.1), "1.1"},
		{`"double"`, 1e300, "1e+300"},
		{`"double"`, math.NaN(), "null"},
		{`"float"`, float32(math.Inf(-1)), "null"},
		{`"string"`, "a\"\n水", `"a\"\n水"`},
		{`"bytes"`, []byte{1, 2, 3, 255}, `"AQID/w=="`},
		{`{"type":"fixed","name":"F","size":3}`, []byte{1, 2, 3}, `"AQID"`},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, "B", `"B"`},
		{`{"type":"array","items":"long"}`, []int64{1, 2, 3}, "[1,2,3]"},
		{`{"type":"array","items":"long"}`, []int64{}, "[]"},
		{`{"type":"map","values":["null","string"]}`, map[string]any{"a\tb": "x"}, `{"a\tb":"x"}`},
		{`["null","long"]`, nil, "null"},
		{`["null","long"]`, int64(5), "5"},
		{`{"type":"int","logicalType":"date"}`, at, `"2026-07-19"`},
		{`{"type":"int","logicalType":"date"}`, int32(math.MaxInt32), "2147483647"},
		{`{"type":"int","logicalType":"time-millis"}`, int32(3723004), `"01:02:03.004"`},
		{`{"type":"int","logicalType":"time-millis"}`, int32(-1), "-1"},
		{`{"type":"long","logicalType":"time-micros"}`, int64(3723000004), `"01:02:03.000004"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, at, `"2026-07-19T04:09:07.123Z"`},
		{`{"type":"long","logicalType":"timestamp-micros"}`, at, `"2026-07-19T04:09:07.123456Z"`},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, at, `"2026-07-19T04:09:07.123456789Z"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, int64(-1), `"1969-12-31T23:59:59.999Z"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, int64(math.MaxInt64), "9223372036854775807"},
		{`{"type":"long","logicalType":"local-timestamp-millis"}`, int64(0), `"1970-01-01T00:00:00.000"`},
		{`{"type":"int","logicalType":"timestamp-millis"}`, int32(5), "5"},
		{`{"type":"bytes","logicalType":"decimal","precision":30,"scale":2}`, big.NewRat(-12345, 100), "-123.45"},
		{`{"type":"bytes","logicalType":"decimal","precision":30,"scale":2}`, big.NewRat(-5, 100), "-0.05"},
		{`{"type":"bytes","logicalType":"decimal","precision":30}`, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(-3), 80)), "-3626777458843887524118528"},
		{`{"type":"fixed","name":"D","size":12,"logicalType":"decimal","precision":20,"scale":3}`, big.NewRat(1, 8), "0.125"},
		{`{"type":"string","logicalType":"uuid"}`, "00112233-4455-6677-8899-aabbccddeeff", `"00112233-4455-6677-8899-aabbccddeeff"`},
		{`{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`, [16]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, `"00112233-4455-6677-8899-aabbccddeeff"`},
		{`{"type":"fixed","name":"P","size":12,"logicalType":"duration"}`, avro.Duration{Months: 1, Days: 2, Milliseconds: 3004}, `"P1M2DT3.004S"`},
		{`{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"int"},{"name":"b","type":{"type":"record","name":"S","fields":[]}},{"name":"c","type":"S"}]}`,
			map[string]any{"a": 1, "b": map[string]any{}, "c": map[string]any{}}, `{"a":1,"b":{},"c":{}}`},
		{`{"type":"record","name":"List","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","List"]}]}`,
			map[string]any{"v": 1, "next": map[string]any{"v": 2, "next": nil}}, `{"v":1,"next":{"v":2,"next":null}}`},
	} {
		schema, err := avro.Parse(c.schema)
		if err != nil {
			t.Fatalf("%s: %v", c.schema, err)
		}
		data, err := schema.Encode(c.value)
		if err != nil {
			t.Fatalf("%s: %v: %v", c.schema, c.value, err)
		}
		got, err := compiled(t, c.schema).Append(nil, data, 1<<20)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.schema, got, err, c.want)
		}
	}
}

// TestReferences resolves names of other schemas, in the same namespace and in
// another one.
func TestReferences(t *testing.T) {
	plan := compiled(t,
		`{"type":"enum","name":"Mode","namespace":"edr","symbols":["kernel","user"]}`,
		`{"type":"record","name":"Host","namespace":"inventory","fields":[{"name":"name","type":"string"}]}`,
		`{"type":"record","name":"Beat","namespace":"edr","fields":[{"name":"mode","type":"Mode"},{"name":"host","type":"inventory.Host"},{"name":"again","type":["null","inventory.Host"]}]}`,
	)
	got, err := plan.Append(nil, []byte{2, 2, 'a', 2, 2, 'b'}, 1<<20)
	if want := `{"mode":"user","host":{"name":"a"},"again":{"name":"b"}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestSchemasThatMakeNoPlan(t *testing.T) {
	for _, schema := range []string{``, `{`, `"Missing"`, `{"type":"record","name":"R","fields":[{"name":"a","type":"Missing"}]}`,
		`{"type":"bytes","logicalType":"decimal","precision":2000,"scale":1500}`, strings.Repeat(`{"type":"array","items":`, 100_000)} {
		if _, err := Compile(schema); err == nil {
			t.Errorf("%.80s makes a plan", schema)
		}
	}
	if _, err := Compile(); err == nil {
		t.Error("no schema makes a plan")
	}
}

// TestBlocksOfBothKinds reads an array in a counted block and in one with its
// size, as streaming producers write it.
func TestBlocksOfBothKinds(t *testing.T) {
	plan := compiled(t, `{"type":"array","items":"int"}`)
	got, err := plan.Append(nil, []byte{2, 2, 3, 4, 4, 6, 0}, 100) // One element; then -2 elements of 2 bytes.
	if err != nil || string(got) != "[1,2,3]" {
		t.Errorf("%s, %v", got, err)
	}
}

// TestHostileValues must end in an error, and soon.
func TestHostileValues(t *testing.T) {
	zero := `{"type":"record","name":"Z","fields":[]}`
	for name, c := range map[string]struct{ schema, data string }{
		"nothing":                     {`"int"`, ""},
		"a number cut off":            {`"long"`, "80"},
		"a number without an end":     {`"long"`, "ffffffffffffffffffffff01"},
		"a text longer than the data": {`"string"`, "7e61"},
		"a text of negative length":   {`"string"`, "01"},
		"text that is not UTF-8":      {`"string"`, "02ff"},
		"a key that is not UTF-8":     {`{"type":"map","values":"int"}`, "0202ff0000"},
		"an unknown symbol":           {`{"type":"enum","name":"E","symbols":["A"]}`, "02"},
		"an unknown branch":           {`["null","int"]`, "04"},
		"a negative branch":           {`["null","int"]`, "01"},
		"more behind it":              {`"int"`, "0200"},
		"a fixed cut off":             {`{"type":"fixed","name":"F","size":4}`, "01"},
		"endless nulls":               {`{"type":"array","items":"null"}`, "feffffffffffffffff01"},
		"endless empty records":       {`{"type":"array","items":` + zero + `}`, "feffffffffffffffff01"},
		"an impossible count":         {`{"type":"array","items":"null"}`, "ffffffffffffffffff0100"},
		"a huge decimal":              {`{"type":"bytes","logicalType":"decimal","precision":9}`, "9006" + strings.Repeat("7f", 392)},
		"a record in itself":          {`{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}`, ""},
		"a list deeper than is read":  {`{"type":"record","name":"L","fields":[{"name":"n","type":["null","L"]}]}`, strings.Repeat("02", 100) + "00"},
	} {
		data, err := hex.DecodeString(c.data)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := Compile(c.schema)
		if err != nil {
			continue // The library knows better already.
		}
		if got, err := plan.Append(nil, data, 1<<16); err == nil {
			t.Errorf("%s: got %.100s", name, got)
		} else if strings.HasPrefix(name, "endless") != errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDoublingSchema has records that hold the next one twice: no data at all
// would become 2^40 values.
func TestDoublingSchema(t *testing.T) {
	schema := `"null"`
	for i := range 40 {
		name := "R" + string(rune('A'+i%26)) + string(rune('a'+i/26))
		schema = `{"type":"record","name":"` + name + `","fields":[{"name":"a","type":` + schema + `},{"name":"b","type":` + twin(i) + `}]}`
	}
	if _, err := compiled(t, schema).Append(nil, nil, 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// twin is the type of the second field on a level: the one that the first
// defined.
func twin(level int) string {
	if level == 0 {
		return `"null"`
	}
	level--
	return `"R` + string(rune('A'+level%26)) + string(rune('a'+level/26)) + `"`
}

const beat = `{"type":"record","name":"Beat","namespace":"edr","fields":[
	{"name":"aid","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"mode","type":{"type":"enum","name":"Mode","symbols":["kernel","user"]}},
	{"name":"cpu","type":["null","double"]},{"name":"tags","type":{"type":"map","values":"string"}},
	{"name":"cost","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
	{"name":"hashes","type":{"type":"array","items":{"type":"fixed","name":"Hash","size":4}}},
	{"name":"parent","type":["null","Beat"]}]}`

func encodedBeat(t testing.TB) []byte {
	t.Helper()
	schema, err := avro.Parse(beat)
	if err != nil {
		t.Fatal(err)
	}
	data, err := schema.Encode(map[string]any{
		"aid": "a1", "at": int64(1784434147123), "mode": "user", "cpu": 1.5, "tags": map[string]string{"site": "berlin"},
		"cost": big.NewRat(5, 4), "hashes": [][]byte{{1, 2, 3, 4}}, "parent": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestNothingIsAllocated(t *testing.T) {
	plan, data, room := compiled(t, beat), encodedBeat(t), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := plan.Append(room, data, 1<<20); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzAppend reads any bytes by a schema with all that there is: they become
// valid JSON or an error.
func FuzzAppend(f *testing.F) {
	plan := compiled(f, beat)
	f.Add(encodedBeat(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := plan.Append([]byte("x"), data, 1<<18)
		if out[0] != 'x' || err == nil && !json.Valid(out[1:]) {
			t.Fatalf("%x became %s", data, out)
		}
	})
}

// FuzzCompile reads any schema: it makes a plan or an error, and the plan does
// not fall over data that do not fit.
func FuzzCompile(f *testing.F) {
	f.Add(beat, []byte{0})
	f.Add(`["null",{"type":"array","items":"long"}]`, []byte{2, 2, 2, 0})
	f.Fuzz(func(t *testing.T, schema string, data []byte) {
		plan, err := Compile(schema)
		if err != nil {
			return
		}
		if out, err := plan.Append(nil, data, 1<<16); err == nil && !json.Valid(out) {
			t.Fatalf("%s: %x became %s", schema, data, out)
		}
	})
}
