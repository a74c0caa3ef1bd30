package fleetsync

import (
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/fleet"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// takeoverAfter is how long the owner of the partition may not be heard before
// another one takes over.
const takeoverAfter = 10 * time.Second

// Source returns the configuration of the source that competes for the
// partition of the exchange.
func (c *Config) Source() kafkasource.Config {
	s := kafkasource.DefaultConfig()
	s.Brokers, s.Group, s.Topics = c.Brokers, c.Group, []string{c.Topic}
	s.TLS = kafkasource.TLS{Enabled: c.TLS.Enabled, Config: c.TLS.Config}
	s.SASL = kafkasource.SASL{Mechanism: c.SASL.Mechanism, Username: c.SASL.Username, Password: c.SASL.Password}
	s.DialTimeout, s.MaxRewind = c.DialTimeout, c.Replay
	s.SessionTimeout, s.RebalanceTimeout = takeoverAfter, takeoverAfter
	s.MaxBatchBytes, s.MaxInFlightBytes = 4<<20, 16<<20
	return s
}

// Judge judges the steps of all gateways and raises the alerts about the
// fleet. It implements pipeline.RecordJudge; it belongs to the goroutine of
// the partition.
type Judge struct {
	rules    func() *rules.Ruleset
	set      *rules.Ruleset
	verdicts *rules.Verdicts
	fleet    *fleet.Fleet
	options  rules.SessionOptions
}

// NewJudge returns a judge that has heard nothing. Rules returns those in use,
// which may change between two steps; options bound what is kept of those about
// the whole fleet.
func NewJudge(judged fleet.Config, current func() *rules.Ruleset, options rules.SessionOptions) *Judge {
	return &Judge{rules: current, fleet: fleet.NewShared(judged, nil), options: options}
}

// Judge implements pipeline.RecordJudge.
func (j *Judge) Judge(_ int64, _ *event.Partition, r *event.Record, emit func(*event.Event)) error {
	m, err := parse(r.Key, r.Value)
	if err != nil {
		return err
	}
	if set := j.rules(); set != j.set {
		j.Close()
		j.set, j.verdicts = set, set.NewVerdicts()
		set.JoinFleet(j.fleet, j.options)
	}
	findings := m.tell(j.fleet)
	if len(findings) == 0 {
		return nil
	}
	j.verdicts.Raise(findings, emit)
	return nil
}

// AppendSnapshot implements pipeline.Snapshotter.
func (j *Judge) AppendSnapshot(to []byte) ([]byte, bool) { return j.fleet.AppendSnapshot(to), true }

// Restore implements pipeline.Snapshotter.
func (j *Judge) Restore(snapshot []byte) error { return j.fleet.Restore(snapshot) }

// Map is never called: the records are no events.
func (j *Judge) Map(*event.Partition, *event.Record, func(*event.Event)) error { return nil }

// Close reports the last counts of the rules.
func (j *Judge) Close() {
	if j.verdicts != nil {
		j.verdicts.Close()
	}
}
