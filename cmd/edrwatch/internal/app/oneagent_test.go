package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/fleet/identity"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// Feeds of vendors that the simulator does not have.
const (
	topicElastic = "edr.elastic"
	topicCarbon  = "edr.carbon"
)

// simulated returns the records of a scenario, and how many agents they are of.
func simulated(t *testing.T, name string, agents int, seed uint64, length time.Duration) ([]simulator.Emission, simulator.Truth) {
	t.Helper()
	scenario, err := simulator.Shipped(name)
	if err != nil {
		t.Fatal(err)
	}
	if length > 0 {
		scenario.Duration = length
	}
	world, err := simulator.New(simulator.Config{Scenario: scenario, Agents: agents, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	var all []simulator.Emission
	for {
		e, ok := world.Next()
		if !ok {
			return all, world.Truth()
		}
		all = append(all, e)
	}
}

var (
	anyName = regexp.MustCompile(`"([a-z]{3}-(?:srv|pc|lt)-[0-9]{5,})(\.corp\.example)?"`)
	hostID  = regexp.MustCompile(`"hostname":"([^"]+)","id":"([^"]+)"`)
)

// colleagues adds agents of two more vendors on hosts that records name: one
// that beats without any name of its host and says it rarely, and one that only
// an inventory of its console tells of. It returns how many there are.
func colleagues(records []simulator.Emission) ([]simulator.Emission, int) {
	hosts, guids := map[string]int64{}, map[string]string{}
	for _, r := range records {
		if m := hostID.FindSubmatch(r.Value); m != nil {
			guids[string(m[1])] = string(m[2])
		}
		for _, m := range anyName.FindAllSubmatch(r.Value, -1) {
			hosts[string(m[1])] = cmp.Or(hosts[string(m[1])], r.Time)
		}
	}
	end, added := records[len(records)-1].Time, 0
	for n, host := range slices.Sorted(maps.Keys(hosts)) {
		stamp := func(at int64) string { return time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z") }
		add := func(topic, key string, at int64, value string) {
			records = append(records, simulator.Emission{Topic: topic, Key: []byte(key), Value: []byte(value), Time: at})
		}
		if n%5 == 0 {
			added++
			id := fmt.Sprintf("6f1a0000-0000-4000-8000-%012x", n+1)
			machine := guids[host]
			if machine == "" {
				machine = fmt.Sprintf("9999aaaa-0000-4000-8000-%012x", n+1)
			}
			for at := hosts[host]; at < end; at += 60_000 {
				add(topicElastic, id, at, fmt.Sprintf(`{"@timestamp":%q,"agent":{"id":%q},"billable":true,"data_stream":{"dataset":"endpoint.heartbeat","namespace":"default","type":".logs"},"message":"Endpoint heartbeat"}`, stamp(at), id))
			}
			add(topicElastic, id, hosts[host]+90_000, fmt.Sprintf(`{"@timestamp":%q,"agent":{"id":%q,"type":"endpoint","version":"8.19.5"},"host":{"id":%q,"name":"%s.corp.example","hostname":%q},"data_stream":{"dataset":"endpoint.metadata","namespace":"default","type":"metrics"},"Endpoint":{"status":"enrolled"},"event":{"id":"m%d"}}`,
				stamp(hosts[host]+90_000), id, machine, host, host, n))
		}
		if n%7 == 0 {
			added++
			for at := hosts[host] + 5*60_000; at < end; at += 30 * 60_000 {
				add(topicCarbon, fmt.Sprint(n), at, fmt.Sprintf(`{"id":"%d","name":%q,"organization_id":"1","ad_domain":"corp.example","os":"WINDOWS","os_version":"Windows 11 x64","status":"REGISTERED","sensor_version":"4.0.2.1234","sensor_states":["ACTIVE","DRIVER_KERNEL"],"last_contact_time":%q,"last_reported_time":%q}`,
					n+10_000, strings.ToUpper(host), stamp(at-60_000), stamp(at)))
			}
		}
	}
	slices.SortStableFunc(records, func(a, b simulator.Emission) int { return cmp.Compare(a.Time, b.Time) })
	return records, added
}

// otherNames writes the names of hosts otherwise in each feed: with a domain in
// one, in capitals in another, with the old form of a domain in a third.
func otherNames(records []simulator.Emission) {
	for i := range records {
		r := &records[i]
		r.Value = anyName.ReplaceAllFunc(r.Value, func(quoted []byte) []byte {
			name := strings.TrimSuffix(strings.Trim(string(quoted), `"`), ".corp.example")
			switch r.Topic {
			case simulator.TopicMetrics:
				name += ".corp.example"
			case simulator.TopicFDR:
				name = strings.ToUpper(name)
			case simulator.TopicWindows:
				name = `CORP\\` + strings.ToUpper(name)
			case simulator.TopicDefender:
				name = strings.ToUpper(name) + ".CORP.EXAMPLE."
			}
			return []byte(`"` + name + `"`)
		})
	}
}

// gateway is all that takes records, without a source and a sink: shards with one
// registry and one fleet.
type gateway struct {
	cfg        config.Config
	detection  *Detection
	processors *Processors
	fleet      *fleet.Fleet
	shards     map[event.Partition]*pipeline.Shard
	offsets    map[event.Partition]int64
	seen       func(*pipeline.Shard)
}

func newGateway(t *testing.T, detection *Detection) *gateway {
	t.Helper()
	return gatewayWith(t, detection, config.Default())
}

func gatewayWith(t *testing.T, detection *Detection, cfg config.Config) *gateway {
	t.Helper()
	g := &gateway{cfg: cfg, detection: detection, fleet: fleet.New(fleet.DefaultConfig(), nil), shards: map[event.Partition]*pipeline.Shard{}, offsets: map[event.Partition]int64{}}
	var err error
	if g.processors, err = NewProcessors(&g.cfg, detection.Dictionary, nil, nil); err != nil {
		t.Fatal(err)
	}
	g.fleet.Know(g.processors.Registry)
	return g
}

// take brings records into as many partitions a topic, each record to that of its
// key.
func (g *gateway) take(records []simulator.Emission, partitions int) {
	for i := range records {
		r := &records[i]
		p := event.Partition{Prefix: "c", Topic: r.Topic, Number: int32(xxhash.Sum64(r.Key) % uint64(partitions))}
		at := p
		if partitions == 1 {
			at = event.Partition{} // One shard for all, as in a replay.
		}
		shard := g.shards[at]
		if shard == nil {
			shard = pipeline.NewShard(g.cfg.Pipeline.Shard(), g.detection.NewMapper(), g.detection.NewDetector(5*time.Minute, g.fleet), g.processors.List()...)
			g.shards[at] = shard
		}
		g.offsets[p]++
		shard.Reset()
		shard.Process(&p, &event.Record{Offset: g.offsets[p], Time: r.Time, Key: r.Key, Value: r.Value}, false)
		if g.seen != nil {
			g.seen(shard)
		}
	}
	for _, shard := range g.shards {
		shard.Close()
	}
}

// agents lists the inventory, and the hosts that stand there more than once for
// one product.
func (g *gateway) agents(t *testing.T) (list []fleet.Record, twins []string) {
	t.Helper()
	page, err := g.fleet.Inventory(t.Context(), fleet.Query{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, a := range page.Agents {
		host := strings.ToLower(a.Host[strings.IndexByte(a.Host, '\\')+1:])
		host, _, _ = strings.Cut(host, ".")
		if key := a.Product + "/" + cmp.Or(host, a.ID); a.Presence != "gone" {
			if seen[key]++; seen[key] == 2 {
				twins = append(twins, key)
			}
		}
	}
	return page.Agents, twins
}

// TestEveryAgentOnce: of five vendors in six feeds the inventory lists exactly as
// many agents as there are, however many partitions there are and however the
// feeds write the names of hosts.
func TestEveryAgentOnce(t *testing.T) {
	detection, err := LoadDetection(DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		scenario   string
		seed       uint64
		partitions int
		names      bool
	}{
		{"july19", 1, 1, false}, {"july19", 1, 16, false}, {"july19", 2, 16, true}, {"july19", 3, 1, true}, {"quiet", 4, 16, true}, {"office-week", 5, 8, false},
	} {
		t.Run(fmt.Sprintf("%s seed %d, %d partitions, other names %v", tc.scenario, tc.seed, tc.partitions, tc.names), func(t *testing.T) {
			records, truth := simulated(t, tc.scenario, 200, tc.seed, 100*time.Minute)
			records, added := colleagues(records)
			if tc.names {
				otherNames(records)
			}
			g := newGateway(t, detection)
			g.take(records, tc.partitions)
			list, twins := g.agents(t)
			if len(list) != truth.Heard+added || len(twins) > 0 {
				t.Errorf("%d agents are listed of %d; more than once: %v", len(list), truth.Heard+added, twins)
			}
			if list, n := g.processors.Registry.Contradictions(3); n > 0 {
				t.Errorf("%d contradictions, such as %v", n, list)
			}
		})
	}
}

// called are the ids of agents with the host that records name beside them.
var called = regexp.MustCompile(`"(?:aid|DeviceId)":"([0-9a-f]+)".*?"(?:ComputerName|DeviceName)":"([a-z0-9-]+)`)

// TestHostsThatAreSetUpAnew: the agents that were on them before are gone, and are
// no silent ones, though each agent's records are in another partition.
func TestHostsThatAreSetUpAnew(t *testing.T) {
	detection, err := LoadDetection(DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	records, truth := simulated(t, "reimages", 150, 2, 0)
	latest, before := map[string]string{}, map[string]bool{} // of a host; ids that are over
	for _, r := range records {
		if m := called.FindSubmatch(r.Value); m != nil {
			id, host := string(m[1]), string(m[2])
			if old := latest[host]; old != "" && old != id {
				before[old] = true
			}
			latest[host] = id
		}
	}
	for _, partitions := range []int{1, 16} {
		g := newGateway(t, detection)
		g.take(records, partitions)
		list, twins := g.agents(t)
		over := 0
		for _, a := range list {
			if before[a.ID] {
				over++
				if a.Presence != "gone" && a.Presence != "unknown" {
					t.Errorf("%d partitions: %s on %s is %s", partitions, a.ID, a.Host, a.Presence)
				}
			}
		}
		if over == 0 || over != len(before) || len(list) != truth.Heard+over || len(twins) > 0 {
			t.Errorf("%d partitions: %d agents on %d hosts, %d are over of %d; more than once: %v", partitions, len(list), truth.Heard, over, len(before), twins)
		}
		if list, n := g.processors.Registry.Contradictions(3); n > 0 {
			t.Errorf("%d contradictions, such as %v", n, list)
		}
	}
}

// TestClonesAreReported: one id on two hosts is one agent that contradicts itself.
func TestClonesAreReported(t *testing.T) {
	detection, err := LoadDetection(DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	var records []simulator.Emission
	start := time.Date(2024, 7, 19, 4, 0, 0, 0, time.UTC)
	for n := range 40 {
		at := start.Add(time.Duration(n) * 5 * time.Minute).UnixMilli()
		for agent, host := range map[string]string{"a1b2": fmt.Sprintf("srv-%d", n%2), "c3d4": "srv-2"} {
			id := strings.Repeat(agent, 8)
			records = append(records, simulator.Emission{Topic: simulator.TopicFDR, Key: []byte(id), Time: at, Value: fmt.Appendf(nil,
				`{"aid":%q,"cid":"c1","event_platform":"Win","event_simpleName":"AgentOnline","name":"AgentOnlineWinV16","id":"%s-%d","timestamp":"%d","AgentVersion":"7.16.18613.0","ComputerName":%q}`, id, id, n, at, host)})
		}
	}
	g := newGateway(t, detection)
	g.take(records, 16)
	list, _ := g.agents(t)
	contradictions, n := g.processors.Registry.Contradictions(10)
	if n != 1 || contradictions[0].Reason != identity.TwoHosts || !slices.Equal(contradictions[0].Names, []string{"srv-0", "srv-1"}) {
		t.Errorf("%d contradictions: %v", n, contradictions)
	}
	for _, a := range list {
		if cloned := strings.HasPrefix(a.ID, "a1b2"); len(list) != 2 || a.Contradictions != cloned {
			t.Errorf("of %d agents %s is marked: %v", len(list), a.ID, a.Contradictions)
		}
	}
}

// TestRecordsSayWhoTheyAreAbout: of agents that were heard for an hour nearly
// every document names the host.
func TestRecordsSayWhoTheyAreAbout(t *testing.T) {
	detection, err := LoadDetection(DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	records, _ := simulated(t, "july19", 200, 7, 150*time.Minute)
	records, _ = colleagues(records)
	first := map[string]int64{}
	all, named, placed := 0, 0, 0
	g := newGateway(t, detection)
	g.seen = func(s *pipeline.Shard) {
		for _, doc := range s.Documents() {
			var says struct {
				Host struct{ Name string }
				EDR  struct {
					Entity struct{ ID string }
					Site   string
				}
			}
			if err := json.Unmarshal(doc.Body, &says); err != nil {
				t.Fatal(err)
			}
			id, at := says.EDR.Entity.ID, s.Now()
			if id == "" || doc.Stream == event.Alerts {
				continue
			}
			if first[id] == 0 {
				first[id] = at
			}
			if at-first[id] < int64(time.Hour) {
				continue
			}
			all++
			if says.Host.Name != "" {
				named++
			}
			if says.EDR.Site != "" {
				placed++
			}
		}
	}
	g.take(records, 8)
	t.Logf("%d documents of agents heard for an hour; %.2f %% name the host, %.2f %% a site", all, 100*float64(named)/float64(all), 100*float64(placed)/float64(all))
	if all == 0 || float64(named) < 0.99*float64(all) {
		t.Errorf("%d of %d documents name the host", named, all)
	}
}

// TestOneSiteHasOneName: whatever a feed knows of a host, all documents of an agent
// that was heard for an hour give it the same site and ring: those of the user's
// file by the host's name, or by a tag that only some records carry; the network
// stays in a field of its own.
func TestOneSiteHasOneName(t *testing.T) {
	detection, err := LoadDetection(DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	rows := "host,tag,network,site,ring\n"
	for _, site := range []string{"fra", "nyc", "sin", "lon"} {
		rows += site + "-*,,," + site + ",\n"
	}
	rows += ",ring-0,,,pilot\n,ring-1,,,early\n,ring-2,,,broad\n,,198.18.0.0/16,somewhere,\n"
	cfg := config.Default()
	cfg.Enrich.Files = []string{filepath.Join(t.TempDir(), "hosts.csv")}
	if err := os.WriteFile(cfg.Enrich.Files[0], []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	records, _ := simulated(t, "july19", 150, 9, 150*time.Minute)
	g := gatewayWith(t, detection, cfg)
	first, values := map[string]int64{}, map[string]map[string]bool{}
	g.seen = func(s *pipeline.Shard) {
		for _, doc := range s.Documents() {
			var says struct {
				Agent struct{ Type string }
				Host  struct{ Name string }
				EDR   struct {
					Entity      struct{ ID string }
					Site        string
					SiteNetwork string `json:"site_network"`
					Rollout     struct{ Ring string }
				}
			}
			if err := json.Unmarshal(doc.Body, &says); err != nil {
				t.Fatal(err)
			}
			id, at := says.EDR.Entity.ID, s.Now()
			if id == "" || doc.Stream == event.Alerts {
				continue
			}
			if first[id] == 0 {
				first[id] = at
			}
			if at-first[id] < int64(time.Hour) || says.Agent.Type == "sentinelone" { // Whose records carry no tags.
				continue
			}
			if values[id] == nil {
				values[id] = map[string]bool{}
			}
			values[id][says.EDR.Site+" "+says.EDR.Rollout.Ring] = true
			site := says.Host.Name[:min(3, len(says.Host.Name))]
			if named := strings.Contains("fra nyc sin lon", site); named != (says.EDR.Site == site) || says.EDR.Site == "" || says.EDR.Rollout.Ring == "" {
				t.Errorf("%s: site %q, ring %q", says.Host.Name, says.EDR.Site, says.EDR.Rollout.Ring)
			}
			if network := says.EDR.SiteNetwork; network != "" && !strings.HasSuffix(network, "/24") {
				t.Errorf("%s: site_network is %q", says.Host.Name, network)
			}
		}
	}
	g.take(records, 8)
	for id, list := range values {
		if len(list) > 1 {
			t.Errorf("%s has %v", id, slices.Collect(maps.Keys(list)))
		}
	}
	if len(values) < 30 {
		t.Errorf("only %d agents were heard for an hour", len(values))
	}
}

// TestStepsAreClosedForAll: where steps are closed for all partitions at once no
// event is resolved by what another partition learned in the same step, and nothing
// is lost with a partition that is given up.
func TestStepsAreClosedForAll(t *testing.T) {
	dict, _ := libraryPlan(t)
	registry := identity.New(identity.DefaultConfig())
	names := identity.NewIdentifier(registry, nil, nil)
	names.Pace()
	one, two, e := names.ForShard(), names.ForShard(), event.New(dict)
	say := func(s *identity.ShardIdentifier, second int64, id, host string) string {
		e.Reset()
		e.Clock = (1_721_361_600 + second) * 1e9
		e.SetString(ecs.AgentType, "crowdstrike-falcon")
		e.SetString(ecs.EventAction, "sensor-heartbeat")
		if id != "" {
			e.SetString(ecs.AgentID, id)
		}
		if host != "" {
			e.SetString(ecs.HostName, host)
		}
		s.Process(e)
		return e.Str(ecs.AgentID)
	}
	say(one, 1, "a1", "pc-1")
	if got := say(two, 30, "", "pc-1"); got != "" {
		t.Errorf("before the step was closed the agent is %q", got)
	}
	one.Close()
	names.CloseStep()
	if got := say(two, 31, "", "pc-1"); got != "a1" {
		t.Errorf("after the step was closed the agent is %q", got)
	}
}

// TestOrderOfPartitions: what the registry knows in the end does not depend on
// the partitions.
func TestOrderOfPartitions(t *testing.T) {
	detection, err := LoadDetection(DetectionConfig{Library: true})
	if err != nil {
		t.Fatal(err)
	}
	records, _ := simulated(t, "july19-small", 60, 3, 40*time.Minute)
	count := func(partitions int) (string, int) {
		g := newGateway(t, detection)
		g.take(records, partitions)
		list, _ := g.agents(t)
		var hosts []string
		for _, a := range list {
			hosts = append(hosts, a.Product+" "+strings.ToLower(a.ID)+" "+strings.ToLower(a.Host))
		}
		slices.Sort(hosts)
		return strings.Join(hosts, "\n"), len(list)
	}
	want, n := count(1)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 4 {
		partitions := 2 + rng.IntN(30)
		if got, m := count(partitions); got != want {
			t.Errorf("%d partitions: %d agents, want %d as in one", partitions, m, n)
		}
	}
}
