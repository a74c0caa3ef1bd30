package simulator

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Emission is one record on its way to the broker. Key and Value belong to the
// receiver.
type Emission struct {
	Topic string
	Key   []byte // agent id or host name: what the topic is partitioned by
	Value []byte
	Time  int64 // when the broker gets it, ms since 1970; never decreases
}

// Topics of the records by vendor and shape: the gateway's defaults.
const (
	TopicFDR      = "edr.crowdstrike.fdr"
	TopicWindows  = "edr.windows"
	TopicDefender = "edr.defender"
	TopicMetrics  = "edr.metrics"
)

// Fleet is a simulated fleet. It is not safe for concurrent use.
type Fleet struct {
	config     Config
	start, end int64 // virtual time, ms
	now        int64
	random     *rand.Rand
	agents     []agent
	queue      queue
	dark       [len(siteCodes) + 1]outage // by egress
	stalls     []stall
	pushes     []*push
	newSensors []software
	resend     map[int32]Emission // records that are sent again, by the item's arg
	nextResend int32
	truth      Truth
	buf        []byte
}

// outage is a time in which an egress has no network, in ms.
type outage struct{ from, until int64 }

// New makes the fleet and chooses the hosts that the scenario's incidents
// need. It fails when the configuration is wrong or the fleet has no such hosts.
func New(config Config) (*Fleet, error) {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("making the fleet: %w", err)
	}
	f := &Fleet{
		config: config,
		start:  config.Start.UnixMilli(),
		end:    config.Start.Add(config.Duration).UnixMilli(),
		random: rand.New(rand.NewPCG(config.Seed, 0x656472)),
		agents: make([]agent, config.Agents),
		resend: make(map[int32]Emission),
		truth:  Truth{Scenario: config.Scenario.Name, Agents: config.Agents, Start: config.Start, End: config.Start.Add(config.Duration)},
	}
	f.now = f.start
	for i := range f.agents {
		f.enroll(&f.agents[i], i)
	}
	if err := f.plan(); err != nil {
		return nil, fmt.Errorf("making the fleet: scenario %s: %w", config.Scenario.Name, err)
	}
	for i := range f.agents {
		f.begin(&f.agents[i])
	}
	return f, nil
}

// kronecker is the i-th number of an evenly spread sequence between 0 and 1.
// Shares of the fleet hold to within one or two hosts even in small fleets,
// which random draws would not give.
func kronecker(i int, alpha float64) float64 {
	x := 0.5 + float64(i)*alpha
	return x - float64(int64(x))
}

// enroll gives the agent everything that stays.
func (f *Fleet) enroll(a *agent, i int) {
	const ( // The fractional parts of square roots of primes are independent.
		byVendor   = 0.6180339887498949
		byPlatform = 0.4142135623730951
		byClass    = 0.7320508075688772
		byVersion  = 0.6457513110645906
		bySite     = 0.3166247903553998
		byEvents   = 0.6055512754639891
		byMetrics  = 0.1231056256176606
		byAwake    = 0.3588989435406740
		byModel    = 0.7958315233127191
		byRemote   = 0.3851648071345040
	)
	mixed := f.config.Scenario.Fleet
	a.index, a.twin = int32(i), -1
	a.site = uint8(kronecker(i, bySite) * float64(mixed.Sites))
	switch v := kronecker(i, byVendor) * (mixed.CrowdStrike + mixed.Defender + mixed.SentinelOne); {
	case v < mixed.CrowdStrike:
		a.vendor = crowdstrike
	case v < mixed.CrowdStrike+mixed.Defender:
		a.vendor = defender
	default:
		a.vendor = sentinelone
	}
	switch c := kronecker(i, byClass); {
	case c < mixed.Servers:
		a.class = server
	case c < mixed.Servers+mixed.Laptops:
		a.class = laptop
	default:
		a.class = desktop
	}
	if a.vendor == crowdstrike && kronecker(i, byPlatform) >= 0.75 {
		a.platform = mac
		if a.class == server {
			a.platform = linux
		}
	}
	a.model = uint8(kronecker(i, byModel) * modelsPerClass)
	a.remote = a.class == laptop && kronecker(i, byRemote) < mixed.Remote
	a.nightly = a.class == desktop && mix(f.config.Seed^uint64(i))%2 == 0
	a.ring = uint8(min(2, f.random.IntN(20)/2)) // 10 %, 10 %, 80 %
	for v, share := kronecker(i, byVersion), 0.0; int(a.sensor) < len(falconVersions)-1; a.sensor++ {
		if share += falconVersions[a.sensor].share; v < share {
			break
		}
	}
	// SentinelOne is seen through Windows events and process metrics alone.
	a.events = a.platform == windows && (a.vendor == sentinelone || kronecker(i, byEvents) < mixed.WindowsEvents)
	a.metrics = a.vendor == sentinelone || kronecker(i, byMetrics) < mixed.ProcessMetrics
	a.pid = uint32(f.random.IntN(4000)+500) * 4
	a.recordID = uint32(f.random.IntN(400_000) + 20_000)
	a.cores = []uint8{2, 4, 8, 16}[f.random.IntN(4)]
	a.cpu = float32(0.004 + 0.016*f.random.Float64())
	a.memory = uint32(120 + f.random.IntN(220))
	a.bootAt = f.start - int64(f.random.Float64()*float64(20*24*time.Hour/time.Millisecond))
	a.agentAt = a.bootAt + 20_000
	a.lastConn = a.agentAt
	a.up = a.class != laptop || kronecker(i, byAwake) < mixed.Awake
	if f.config.Scenario.Noise.OfficeHours {
		a.up = f.worksAtStart(a)
	}
}

// Next returns the next record in the order in which they reach the broker,
// and false when the simulated time is over.
func (f *Fleet) Next() (Emission, bool) {
	for {
		it, ok := f.queue.pop()
		if !ok || it.at >= f.end {
			f.now = f.end
			return Emission{}, false
		}
		f.now = max(f.now, it.at)
		switch it.task {
		case taskRecord, taskChain:
			if emission, ok := f.emit(it); ok {
				return emission, true
			}
		case taskResend:
			emission := f.resend[it.arg]
			delete(f.resend, it.arg)
			emission.Time = f.now
			return emission, true
		case taskIncident:
			if h := &f.truth.Incidents[it.arg]; h.Online == 0 {
				h.Online = f.online()
			}
			f.config.Scenario.Incidents[it.arg].play.step(f, int(it.arg), it)
		default:
			if a := &f.agents[it.agent]; it.gen == a.gen {
				f.live(a, it)
			}
		}
	}
}

// online counts the agents that are up.
func (f *Fleet) online() int {
	n := 0
	for i := range f.agents {
		if f.agents[i].up {
			n++
		}
	}
	return n
}

// emit renders the item's record, unless the host or its network was down when
// it would have been made.
func (f *Fleet) emit(it item) (Emission, bool) {
	a := &f.agents[it.agent]
	if it.task == taskChain {
		if it.gen != a.gen {
			// The chain has ended; what was made before the end still arrives.
			if it.event >= a.downAt {
				return Emission{}, false
			}
		} else {
			f.chain(a, it.shape, it.event)
		}
	}
	if dark := f.dark[a.egress()]; it.event >= dark.from && it.event < dark.until {
		if it.shape.shippedByBeat() && it.at < dark.until {
			// The shipper on the host keeps its place and catches up.
			it.task, it.at = taskRecord, dark.until+int64(f.random.IntN(20_000))
			f.queue.push(it)
		}
		return Emission{}, false
	}
	if f.late(a, it) {
		return Emission{}, false
	}
	emission := f.render(a, it)
	f.disturb(emission)
	return emission, true
}

// render makes the record.
func (f *Fleet) render(a *agent, it item) Emission {
	topic := it.shape.topic()
	f.buf = f.buf[:0]
	if topic == TopicFDR || topic == TopicDefender {
		f.buf = f.appendAgentID(f.buf, a)
	} else {
		f.buf = a.appendName(f.buf)
	}
	key := len(f.buf)
	switch topic {
	case TopicFDR:
		f.buf = f.appendFDR(f.buf, a, it)
	case TopicDefender:
		if it.shape == deviceDefinitions {
			f.buf = f.appendDefinitions(f.buf, a, it)
			break
		}
		f.buf = f.appendDeviceInfo(f.buf, a, it)
	case TopicWindows:
		f.buf = f.appendWindowsEvent(f.buf, a, it)
	default:
		f.buf = f.appendProcessSample(f.buf, a, it)
	}
	a.sent++
	bytes := make([]byte, len(f.buf))
	copy(bytes, f.buf)
	return Emission{Topic: topic, Key: bytes[:key:key], Value: bytes[key:], Time: f.now}
}

// disturb lets a few records come twice, as at-least-once feeds do, and a few
// broken, as cut connections and full disks do.
func (f *Fleet) disturb(e Emission) {
	noise := f.config.Scenario.Noise
	if noise.Duplicates > 0 && f.random.Float64() < noise.Duplicates {
		f.again(e, int64(f.random.IntN(60_000)))
	}
	if noise.Malformed > 0 && f.random.Float64() < noise.Malformed {
		broken := append([]byte(nil), e.Value[:len(e.Value)/2+f.random.IntN(len(e.Value)/3)]...)
		if f.random.IntN(2) == 0 {
			broken = append(broken, 0xff, 0xfe, 0x00)
		}
		e.Value = broken
		f.again(e, int64(f.random.IntN(1000)))
	}
}

// again sends e after a delay in ms.
func (f *Fleet) again(e Emission, delay int64) {
	f.nextResend++
	f.resend[f.nextResend] = e
	f.queue.push(item{at: f.now + delay, task: taskResend, agent: -1, arg: f.nextResend})
}
