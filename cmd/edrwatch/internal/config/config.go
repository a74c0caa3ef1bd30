package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/canary"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/fleetsync"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/state"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/decode"
	"github.com/edrwatch/edrwatch/pipeline/enrich"
	"github.com/edrwatch/edrwatch/pipeline/redact"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Version is the version of the configuration's format.
const Version = 1

// Config is the whole configuration. The composition root makes the components from it.
type Config struct {
	// Version of this format.
	Version int `yaml:"version"`
	// Cluster names the Kafka cluster in the ids of documents; the default is the id that the brokers give. Changing it
	// makes records that are read again count as new.
	Cluster string `yaml:"cluster"`
	// Log is what edrwatch says about itself, on standard error.
	Log Log `yaml:"log"`
	// HTTP says where edrwatch listens.
	HTTP HTTP `yaml:"http"`
	// Sources are where records come from. Each has a name of its own.
	Sources []Source `yaml:"sources"`
	// Mappings turn records into ECS events.
	Mappings Files `yaml:"mappings"`
	// Enrich adds what is known about hosts to their events, before rules judge them.
	Enrich enrich.Config `yaml:"enrich"`
	// Redact takes secrets and names of people out of events, before rules judge them. The dead letter is not redacted.
	Redact redact.Config `yaml:"redact"`
	// Rules judge events.
	Rules Rules `yaml:"rules"`
	// RolloutPolicy says what has to be seen of a new version before its rollout may go on.
	RolloutPolicy fleet.Policy `yaml:"rollout_policy"`
	// Fleet concerns what all agents together show.
	Fleet Fleet `yaml:"fleet"`
	// State keeps what was learned, so that a restart goes on where it was.
	State state.Config `yaml:"state"`
	// Gateway says what the gateway tells about itself.
	Gateway Gateway `yaml:"gateway"`
	// Canary proves on schedule that the gateway would notice an agent that falls silent.
	Canary canary.Config `yaml:"canary"`
	// Pipeline concerns the way from source to sinks.
	Pipeline pipeline.Config `yaml:"pipeline"`
	// Sinks are where events and alerts go. Each has a name of its own.
	Sinks []Sink `yaml:"sinks"`
	// Responses says whether responders are asked to act on alerts.
	Responses Responses `yaml:"responses"`
	// Responders are asked to act on alerts, as rules say. Each has a name of its own.
	Responders []Responder `yaml:"responders"`
	// DeadLetter keeps what could not be used, with the reason.
	DeadLetter DeadLetter `yaml:"dead_letter"`
}

// Log configures logging.
type Log struct {
	// Level is the least level that is logged: debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is json, text, or auto: text on a terminal, json otherwise.
	Format string `yaml:"format"`
}

// HTTP configures the listeners. Both listen on loopback by default.
type HTTP struct {
	// Listen is the host:port of the API and the console.
	Listen string `yaml:"listen"`
	// Hosts are names, besides localhost and IP addresses, under which the console is reached, such as that of a reverse
	// proxy. Requests for other names are refused, which stops DNS rebinding.
	Hosts []string `yaml:"hosts"`
	// HealthListen is the host:port of /livez, /readyz and /metrics, and of nothing else, so that a kubelet and
	// Prometheus may be let in.
	HealthListen string `yaml:"health_listen"`
}

// Files says which mapping or rule files are loaded.
type Files struct {
	// Library loads the files that edrwatch ships.
	Library bool `yaml:"library"`
	// Directories are searched, with the directories in them, for .yml and .yaml files.
	Directories []string `yaml:"directories"`
}

// Rules says which rules are loaded and what they may cost.
type Rules struct {
	Files `yaml:",inline"`
	// Budget is the mean time that a rule may take for a candidate event before it turns shadow, unless it names another; 0
	// is without a limit.
	Budget time.Duration `yaml:"budget"`
	// MaxKeys is how many keys a rule, and how many agents all of them together, hold in a partition. Beyond them the one
	// that was not used for longest is forgotten, and counted.
	MaxKeys int `yaml:"max_keys"`
	// MaxState bounds the bytes of the state of all rules together in a partition, as they are estimated
	// (edrwatch_rule_state_bytes), without what is known of agents. Over it the heaviest rule forgets the keys that were not
	// used for longest, and says so in a document. 0 is without a limit.
	MaxState strict.Bytes `yaml:"max_state"`
}

// leastState is what a limit of the rules' state has to leave room for.
const leastState = 1 << 20

// Validate reports every setting that makes no sense.
func (r *Rules) Validate() error {
	var errs []error
	if r.Budget < 0 {
		errs = append(errs, fmt.Errorf("budget: expected 0 or more, found %s", r.Budget))
	}
	if r.MaxKeys < 1 {
		errs = append(errs, fmt.Errorf("max_keys: expected 1 or more, found %d", r.MaxKeys))
	}
	if r.MaxState != 0 && r.MaxState < leastState {
		errs = append(errs, fmt.Errorf("max_state: expected 0 or at least 1MiB, found %d", r.MaxState))
	}
	return errors.Join(errs...)
}

// Fleet says how several gateways judge one fleet, and how often they tell of it.
type Fleet struct {
	// Documents is the time in which every agent is written once (metrics-edr.agent-*, event.action: inventory), so that
	// dashboards show the whole fleet, and every rollout (event.action: rollout-judged). 0 is never.
	Documents time.Duration `yaml:"documents"`
	// MaxHold is for how long a partition with records left of which nothing comes, or one that moves between gateways, holds
	// what is judged across partitions; then the fleet is judged without it, and alerts say that they are partial.
	MaxHold time.Duration `yaml:"max_hold"`
	// Exchange brings the steps of all gateways together that share the partitions; without a topic there is one gateway.
	Exchange fleetsync.Config `yaml:"exchange"`
}

// Source is an entry of the sources.
type Source struct {
	// Name of the source in metrics, logs and environment variables: lower-case letters, digits, - and _.
	Name string `yaml:"name,required"`
	// Type decides which other keys there are.
	Type string `yaml:"type"`
	// Decode says which values are decoded before they are mapped.
	Decode decode.Config `yaml:",inline"`
	// Settings points to the Config of the type's package.
	Settings any `yaml:"-"`
}

// Sink is an entry of the sinks.
type Sink struct {
	// Name of the sink in metrics, logs and environment variables: lower-case letters, digits, - and _.
	Name string `yaml:"name,required"`
	// Type decides which other keys there are.
	Type string `yaml:"type"`
	// Required says that a record is done only when this sink has everything that it became. Otherwise documents that
	// the sink does not take in time go to the dead letter.
	Required bool `yaml:"required"`
	// Route says which documents the sink takes; all when it is empty.
	Route pipeline.Route `yaml:"route"`
	// Settings points to the Config of the type's package.
	Settings any `yaml:"-"`
}

// DeadLetter is where records and documents go that could not be used.
type DeadLetter struct {
	// Type decides which other keys there are.
	Type string `yaml:"type"`
	// Settings points to the Config of the type's package.
	Settings any `yaml:"-"`
}

// Default returns the configuration that holds where a file says nothing. It has no sources and no sinks.
func Default() Config {
	cfg := Config{
		Version:  Version,
		Log:      Log{Level: "info", Format: "auto"},
		HTTP:     HTTP{Listen: "127.0.0.1:8686", HealthListen: "127.0.0.1:8687"},
		Mappings: Files{Library: true},
		Enrich:   enrich.DefaultConfig(),
		Redact:   redact.DefaultConfig(),
		Rules:    Rules{Files: Files{Library: true}, Budget: 50 * time.Microsecond, MaxKeys: 1_000_000, MaxState: 2 << 30},
		State:    state.DefaultConfig(),
		Fleet:    Fleet{Documents: time.Hour, MaxHold: 2 * time.Minute, Exchange: fleetsync.DefaultConfig()},
		Gateway:  Gateway{Heartbeat: time.Minute},
		Canary:   canary.DefaultConfig(),
		Pipeline: pipeline.DefaultConfig(),

		RolloutPolicy: fleet.DefaultPolicy(),
		Responses:     Responses{MaxPerHour: 20},
	}
	cfg.DeadLetter.Type = deadLetterKinds()[0].name
	cfg.DeadLetter.Settings = deadLetterKinds()[0].make()
	return cfg
}

func (s *Source) kinds() []kind     { return sourceKinds() }
func (s *Source) kindName() *string { return &s.Type }
func (s *Source) settings() any     { return s.Settings }

// setSettings gives the entry its type's defaults, and those of what all types share.
func (s *Source) setSettings(settings any) {
	s.Settings, s.Decode = settings, decode.DefaultConfig()
}

// DecodeYAML reads an entry with the keys of its type.
func (s *Source) DecodeYAML(n strict.Node) error {
	type plain Source
	return decodeVariant(n, s, (*plain)(s))
}

func (s *Sink) kinds() []kind            { return sinkKinds() }
func (s *Sink) kindName() *string        { return &s.Type }
func (s *Sink) settings() any            { return s.Settings }
func (s *Sink) setSettings(settings any) { s.Settings = settings }

// DecodeYAML reads an entry with the keys of its type. A sink is required unless the entry says otherwise.
func (s *Sink) DecodeYAML(n strict.Node) error {
	type plain Sink
	s.Required = true
	return decodeVariant(n, s, (*plain)(s))
}

func (d *DeadLetter) kinds() []kind            { return deadLetterKinds() }
func (d *DeadLetter) kindName() *string        { return &d.Type }
func (d *DeadLetter) settings() any            { return d.Settings }
func (d *DeadLetter) setSettings(settings any) { d.Settings = settings }

// DecodeYAML reads the mapping with the keys of its type.
func (d *DeadLetter) DecodeYAML(n strict.Node) error {
	type plain DeadLetter
	return decodeVariant(n, d, (*plain)(d))
}
