package fleet

// Agent is what is known of one EDR agent. The identity is its owner's to
// keep; the rest is the Shard's.
type Agent struct {
	ID, Type, Version        string // agent.*
	HostName, HostID         string
	HostType, OSType         string
	Model, Site, Ring        string
	Content                  string // edr.content.version that was reported last
	Mode, State              string
	Account, StartType       string // edr.privilege.{account,start_type}
	Owner                    string // edr.asset.owner
	Protected                Answer // edr.privilege.protected
	FirstSeen, LastSeen      int64  // clock at its first and last record of any kind
	AwakeSince               int64  // clock at the first record after a long gap
	reported                 string // Version when it was compared last
	happened                 int64  // when the last beat happened, by the agent
	lastBeat, cadence        int64  // on the clock of its feed, gaps taken out
	exposures                []exposure
	channels                 []channel
	cpu, memory              level
	failedAt                 [classes + 1]uint32 // clock of the last failure of each class, seconds
	startedAt                int64               // clock of the last start of the agent or its host
	due                      int64               // when the shard looks at it, on the feed's clock
	since                    int64               // since when it has its life; of one that is silent, when it was heard last
	stratum, site, feed      int32               // indices in the shard, -1 before the first sign of life
	life                     life
	longer                   uint8 // gaps in a row that were far above the cadence
	model                    uint8 // index in the shard, 0 for none that is compared
	beat                     beat
	settled, queued, evicted bool
	Number                   uint32 // its owner's: place in the snapshot that is being written
	goodbye                  goodbye
	sleeps                   bool   // it was switched off for long, and on again
	listed                   uint64 // entity, as it was listed last; 0: none
	identified               bool   // listed is that of ID
	disputed                 bool   // of a copy: records contradict each other about who it is
	naps                     bool   // it was away for long, and back without a failure
	updated                  bool   // the start that belongs to the latest sensor has come
}

// Answer is what an agent reported about itself, if it did.
type Answer uint8

// The answers.
const (
	Untold Answer = iota
	No
	Yes
)

// Told returns the answer that an agent gave.
func Told(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// Name is the host's name, else the agent's id.
func (a *Agent) Name() string {
	if a.HostName != "" {
		return a.HostName
	}
	return a.ID
}

// SaidGoodbye reports whether the agent, or its host, ended in order.
func (a *Agent) SaidGoodbye() bool { return a.settled && a.life == gone }

// life is what the shard thinks of an agent.
type life uint8

const (
	unheard life = iota // no sign of life yet
	alive
	silent // overdue without a goodbye
	gone   // said goodbye, or replaced: goodbye tells which
)

// beat is the kind of event that an agent's cadence is learned from: the
// highest that it sends.
type beat uint8

const (
	noBeat beat = iota
	usageBeat
	heartbeat
)

// exposure tells that the agent got a version under comparison.
type exposure struct {
	at      int64
	rollout int32
	stratum int16 // in which it was counted among those that have just got it, or notCounted
	model   uint8 // and the model of hardware
}

// notCounted is the stratum of the exposure of an agent that could not be missed
// yet, or in a stratum beyond those that fit.
const notCounted = -1

// maxExposures bounds the versions per agent that its failures are held
// against; the oldest goes first.
const maxExposures = 8

// channel is the content of one channel that the agent has, and when it got
// it: 0 for what it had when it was first heard of.
type channel struct {
	name, version string
	at            int64
}

// maxChannels bounds the channels that are remembered per agent.
const maxChannels = 8

// level is a slow average of a resource with the run of readings far above it.
type level struct {
	mean, spread float32
	readings     uint8
	above        uint8
}

// Readings before a level is trusted, and in a row far above it that count.
const (
	levelSettled = 10
	levelAbove   = 3
)

// take learns a reading and reports whether the level has just shifted: three
// readings in a row are above factor times the mean and six spreads. What is
// above is not learned until then.
func (l *level) take(v, factor, least float32) bool {
	if l.readings >= levelSettled && v > l.mean*factor && v > l.mean+6*l.spread+least {
		l.above = min(l.above+1, levelAbove+1)
		return l.above == levelAbove
	}
	l.above = 0
	if l.readings < 255 {
		l.readings++
	}
	weight := max(1/float32(l.readings), 0.02)
	diff := v - l.mean
	l.mean += weight * diff
	if diff < 0 {
		diff = -diff
	}
	l.spread += weight * (diff - l.spread)
	return false
}
