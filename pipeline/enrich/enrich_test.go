package enrich

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// write makes a file of its own in a directory of the test.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newEvent(t testing.TB) *event.Event {
	t.Helper()
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	return event.New(dict)
}

const hosts = `host,site,ring,owner,criticality
# Comments are left away.
PC-0042,paris,,Finance,
pc-*,lyon,pilot,,
pc-00*,nice,early,,high
*-srv-*,berlin,,Platform,critical
`

const networks = `- {network: 203.0.113.0/24, site: egress-1}
- {network: 203.0.113.128/25, site: egress-2}
- {network: 2001:db8::/32, site: six}
- {tag: branch-7, site: tagged}
- {agent: A1B2, site: by-agent}
`

func TestProcess(t *testing.T) {
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.Files = []string{write(t, dir, "hosts.csv", hosts), write(t, dir, "networks.yml", networks)}
	x, err := New(cfg, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, agent, host, tags, address, want string }{
		{"host before pattern, attribute by attribute", "", "pc-0042.example.com", "", "", "paris early Finance high"},
		{"the more literal pattern", "", "PC-0043", "", "", "nice early  high"},
		{"pattern", "", "pc-x", "", "", "lyon pilot  "},
		{"pattern that begins with a wildcard", "", "de-srv-1.example.com", "", "", "berlin  Platform critical"},
		{"agent before host", "a1b2", "pc-0042", "", "", "by-agent early Finance high"},
		{"tag before network", "", "x", "a,branch-7", "203.0.113.5", "tagged   "},
		{"network", "", "x", "", "203.0.113.5", "egress-1   "},
		{"smaller network", "", "x", "", "203.0.113.200", "egress-2   "},
		{"IPv6", "", "x", "", "2001:db8:1:2::3", "six   "},
		{"egress network", "", "x", "", "198.51.100.77", "198.51.100.0/24   "},
		{"egress network of IPv6", "", "x", "", "2001:db9:1:2233::3", "2001:db9:1:2200::/56   "},
		{"private address", "", "x", "", "192.168.1.7", "   "},
		{"nothing known", "", "", "", "", "   "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEvent(t)
			for id, text := range map[ecs.ID]string{ecs.AgentID: tc.agent, ecs.HostName: tc.host, ecs.ObserverIP: tc.address} {
				if text != "" {
					e.SetString(id, text)
				}
			}
			if tc.tags != "" {
				e.Set(ecs.Tags, event.StringList(strings.Split(tc.tags, ",")))
			}
			x.Process(e)
			got := strings.Join([]string{e.Str(ecs.EDRSite), e.Str(ecs.EDRRolloutRing), e.Str(ecs.EDRAssetOwner), e.Str(ecs.EDRAssetCriticality)}, " ")
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestProcessAllocatesNothing(t *testing.T) {
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.Files = []string{write(t, dir, "hosts.csv", hosts), write(t, dir, "networks.yml", networks)}
	x, err := New(cfg, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	e := newEvent(t)
	if n := testing.AllocsPerRun(1000, func() {
		e.Reset()
		e.SetString(ecs.HostName, "PC-0099.example.com")
		e.SetString(ecs.AgentID, "FFFF")
		e.SetString(ecs.ObserverIP, "198.51.100.77")
		x.Process(e)
	}); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "hosts.csv", "host,site\na,one\n")
	cfg := DefaultConfig()
	cfg.Files = []string{path}
	x, err := New(cfg, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	site := func() string {
		e := newEvent(t)
		e.SetString(ecs.HostName, "a")
		x.Process(e)
		return e.Str(ecs.EDRSite)
	}
	change := func(text string, at time.Duration) (bool, error) {
		write(t, dir, "hosts.csv", text)
		stamp := time.Unix(1721362140, 0).Add(at)
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		return x.Reload()
	}
	if changed, err := x.Reload(); changed || err != nil || site() != "one" {
		t.Errorf("before: %v %v %s", changed, err, site())
	}
	if changed, err := change("host,site\na,two\n", 0); !changed || err != nil || site() != "two" {
		t.Errorf("after a change: %v %v %s", changed, err, site())
	}
	if changed, err := change("host,site\n,two\n", time.Minute); changed || err == nil || site() != "two" {
		t.Errorf("a bad file: %v %v %s", changed, err, site())
	}
	if changed, err := x.Reload(); changed || err != nil {
		t.Errorf("the same bad file once more: %v %v", changed, err)
	}
	if changed, err := change("host,site\na,three\n", 2*time.Minute); !changed || err != nil || site() != "three" {
		t.Errorf("mended: %v %v %s", changed, err, site())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if changed, err := x.Reload(); changed || err == nil || site() != "three" {
		t.Errorf("removed: %v %v %s", changed, err, site())
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ file, text, want string }{
		{"empty.csv", "", "expected a header"},
		{"column.csv", "host,sit\n", `unknown column "sit": expected some of agent, host, tag, network, site, ring, owner, criticality (did you mean "site"?)`},
		{"fields.csv", "host,site\na\n", "fields.csv:2:1: wrong number of fields"},
		{"selector.csv", "host,site\n,x\n", "selector.csv:2:1: expected one of agent, host, tag, network in every row"},
		{"two.csv", "host,tag,site\na,b,x\n", "two.csv:2:1: expected one of agent, host, tag, network in a row, found host and tag"},
		{"value.csv", "host,site\na,\n", "value.csv:2:1: expected one of site, ring, owner, criticality in every row"},
		{"network.csv", "network,site\n203.0.113/24,x\n", `network.csv:2:1: expected a network such as 203.0.113.0/24, found "203.0.113/24"`},
		{"pattern.csv", "host,site\npc-[,x\n", `pattern.csv:2:1: expected a host name or a pattern with *, ? and [a-z], found "pc-["`},
		{"kind.yml", "host: a\n", "kind.yml:1:1: expected a list of rows"},
		{"hosts.txt", "", "expected a name that ends in .csv, .yml or .yaml"},
	} {
		cfg := DefaultConfig()
		cfg.Files = []string{write(t, dir, tc.file, tc.text)}
		if _, err := New(cfg, Settings{}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %s", tc.file, err, tc.want)
		}
	}
	if _, err := New(Config{Files: []string{filepath.Join(dir, "missing.csv")}}, Settings{}); err == nil || !strings.Contains(err.Error(), "missing.csv") {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzReadFiles(f *testing.F) {
	f.Add(hosts, networks)
	f.Fuzz(func(t *testing.T, first, second string) {
		rows, err := readCSV("a.csv", []byte(first))
		more, err2 := readYAML("a.yml", []byte(second))
		if err == nil && err2 == nil {
			newTable(append(rows, more...))
		}
	})
}

func BenchmarkProcess(b *testing.B) {
	dir := b.TempDir()
	cfg := DefaultConfig()
	cfg.Files = []string{write(b, dir, "hosts.csv", hosts), write(b, dir, "networks.yml", networks)}
	x, err := New(cfg, Settings{})
	if err != nil {
		b.Fatal(err)
	}
	e := newEvent(b)
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		e.SetString(ecs.HostName, "PC-0099.example.com")
		e.SetString(ecs.ObserverIP, "198.51.100.77")
		x.Process(e)
	}
}
