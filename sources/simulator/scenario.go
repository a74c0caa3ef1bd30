package simulator

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

//go:embed scenarios/*.yml
var shipped embed.FS

// Scenario says what fleet there is, how noisy it is and what happens to it.
type Scenario struct {
	Name        string            `yaml:"name,required"`
	Description string            `yaml:"description"`
	Start       time.Time         `yaml:"start"`
	Duration    time.Duration     `yaml:"duration"`
	Agents      int               `yaml:"agents"` // size of the fleet where nobody says another
	Fleet       Composition       `yaml:"fleet"`
	Noise       Noise             `yaml:"noise"`
	Incidents   []PlannedIncident `yaml:"incidents"`
}

// Composition describes the fleet. Shares are between 0 and 1.
type Composition struct {
	CrowdStrike    float64 `yaml:"crowdstrike"`     // weight among the three vendors
	Defender       float64 `yaml:"defender"`        // weight among the three vendors
	SentinelOne    float64 `yaml:"sentinelone"`     // weight among the three vendors
	Servers        float64 `yaml:"servers"`         // share of hosts that never sleep
	Laptops        float64 `yaml:"laptops"`         // share of hosts that sleep; the rest are desktops
	Awake          float64 `yaml:"awake"`           // share of the laptops awake at the start
	WindowsEvents  float64 `yaml:"windows_events"`  // share of Windows hosts that ship Windows events
	ProcessMetrics float64 `yaml:"process_metrics"` // share of hosts that ship metrics of the agent's process
	Remote         float64 `yaml:"remote"`          // share of the laptops that are outside of their site, behind the VPN
	Sites          int     `yaml:"sites"`
}

// Noise is what every fleet does without any incident.
type Noise struct {
	Duplicates float64       `yaml:"duplicates"` // probability that a record is sent again
	Malformed  float64       `yaml:"malformed"`  // probability that a record is followed by a broken copy
	Late       float64       `yaml:"late"`       // probability that a heartbeat begins a late batch of its host
	LateBy     time.Duration `yaml:"late_by"`    // longest delay of a late batch
	Awake      time.Duration `yaml:"awake"`      // mean time between two sleeps of a laptop
	Asleep     time.Duration `yaml:"asleep"`     // mean length of a laptop's sleep
	Uptime     time.Duration `yaml:"uptime"`     // mean time between clean reboots of a host that does not sleep

	// LateSlices is the probability that a batch of FDR records, which is those of
	// a 32nd of the agents in a minute, is written late: by up to SliceLateBy.
	LateSlices  float64       `yaml:"late_slices"`
	SliceLateBy time.Duration `yaml:"slice_late_by"`
	// OfficeHours lets laptops and half of the desktops work from Monday to
	// Friday, by the clock of their site. Awake and Asleep then hold by day.
	OfficeHours bool `yaml:"office_hours"`
	// CrashEvery is the mean time between two crashes of a host that no incident
	// causes; 0: there are none. A rollout has to be judged against them.
	CrashEvery time.Duration `yaml:"crash_every"`
	// Telemetry is the mean time between two records of a CrowdStrike agent about
	// what it sees on its host; 0: they are left out.
	Telemetry time.Duration `yaml:"telemetry"`
}

// DefaultScenario is a quiet fleet; what a scenario file leaves out has these
// values. It has no name, start or duration.
func DefaultScenario() Scenario {
	return Scenario{
		Fleet: Composition{
			CrowdStrike: 0.70, Defender: 0.18, SentinelOne: 0.12,
			Servers: 0.45, Laptops: 0.35, Awake: 0.5,
			WindowsEvents: 0.25, ProcessMetrics: 0.15, Remote: 0.4, Sites: 8,
		},
		Noise: Noise{
			Duplicates: 0.0005, Malformed: 0.0002, Late: 0.0005, LateBy: 4 * time.Minute,
			Awake: 100 * time.Minute, Asleep: 2 * time.Hour, Uptime: 30 * 24 * time.Hour,
			SliceLateBy: 6 * time.Hour,
		},
	}
}

// Names lists the shipped scenarios in alphabetical order.
func Names() []string {
	files, err := fs.Glob(shipped, "scenarios/*.yml")
	if err != nil {
		panic(err) // The pattern is constant.
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(file, "scenarios/"), ".yml")
	}
	return files
}

// Shipped returns the shipped scenario called name.
func Shipped(name string) (Scenario, error) {
	file := "scenarios/" + name + ".yml"
	src, err := shipped.ReadFile(file)
	if err != nil {
		hint := "expected one of " + strings.Join(Names(), ", ")
		if near, ok := strict.Nearest(name, Names()); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return Scenario{}, fmt.Errorf("loading scenario: unknown scenario %q (%s)", name, hint)
	}
	return LoadScenario(file, src)
}

// LoadScenario reads a scenario file; file names it in errors, which give the
// position of everything that does not fit.
func LoadScenario(file string, src []byte) (Scenario, error) {
	node, err := strict.ParseOne(file, src)
	if err != nil {
		return Scenario{}, err
	}
	s := DefaultScenario()
	if err := node.Decode(&s); err != nil {
		return Scenario{}, err
	}
	if problems := s.validate(); len(problems) > 0 {
		var all []strict.Problem
		for _, problem := range problems {
			all = append(all, node.Problem("%s", problem))
		}
		return Scenario{}, strict.NewError(all...)
	}
	return s, nil
}

func (s Scenario) validate() []error {
	var problems []error
	if s.Agents < 0 || s.Agents > MaxAgents {
		problems = append(problems, fmt.Errorf("agents: expected 0 to %d, found %d", MaxAgents, s.Agents))
	}
	share := func(name string, v float64) {
		if !(v >= 0 && v <= 1) { // Also refuses what is no number.
			problems = append(problems, fmt.Errorf("%s: expected a share between 0 and 1, found %g", name, v))
		}
	}
	share("fleet.servers", s.Fleet.Servers)
	share("fleet.laptops", s.Fleet.Laptops)
	share("fleet.servers plus fleet.laptops", s.Fleet.Servers+s.Fleet.Laptops)
	share("fleet.awake", s.Fleet.Awake)
	share("fleet.windows_events", s.Fleet.WindowsEvents)
	share("fleet.process_metrics", s.Fleet.ProcessMetrics)
	share("fleet.remote", s.Fleet.Remote)
	share("noise.late_slices", s.Noise.LateSlices)
	share("noise.duplicates", s.Noise.Duplicates)
	share("noise.malformed", s.Noise.Malformed)
	share("noise.late", s.Noise.Late)
	f := s.Fleet
	if !(f.CrowdStrike >= 0 && f.Defender >= 0 && f.SentinelOne >= 0 && f.CrowdStrike+f.Defender+f.SentinelOne > 0) {
		problems = append(problems, fmt.Errorf("fleet: expected vendor weights of at least 0 with a sum above 0, found crowdstrike %g, defender %g, sentinelone %g",
			f.CrowdStrike, f.Defender, f.SentinelOne))
	}
	if f.Sites < 1 || f.Sites > len(siteCodes) {
		problems = append(problems, fmt.Errorf("fleet.sites: expected 1 to %d, found %d", len(siteCodes), f.Sites))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"noise.late_by", s.Noise.LateBy, 0}, {"noise.awake", s.Noise.Awake, time.Minute},
		{"noise.asleep", s.Noise.Asleep, time.Minute}, {"noise.uptime", s.Noise.Uptime, time.Minute},
		{"noise.slice_late_by", s.Noise.SliceLateBy, 0}, {"noise.telemetry", s.Noise.Telemetry, 0}, {"noise.crash_every", s.Noise.CrashEvery, 0},
	} {
		if d.value < d.least {
			problems = append(problems, fmt.Errorf("%s: expected at least %s, found %s", d.name, d.least, d.value))
		}
	}
	pushes := 0
	for _, incident := range s.Incidents {
		if err := incident.validate(f); err != nil {
			problems = append(problems, fmt.Errorf("incident %s: %w", incident.base().ID, err))
		}
		if _, ok := incident.play.(*contentPush); ok {
			pushes++
		}
	}
	if pushes > maxPushes {
		problems = append(problems, fmt.Errorf("incidents: expected at most %d of type content_push, found %d", maxPushes, pushes))
	}
	return problems
}
