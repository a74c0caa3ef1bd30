package decode

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/avro"
	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline/decode/registry/registrytest"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	heartbeat  = `{"event_simpleName":"SensorHeartbeat","aid":"a1"}`
	beatSchema = `{"type":"record","name":"Beat","fields":[{"name":"event_simpleName","type":"string"},{"name":"aid","type":"string"}]}`
)

func newDecoders(t testing.TB, change func(*Config)) (*Decoders, *Chain, *prometheus.Registry) {
	t.Helper()
	cfg, reg := DefaultConfig(), prometheus.NewRegistry()
	if change != nil {
		change(&cfg)
	}
	d, err := New(cfg, Settings{Source: "kafka", Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	chain, err := d.NewChain()
	if err != nil {
		t.Fatal(err)
	}
	return d, chain, reg
}

// withRegistry returns decoders and the registry that they ask, which knows
// beatSchema as 7.
func withRegistry(t *testing.T) (*Decoders, *Chain, *prometheus.Registry, *registrytest.Server) {
	t.Helper()
	s := registrytest.New(t)
	s.Add(7, registrytest.Schema{Schema: beatSchema})
	d, chain, reg := newDecoders(t, func(c *Config) { c.SchemaRegistry.URLs = []string{s.URL} })
	return d, chain, reg, s
}

func gzipped(value []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(value)
	_ = w.Close()
	return out.Bytes()
}

func zstandard(t testing.TB, value []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(value, nil)
}

func asCBOR(t testing.TB) []byte {
	t.Helper()
	mode, err := cbor.EncOptions{Sort: cbor.SortLengthFirst}.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	out, err := mode.Marshal(map[string]string{"event_simpleName": "SensorHeartbeat", "aid": "a1"})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// framed puts what Confluent's serializers write before a value.
func framed(id uint32, value []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), value...)
}

func asAvro(t testing.TB, id uint32) []byte {
	t.Helper()
	schema, err := avro.Parse(beatSchema)
	if err != nil {
		t.Fatal(err)
	}
	value, err := schema.Encode(map[string]any{"event_simpleName": "SensorHeartbeat", "aid": "a1"})
	if err != nil {
		t.Fatal(err)
	}
	return framed(id, value)
}

// TestValuesAreDecoded takes every encoding, alone and in another one, and keeps
// what the source delivered.
func TestValuesAreDecoded(t *testing.T) {
	_, chain, _, s := withRegistry(t)
	s.Add(8, registrytest.Schema{Schema: `{"type":"object"}`, Type: "JSON"})
	const swapped = `{"aid":"a1","event_simpleName":"SensorHeartbeat"}`
	for name, c := range map[string]struct {
		value []byte
		want  string
	}{
		"gzip":                {gzipped([]byte(heartbeat)), heartbeat},
		"gzip of two members": {append(gzipped([]byte(heartbeat[:9])), gzipped([]byte(heartbeat[9:]))...), heartbeat},
		"zstd":                {zstandard(t, []byte(heartbeat)), heartbeat},
		"cbor":                {asCBOR(t), swapped},
		"marked cbor":         {append([]byte(selfDescribed), asCBOR(t)...), swapped},
		"avro":                {asAvro(t, 7), heartbeat},
		"json with a schema":  {framed(8, []byte(heartbeat)), heartbeat},
		"zstd around avro":    {zstandard(t, asAvro(t, 7)), heartbeat},
		"gzip around cbor":    {gzipped(asCBOR(t)), swapped},
		"gzip around text":    {gzipped([]byte("CEF:0|a|b")), "CEF:0|a|b"},
	} {
		in := event.Record{Offset: 3, Time: 4, Key: []byte("k"), Value: bytes.Clone(c.value)}
		got, err := chain.Decode(t.Context(), &in)
		if err != nil || string(got.Value) != c.want || got.Fault != nil {
			t.Errorf("%s: %q, %v, %v", name, got.Value, got.Fault, err)
			continue
		}
		if !bytes.Equal(got.Raw, c.value) || !bytes.Equal(in.Value, c.value) || in.Raw != nil || got.Offset != 3 || got.Time != 4 || string(got.Key) != "k" {
			t.Errorf("%s: the record is another one: %+v, in %+v", name, got, in)
		}
	}
}

// TestOtherValuesAreLeftAlone gives back the very record for what is no encoding,
// though it may begin like one.
func TestOtherValuesAreLeftAlone(t *testing.T) {
	_, chain, reg, _ := withRegistry(t)
	for _, value := range []string{heartbeat, "", " {}", "[]", "\ufeff{}", "<134>1 CEF:0|", "(text)", "\x28\xb5\x2f", "\x1f\x8b", "\x1f\x8b\x07 ", "\x00", "\x00\x01\x02\xff", "\xd9\x00", "\xc3\xa9"} {
		in := event.Record{Value: []byte(value)}
		if got, err := chain.Decode(t.Context(), &in); err != nil || got != &in || in.Raw != nil {
			t.Errorf("%q: %+v, %v", value, got, err)
		}
	}
	broken := event.Record{Value: gzipped([]byte(heartbeat)), Fault: io.ErrUnexpectedEOF}
	if got, err := chain.Decode(t.Context(), &broken); err != nil || got != &broken {
		t.Errorf("a record that its source could not read: %+v, %v", got, err)
	}
	if n := counted(t, reg, ""); n != 0 {
		t.Errorf("%v values are counted", n)
	}
}

// TestOnlyWhatIsListed decodes nothing else.
func TestOnlyWhatIsListed(t *testing.T) {
	for listed, want := range map[string]string{"gzip": "gzip", "cbor": "cbor", "none": "", "auto": "gzip zstd cbor avro"} {
		_, chain, _ := newDecoders(t, func(c *Config) { c.Decoders = []string{listed} })
		var got []string
		for name, value := range map[string][]byte{"gzip": gzipped([]byte(heartbeat)), "zstd": zstandard(t, []byte(heartbeat)), "cbor": asCBOR(t), "avro": asAvro(t, 7)} {
			in := event.Record{Value: value}
			if out, err := chain.Decode(t.Context(), &in); err != nil {
				t.Error(err)
			} else if out != &in {
				got = append(got, name)
			}
		}
		if len(got) != len(strings.Fields(want)) {
			t.Errorf("decoders: [%s] decodes %v, want %s", listed, got, want)
		}
		for _, name := range got {
			if !strings.Contains(want, name) {
				t.Errorf("decoders: [%s] decodes %s", listed, name)
			}
		}
	}
}

// TestAvroWithoutARegistrySaysWhatToDo tells an operator why the dead letter fills.
func TestAvroWithoutARegistrySaysWhatToDo(t *testing.T) {
	_, chain, _ := newDecoders(t, nil)
	got, err := chain.Decode(t.Context(), &event.Record{Value: asAvro(t, 7)})
	if err != nil || got.Fault == nil || !strings.Contains(got.Fault.Error(), "set schema_registry.urls") {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestFaultyValues condemns what begins like an encoding and is none, with the
// reason and with the bytes that the source delivered.
func TestFaultyValues(t *testing.T) {
	_, chain, reg, s := withRegistry(t)
	s.Add(9, registrytest.Schema{Schema: `syntax = "proto3";`, Type: "PROTOBUF"})
	s.Add(10, registrytest.Schema{Schema: `{"type":"array","items":"null"}`})
	packed := gzipped([]byte(heartbeat))
	nulls := framed(10, append(bytes.Repeat([]byte{0xfe}, 8), 1))
	for name, c := range map[string]struct {
		value  []byte
		reason fault.Reason
		detail string
	}{
		"gzip cut off":           {packed[:len(packed)-9], fault.Undecodable, "decoding gzip"},
		"gzip of a false sum":    {append(packed[:len(packed)-8:len(packed)-8], 0, 0, 0, 0, 0, 0, 0, 0), fault.Undecodable, "decoding gzip"},
		"gzip with more behind":  {append(bytes.Clone(packed), "garbage"...), fault.Undecodable, "decoding gzip"},
		"zstd cut off":           {zstandard(t, []byte(heartbeat))[:20], fault.Undecodable, "decoding zstd"},
		"cbor cut off":           {asCBOR(t)[:9], fault.Undecodable, "decoding cbor"},
		"latin-1":                {[]byte("\xa0text"), fault.Undecodable, "decoding cbor"},
		"avro cut off":           {asAvro(t, 7)[:9], fault.Undecodable, "schema 7"},
		"an unknown schema":      {asAvro(t, 99), fault.UnknownSchema, "schema 99"},
		"a schema below zero":    {asAvro(t, 1<<31), fault.Undecodable, "which no registry has"},
		"protobuf":               {framed(9, []byte{1}), fault.UnknownSchema, "PROTOBUF"},
		"nulls without an end":   {nulls, fault.TooLarge, "8 MiB"},
		"gzip thrice":            {gzipped(gzipped(packed)), fault.Undecodable, "more than 2 times"},
		"gzip of avro in a zstd": {zstandard(t, gzipped(asAvro(t, 7))), fault.Undecodable, "more than 2 times"},
	} {
		in := event.Record{Value: c.value}
		got, err := chain.Decode(t.Context(), &in)
		if err != nil || got.Fault == nil {
			t.Errorf("%s: %q, %v", name, got.Value, err)
			continue
		}
		if f := fault.Of(got.Fault); f.Class != fault.Permanent || f.Reason != c.reason || !strings.Contains(got.Fault.Error(), c.detail) {
			t.Errorf("%s: %v (%s)", name, got.Fault, f.Reason)
		}
		if !bytes.Equal(got.Raw, c.value) {
			t.Errorf("%s: the bytes are lost", name)
		}
	}
	if n := counted(t, reg, "failed"); n != 13 {
		t.Errorf("%v failures are counted", n)
	}
}

// counted adds up the values by outcome; by all outcomes for "".
func counted(t *testing.T, reg *prometheus.Registry, outcome string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "edrwatch_records_decoded_total" && l.GetName() == "outcome" && (outcome == "" || l.GetValue() == outcome) {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// TestBombs decompress to a gigabyte: they are condemned, and cost no more than
// what a value may become.
func TestBombs(t *testing.T) {
	_, chain, _ := newDecoders(t, nil)
	zeros := make([]byte, 1<<20)
	var packed, frame bytes.Buffer
	gz := gzip.NewWriter(&packed)
	zs, err := zstd.NewWriter(&frame, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for range 1 << 10 {
		_, _ = gz.Write(zeros)
		_, _ = zs.Write(zeros)
	}
	_, _ = gz.Close(), zs.Close()
	for name, value := range map[string][]byte{"gzip": packed.Bytes(), "zstd": frame.Bytes(), "gzip in gzip": gzipped(packed.Bytes()), "zstd with its size": zstandard(t, make([]byte, 64<<20))} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := chain.Decode(t.Context(), &event.Record{Value: value})
		runtime.ReadMemStats(&after)
		if err != nil || fault.Of(got.Fault) == nil || fault.Of(got.Fault).Reason != fault.TooLarge {
			t.Errorf("%s: %v, %v", name, got.Fault, err)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 10*maxDecoded {
			t.Errorf("%s: %d MiB were allocated", name, spent>>20)
		}
	}
	// What they took is not kept.
	if _, err := chain.Decode(t.Context(), &event.Record{Value: gzipped(gzipped([]byte(heartbeat)))}); err != nil {
		t.Fatal(err)
	}
	for _, room := range chain.rooms {
		if cap(room) > keptRoom {
			t.Errorf("%d bytes are kept", cap(room))
		}
	}
}

// TestARegistryThatIsDownCondemnsNothing gives the same record again.
func TestARegistryThatIsDownCondemnsNothing(t *testing.T) {
	d, chain, reg, s := withRegistry(t)
	in := event.Record{Value: asAvro(t, 7)}
	for _, status := range []int{http.StatusInternalServerError, http.StatusUnauthorized, http.StatusNotFound} {
		s.Fail(status)
		got, err := chain.Decode(t.Context(), &in)
		if f := fault.Of(err); got != nil || f == nil || f.Class == fault.Permanent {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
		if d.Health(t.Context()) == nil || d.Check(t.Context()) == nil {
			t.Errorf("%d: it is healthy", status)
		}
	}
	s.Answer(nil)
	if got, err := chain.Decode(t.Context(), &in); err != nil || string(got.Value) != heartbeat {
		t.Errorf("%+v, %v", got, err)
	}
	if err := d.Health(t.Context()); err != nil {
		t.Error(err)
	}
	if counted(t, reg, "waited") != 3 || counted(t, reg, "decoded") != 1 || counted(t, reg, "failed") != 0 {
		t.Error("the outcomes are not counted")
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP edrwatch_schema_registry_lookups_total Schemas that the schema registry was asked for, by outcome: found, unknown (it has none, or one that cannot be used), failed (it could not be asked; the partition waits).
# TYPE edrwatch_schema_registry_lookups_total counter
edrwatch_schema_registry_lookups_total{outcome="failed",source="kafka"} 6
edrwatch_schema_registry_lookups_total{outcome="found",source="kafka"} 1
edrwatch_schema_registry_lookups_total{outcome="unknown",source="kafka"} 0
`), "edrwatch_schema_registry_lookups_total"); err != nil {
		t.Error(err)
	}
}

// TestNothingIsAllocated holds the steady state of every decoder, and of values
// that need none.
func TestNothingIsAllocated(t *testing.T) {
	_, chain, _, _ := withRegistry(t)
	long := []byte(`{"text":"` + strings.Repeat("heartbeat ", 300) + `"}`)
	samples := map[string][]byte{"json": []byte(heartbeat), "gzip": gzipped(long), "zstd": zstandard(t, long), "cbor": asCBOR(t), "avro": asAvro(t, 7)}
	for _, name := range Names() {
		if samples[name] == nil {
			t.Errorf("%s has no sample", name)
		}
	}
	for name, value := range samples {
		in, ctx := &event.Record{Value: value}, context.Background()
		decode := func() {
			if got, err := chain.Decode(ctx, in); err != nil || got.Fault != nil {
				t.Fatal(name, err)
			}
		}
		decode() // Buffers grow, the schema is asked for.
		if n := testing.AllocsPerRun(50, decode); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestEveryDecoderIsDocumented finds each in the README, in the configuration that
// explains every setting, and alone in a chain.
func TestEveryDecoderIsDocumented(t *testing.T) {
	s := registrytest.New(t)
	for _, name := range Names() {
		for _, file := range []string{"../../README.md", "../../deploy/config/edrwatch.yaml"} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), name) {
				t.Errorf("%s does not say what %s is", file, name)
			}
		}
		newDecoders(t, func(c *Config) {
			c.Decoders = []string{name}
			if name == "avro" {
				c.SchemaRegistry.URLs = []string{s.URL}
			}
		})
	}
}

func TestConfigurationThatCannotWork(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`decoders[1]: expected one of gzip, zstd, cbor, avro, auto, none, found "zsdt": did you mean "zstd"?`: func(c *Config) { c.Decoders = []string{"gzip", "zsdt"} },
		"decoders[0]: expected none to stand alone":                                                           func(c *Config) { c.Decoders = []string{"none", "gzip"} },
		"decoders[0]: avro needs schema_registry.urls":                                                        func(c *Config) { c.Decoders = []string{"avro"} },
		"schema_registry.urls: nothing asks the registry: add avro to decoders": func(c *Config) {
			c.Decoders, c.SchemaRegistry.URLs = []string{"gzip"}, []string{"https://registry.example"}
		},
		"schema_registry.timeout: expected 1ms to 1m, found 0s": func(c *Config) { c.SchemaRegistry.Timeout = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, err := New(cfg, Settings{Source: "kafka"}); err == nil {
			t.Errorf("%s: decoders are made", want)
		}
	}
}

// BenchmarkPlain is what a value costs that needs no decoding.
func BenchmarkPlain(b *testing.B) {
	_, chain, _ := newDecoders(b, nil)
	in, ctx := &event.Record{Value: []byte(heartbeat)}, context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := chain.Decode(ctx, in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode is what each decoder costs for a heartbeat.
func BenchmarkDecode(b *testing.B) {
	s := registrytest.New(b)
	s.Add(7, registrytest.Schema{Schema: beatSchema})
	_, chain, _ := newDecoders(b, func(c *Config) { c.SchemaRegistry.URLs = []string{s.URL} })
	for name, value := range map[string][]byte{"gzip": gzipped([]byte(heartbeat)), "zstd": zstandard(b, []byte(heartbeat)), "cbor": asCBOR(b), "avro": asAvro(b, 7)} {
		b.Run(name, func(b *testing.B) {
			in, ctx := &event.Record{Value: value}, context.Background()
			b.ReportAllocs()
			b.SetBytes(int64(len(heartbeat)))
			for b.Loop() {
				if _, err := chain.Decode(ctx, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzDecode takes any value: it is left alone, decoded or condemned, with its
// bytes kept, and what CBOR becomes is JSON.
func FuzzDecode(f *testing.F) {
	for _, seed := range [][]byte{[]byte(heartbeat), gzipped([]byte(heartbeat)), zstandard(f, []byte(heartbeat)), asCBOR(f), asAvro(f, 7)} {
		f.Add(seed)
	}
	_, chain, _ := newDecoders(f, nil)
	f.Fuzz(func(t *testing.T, value []byte) {
		in := event.Record{Value: bytes.Clone(value)}
		got, err := chain.Decode(t.Context(), &in)
		if err != nil || !bytes.Equal(in.Value, value) {
			t.Fatalf("%x: %v", value, err)
		}
		if got == &in || got.Fault != nil {
			return
		}
		if !bytes.Equal(got.Raw, value) || len(got.Value) > maxDecoded {
			t.Fatalf("%x became %d bytes", value, len(got.Value))
		}
		if value[0]&0xc0 == 0x80 && !json.Valid(got.Value) {
			t.Fatalf("%x became %s", value, got.Value)
		}
	})
}
