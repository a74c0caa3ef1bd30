package identity

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// storm makes the links of many records: agents that are reinstalled, renamed,
// cloned, with several products and with names that are shared, as several shards
// would collect them.
func storm(t *testing.T, rng *rand.Rand, records int) []*Links {
	r := New(Config{})
	e := newEvent(t)
	var readers []*Reader
	for range 4 {
		readers = append(readers, r.Reader())
	}
	for range records {
		host := rng.IntN(40)
		at := time.Duration(rng.IntN(200_000)) * time.Second
		product := []string{falcon, defender, sentinel}[rng.IntN(3)]
		text := "type=" + product
		if rng.IntN(4) > 0 {
			text += fmt.Sprintf(",id=%s-%d", product, host+rng.IntN(3)*rng.IntN(2)*40)
		}
		name := []string{"host-%d", "HOST-%d", "host-%d.corp.example", `CORP\host-%d`}[rng.IntN(4)]
		if rng.IntN(3) > 0 {
			text += fmt.Sprintf(",host="+name, (host+rng.IntN(2)*rng.IntN(2))%40)
		}
		if rng.IntN(3) == 0 {
			text += fmt.Sprintf(",hostid=guid-%d", host)
		}
		if rng.IntN(5) == 0 {
			text += fmt.Sprintf(",serial=sn-%d,mac=ac:de:48:00:00:%02x", host/5, host/20)
		}
		if rng.IntN(3) == 0 {
			text += ",action=inventory"
		}
		rd := readers[rng.IntN(len(readers))]
		say(t, e, record{at, text})
		e.Clock = began + int64(48*time.Hour)
		e.SetString(ecs.AgentVersion, fmt.Sprintf("7.%d", rng.IntN(4)))
		e.SetString(ecs.EDRSite, fmt.Sprintf("site-%d", rng.IntN(4)))
		e.Mapped = fmt.Sprintf("feed-%d", rng.IntN(3))
		rd.Resolve(e, e.Clock)
		rd.properties(e, origins{Site: Rank(rng.IntN(3))})
		rd.Learn(e)
	}
	var all []*Links
	for _, rd := range readers {
		for {
			l, left := rd.TakeLinks(1 + rng.IntN(60))
			all = append(all, l)
			if left == 0 {
				break
			}
		}
	}
	return all
}

// TestOrderMakesNoDifference: links that are applied in any order, one by one or
// together, once or several times, over the wire or not, make one registry.
func TestOrderMakesNoDifference(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 2))
		all := storm(t, rng, 800)
		var want []byte
		var wantProbes string
		for try := range 6 {
			r := New(Config{})
			batches := append([]*Links(nil), all...)
			if try > 0 {
				for range rng.IntN(20) {
					batches = append(batches, all[rng.IntN(len(all))])
				}
				rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
			}
			for len(batches) > 0 {
				n := 1 + rng.IntN(len(batches))
				if try%2 == 1 {
					for i := range n {
						read, err := Read(batches[i].AppendTo(nil))
						if err != nil {
							t.Fatal(err)
						}
						batches[i] = read
					}
				}
				r.Apply(batches[:n]...)
				batches = batches[n:]
			}
			got, probes := r.Snapshot().AppendTo(nil), probe(t, r)
			if try == 0 {
				want, wantProbes = got, probes
				continue
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("seed %d, order %d: another registry", seed, try)
			}
			if probes != wantProbes {
				t.Fatalf("seed %d, order %d: resolves otherwise: %s", seed, try, firstDifference(probes, wantProbes))
			}
		}
		// And what was exported makes the same.
		r, again := New(Config{}), New(Config{})
		r.Apply(all...)
		_, entries := r.Export(0)
		for key, value := range entries {
			l, err := Read(value)
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			again.Apply(l)
		}
		if got := again.Snapshot().AppendTo(nil); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: the export makes another registry", seed)
		}
		if got := probe(t, again); got != wantProbes {
			t.Fatalf("seed %d: what the export makes resolves otherwise", seed)
		}
	}
}

// firstDifference returns the first line that differs.
func firstDifference(got, want string) string {
	other := strings.Split(want, "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(other) || line != other[i] {
			return fmt.Sprintf("line %d is %q, want %q", i, line, other[min(i, len(other)-1)])
		}
	}
	return "there is less"
}

// probe returns what names resolve to, and what contradicts itself.
func probe(t *testing.T, r *Registry) string {
	rd := r.Reader()
	defer rd.Close()
	e := newEvent(t)
	var b bytes.Buffer
	for host := range 40 {
		for _, product := range []string{falcon, defender, sentinel} {
			for _, name := range []string{"id=%[1]s-%[2]d", "host=host-%[2]d", "host=host-%[2]d.corp.example", "hostid=guid-%[2]d", "serial=sn-%[2]d"} {
				say(t, e, record{48 * time.Hour, "type=" + product + "," + fmt.Sprintf(name+"%[3]s", product, host, "")})
				rd.Resolve(e, e.Clock)
				fmt.Fprintf(&b, "%s %s %s %s\n", e.Str(ecs.EDREntityID), e.Str(ecs.AgentID), e.Str(ecs.HostName), e.Str(ecs.HostID))
			}
		}
	}
	list, total := r.Contradictions(1000)
	for _, c := range list {
		fmt.Fprintf(&b, "%s %v %v\n", c.Reason, c.Agents, c.Names)
	}
	fmt.Fprintln(&b, total)
	return b.String()
}

// TestCutShort: what finds no place in a batch comes in the next.
func TestCutShort(t *testing.T) {
	r, whole := New(Config{}), New(Config{})
	rd, e := r.Reader(), newEvent(t)
	for n := range 1000 {
		say(t, e, record{0, fmt.Sprintf("type=%s,id=%d,host=pc-%d", falcon, n+1000, n)})
		rd.Resolve(e, e.Clock)
		rd.Learn(e)
	}
	batches := 0
	for {
		l, left := rd.TakeLinks(300)
		if l.Len() > 300 {
			t.Fatalf("a batch of %d", l.Len())
		}
		batches++
		whole.Apply(l)
		if left == 0 {
			break
		}
	}
	if s := whole.Stats(); s.Agents != 1000 || s.Links != 1000 || batches != 7 {
		t.Errorf("%+v after %d batches", s, batches)
	}
}

// TestBadBytes: no bytes make Read panic, and those that are cut short are refused.
func TestBadBytes(t *testing.T) {
	good := storm(t, rand.New(rand.NewPCG(1, 2)), 200)[0].AppendTo(nil)
	for n := range good {
		if _, err := Read(good[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken", n, len(good))
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		b := bytes.Clone(good)
		for range 1 + rng.IntN(4) {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
		if l, err := Read(b); err == nil {
			New(Config{}).Apply(l)
		}
	}
}

// TestExportsConverge: registries that absorb each other's exports know the same
// in the end, and then have nothing more to export.
func TestExportsConverge(t *testing.T) {
	all := storm(t, rand.New(rand.NewPCG(5, 6)), 400)
	topic := map[string][]byte{} // Compacted.
	registries, since := []*Registry{New(Config{}), New(Config{}), New(Config{})}, [3]uint32{}
	whole := New(Config{})
	whole.Apply(all...)
	for i, l := range all {
		registries[i%3].Apply(l)
	}
	for round := range 10 {
		written := 0
		for i, r := range registries {
			for _, value := range topic {
				if err := r.Absorb(value); err != nil {
					t.Fatal(err)
				}
			}
			next, entries := r.Export(since[i])
			since[i] = next
			for key, value := range entries {
				if !bytes.Equal(topic[key], value) {
					topic[key] = value
					written++
				}
			}
		}
		if written == 0 {
			break
		}
		if round == 9 {
			t.Fatal("there is always something new")
		}
	}
	want := whole.Snapshot().AppendTo(nil)
	again := New(Config{})
	for _, value := range topic {
		if err := again.Absorb(value); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range append(registries, again) {
		if !bytes.Equal(r.Snapshot().AppendTo(nil), want) {
			t.Errorf("registry %d knows something else", i)
		}
	}
}

// TestForgotten: beyond its room a registry forgets whom it did not see for
// longest, says so, and exports that they are gone.
func TestForgotten(t *testing.T) {
	r := New(Config{MaxNames: 1000})
	rd, e := r.Reader(), newEvent(t)
	for n := range 5000 {
		say(t, e, record{time.Duration(n) * time.Minute, fmt.Sprintf("type=%s,id=agent-%d,host=pc-%d", falcon, n, n)})
		rd.Resolve(e, e.Clock)
		rd.Learn(e)
		l, _ := rd.TakeLinks(100)
		r.Apply(l)
	}
	s := r.Stats()
	if s.Names > 1000 || s.Names < 900 || s.Evicted != uint64(10_000-s.Names) {
		t.Errorf("%+v", s)
	}
	for n, want := range map[int]bool{10: false, 3000: false, 4600: true, 4999: true} {
		say(t, e, record{5000 * time.Minute, fmt.Sprintf("type=%s,id=agent-%d", falcon, n)})
		rd.Resolve(e, e.Clock)
		if got := e.Str(ecs.HostName) != ""; got != want {
			t.Errorf("agent %d: host is known: %v, want %v", n, got, want)
		}
	}
	gone, kept := 0, 0
	_, entries := r.Export(0)
	for _, value := range entries {
		if value == nil {
			gone++
		} else {
			kept++
		}
	}
	if gone != 5000-kept {
		t.Errorf("%d are exported as gone, %d as known", gone, kept)
	}
}

// TestReadersWhileLinksAreApplied is for the race detector.
func TestReadersWhileLinksAreApplied(t *testing.T) {
	r := New(Config{MaxNames: 500})
	var group sync.WaitGroup
	for shard := range 4 {
		group.Go(func() {
			s, e := NewIdentifier(r, nil, nil).ForShard(), newEvent(t)
			defer s.Close()
			for n := range 3000 {
				say(t, e, record{time.Duration(n) * 20 * time.Second, fmt.Sprintf("type=%s,id=agent-%d,host=pc-%d,version=%d,site=s%d", falcon, n%700, n%700+shard, n%5, n%3)})
				s.Process(e)
			}
		})
	}
	group.Go(func() {
		for range 20 {
			r.Snapshot()
			r.Stats()
			r.Contradictions(10)
		}
	})
	group.Wait()
}
