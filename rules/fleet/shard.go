package fleet

import (
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Shard watches the agents of one partition. It belongs to one goroutine.
type Shard struct {
	cfg   Config
	names map[string]string // texts that many agents share

	strata    []stratum
	byStratum map[Stratum]int32
	sites     []site
	bySite    map[string]int32
	models    []model // the first stands for all that are not compared
	byModel   map[ModelKey]uint8
	feeds     []*feed
	byFeed    map[string]int32
	rollouts  rollouts

	stepEnd int64 // of the step in progress
	now     int64 // clock of the last event or step
	step    *Step
	ended   int64    // end of the step before; 0 for none
	view    *View    // as of the closing of a step; nil before
	seen    int64    // the end of that; kept beyond a restart
	fallen  []*Agent // silent since the step before
	empty   int      // steps without a record, up to the last
}

type stratum struct {
	key           Stratum
	alive, silent int
}

type model struct {
	key   ModelKey
	alive int
}

// mostModels bounds the models of hardware that a shard reports, those that it
// met first.
const mostModels = 255

type site struct {
	name          string
	alive, silent int
}

// NewShard returns a shard that knows nobody.
func NewShard(cfg Config) *Shard {
	cfg = cfg.withDefaults()
	return &Shard{
		cfg: cfg, names: map[string]string{}, byStratum: map[Stratum]int32{}, bySite: map[string]int32{}, models: make([]model, 1), byModel: map[ModelKey]uint8{}, byFeed: map[string]int32{},
		rollouts: newRollouts(cfg.MaxRollouts),
	}
}

// Intern returns the text as it is kept once for all agents.
func (s *Shard) Intern(text string) string {
	if text == "" {
		return ""
	}
	if known, ok := s.names[text]; ok {
		return known
	}
	kept := string(append([]byte(nil), text...))
	if len(s.names) < maxNames { // Beyond it texts are not shared, which costs memory and nothing else.
		s.names[kept] = kept
	}
	return kept
}

// maxNames bounds the shared texts, which a hostile record could make up.
const maxNames = 1 << 16

// NextStep is when the step in progress ends; 0 before the first event.
func (s *Shard) NextStep() int64 { return s.stepEnd }

// emptySteps is how many steps without a record are counted one by one before
// a long gap is passed over at once.
const emptySteps = 30

func records(s *Step) int {
	n := 0
	for _, f := range s.Feeds {
		n += f.Records
	}
	return n
}

// longGap is the time without any record after which the shard does not count
// the steps in between one by one.
const longGap = int64(15 * time.Minute)

// EndStep closes the step in progress, which ended at NextStep, and begins
// the next; now is where the clock is going. The step is the caller's.
func (s *Shard) EndStep(now int64) *Step {
	end := s.stepEnd
	s.now = max(s.now, end)
	for i, f := range s.feeds {
		s.lookAt(int32(i), f.clock.mark(end, int64(s.cfg.Late)), end)
	}
	done := s.step
	done.At = end
	s.sum(done)
	s.ended = end
	s.stepEnd += StepLength
	if s.empty++; len(done.Feeds) > 0 && records(done) > 0 {
		s.empty = 0
	}
	if now-s.stepEnd > longGap && s.empty > emptySteps {
		s.stepEnd = max(s.stepEnd, now-now%StepLength) // What is due in the gap is due before what comes now.
	}
	s.step = newStep(s.stepEnd)
	return done
}

// Behind returns the last view that the shard was given and the end of its last
// step; where they differ there may be views that it has to Advance over.
func (s *Shard) Behind() (seen, ended int64) { return s.seen, s.ended }

// Restored returns the end of the step whose view the shard had when its state
// was kept, and false where it needs none.
func (s *Shard) Restored() (seen int64, needed bool) { return s.seen, s.view == nil && s.seen > 0 }

// Begin sets what is known of the fleet before the first event; nil for
// nothing.
func (s *Shard) Begin(v *View) {
	if s.view = v; v != nil && s.seen == 0 {
		s.seen = v.End
	}
}

// Advance sets what is known of the whole fleet. What happened to hosts has
// to be reported before, so that who said goodbye is not counted as silent.
func (s *Shard) Advance(v *View) {
	s.view, s.seen = v, v.End
	for _, f := range s.feeds {
		f.clock = v.feed(f.name)
	}
	s.settleFallen(v)
}

// Dark reports whether the agent's site is known to be dark.
func (s *Shard) Dark(a *Agent) bool { return s.view.Dark(a) }

// Observe takes an event about an agent. Now is the clock, at the event's time
// (not after the clock), topic where its record came from.
func (s *Shard) Observe(a *Agent, e *event.Event, now, at int64, topic string) {
	s.now = now
	if s.step == nil {
		s.stepEnd = now - now%StepLength + StepLength
		s.step = newStep(s.stepEnd)
	}
	number, ok := s.byFeed[topic]
	if !ok {
		number = s.addFeed(topic)
	}
	f := s.feeds[number]
	f.delayed(now - at)
	late := now-at > int64(s.cfg.Fresh)
	if late {
		f.late++ // A backlog does not show that the feed lives now.
	} else {
		f.record(now)
	}
	if a == nil {
		return
	}
	if late {
		s.past(a, e, now)
		return
	}
	s.hear(a, e, now, at, number)
}

func (s *Shard) addFeed(topic string) int32 {
	number := int32(len(s.feeds))
	name := s.Intern(topic)
	s.feeds = append(s.feeds, &feed{name: name, clock: s.view.feed(name), wheel: map[int64][]*Agent{}, least: -1})
	s.byFeed[name] = number
	return number
}

// past takes an event about a time long gone: that a host crashed is
// only known once it is back.
func (s *Shard) past(a *Agent, e *event.Event, now int64) {
	switch e.Str(ecs.EventAction) {
	case "host-crashed", "host-unclean-shutdown", "sensor-crashed", "service-crashed":
		s.fail(a, Crash, now)
	}
}

// host takes what happened to the agent's host.
func (s *Shard) host(a *Agent, action string, now, at int64) {
	switch action {
	case "host-crashed", "host-unclean-shutdown":
		s.fail(a, Crash, now)
	case "host-booted":
		if now-at <= int64(s.cfg.Fresh) {
			a.startedAt = now
		}
	case "host-shutdown":
		if now-at <= int64(s.cfg.Fresh) && a.settled {
			s.leave(a, hostEnded)
		}
	}
}

// hear takes an event about the present.
func (s *Shard) hear(a *Agent, e *event.Event, now, at int64, number int32) {
	action := e.Str(ecs.EventAction)
	kind := noBeat
	switch action {
	case "sensor-heartbeat":
		kind = heartbeat
	case "resource-usage":
		kind = usageBeat
	case "sensor-stopped", "sensor-uninstalled", "host-shutdown":
		s.leave(a, goodbyeOf(action))
		return
	case "sensor-crashed", "service-crashed", "host-crashed", "host-unclean-shutdown":
		s.fail(a, Crash, now)
		return
	case "host-booted":
		a.startedAt = now
		return
	case "sensor-started":
		s.started(a, now)
	case "telemetry-dropped":
		s.fail(a, Telemetry, now)
	case "content-updated":
		if e.Str(ecs.EventOutcome) != "failure" {
			s.content(a, e, now, true)
		}
	}
	if action != "content-updated" && e.Has(ecs.EDRContentVersion) {
		s.content(a, e, now, false)
	}
	if a.Version != "" {
		s.sensor(a, e, now)
	}
	s.usage(a, e, now)
	voice := e.Voice()
	switch {
	case voice == event.VoiceServer:
		// A console goes on naming agents that are dead: when it heard one itself is
		// all that it shows of their life.
		if seen := e.Get(ecs.EntityLastSeenTimestamp); seen != nil && a.beat == noBeat {
			a.happened = max(a.happened, min(seen.Time(), now))
		}
	case kind > noBeat && kind >= a.beat:
		s.beatOf(a, kind, now, at, number)
	case voice == event.VoiceHost || !e.Said(ecs.AgentID):
		// It was only found to be about the agent.
	case a.beat == noBeat:
		a.happened = max(a.happened, at)
	case (a.life == silent || a.life == gone) && a.settled && a.stratum >= 0:
		s.revive(a, now) // Anything that the agent itself sends shows that it is back.
	}
}

// usage compares the agent's use of CPU and memory with its own past.
func (s *Shard) usage(a *Agent, e *event.Event, now int64) {
	shifted := false
	if v := e.Get(ecs.EDRResourceCPUPct); v != nil {
		shifted = a.cpu.take(float32(v.Float()), 2.5, 5)
	}
	if v := e.Get(ecs.EDRResourceMemoryBytes); v != nil {
		shifted = a.memory.take(float32(v.Float()), 1.5, 16<<20) || shifted
	}
	if shifted {
		s.fail(a, Resources, now)
	}
}

// started notes a start of the agent, which is a failure where nothing that
// starts agents came before.
func (s *Shard) started(a *Agent, now int64) {
	const apart, same = int64(10 * time.Minute), int64(90 * time.Second)
	if a.startedAt != 0 && now-a.startedAt < same && a.reported == a.Version {
		return // The service, the driver and the sensor each report one start.
	}
	// A start out of a short silence is what a crashed host looks like that
	// ships no log of its own. After a longer one somebody had switched it off,
	// and may do so for minutes as well.
	const short = int64(30 * time.Minute)
	down := a.life == silent && s.feeds[a.feed].clock.at(now)-a.lastBeat < short
	if a.life == gone || a.life == silent && !down {
		a.sleeps = true
	}
	down = down && (!a.sleeps || isServer(a.HostType))
	expected := a.life != alive && !down || now-a.startedAt < apart && !a.updated
	switch {
	case a.reported != a.Version: // It starts as another version: that is the update.
		expected, a.updated = true, true
	case s.rollouts.gotSensor(a, now-apart) && !a.updated:
		expected, a.updated = true, true // One start belongs to the update, a second one does not.
	}
	a.startedAt = now
	if !expected {
		s.fail(a, Restart, now)
	}
}

// beatOf learns from a beat and puts the next one on the calendar.
func (s *Shard) beatOf(a *Agent, kind beat, now, happened int64, number int32) {
	a.goodbye = noGoodbye
	if a.beat == noBeat {
		a.stratum, a.site, a.feed = -1, -1, number
	}
	f := s.feeds[number]
	f.beats++
	at := now - f.clock.frozen
	if kind > a.beat || a.feed != number {
		before := a.life
		s.setLife(a, gone) // Leaves the accounts of the feed before.
		a.beat, a.feed, a.cadence, a.settled = kind, number, 0, false
		if before == unheard {
			a.life = unheard
		}
	} else if gap := happened - a.happened; gap > 0 {
		// By the agent's own clock: what a feed holds back comes all at once.
		s.learn(a, f, gap)
	}
	a.lastBeat, a.happened = at, max(a.happened, happened)
	if !a.settled {
		return // Who cannot be missed yet is not at risk either, or the comparison would be askew.
	}
	s.Place(a)
	s.setLife(a, alive)
	if due := s.dueAt(a); !a.queued || due < a.due {
		f.put(a, due)
	}
}

// learn moves the cadence: quickly down, because the first gap may have been a
// sleep, slowly up, and not by a gap that was a silence, unless it is the
// third of its kind: then the agent beats more slowly now.
func (s *Shard) learn(a *Agent, f *feed, gap int64) {
	before := a.cadence
	switch {
	case a.cadence == 0:
		a.cadence = gap
	case gap < a.cadence:
		a.cadence += (gap - a.cadence) / 2
		a.settled = true
	case gap < 2*a.cadence+int64(s.cfg.Late):
		a.cadence += (gap - a.cadence) / 8
		a.settled = true
	default:
		if a.longer++; a.longer >= 3 {
			a.cadence, a.longer = gap, 0
		}
	}
	if gap < 2*before+int64(s.cfg.Late) {
		a.longer = 0
	}
	if a.life == alive && a.cadence != before {
		f.promised += perStep(a.cadence) - perStep(before)
	}
}

// perStep is how many beats a cadence promises in a step, in millionths.
func perStep(cadence int64) int64 {
	if cadence <= 0 {
		return 0
	}
	return StepLength * millionths / max(cadence, int64(time.Millisecond))
}

// dueAt is when the agent is silent, on its feed's clock.
func (s *Shard) dueAt(a *Agent) int64 { return a.lastBeat + a.cadence + int64(s.cfg.Late) }

// revive takes an agent for alive again that sent something else than a beat.
func (s *Shard) revive(a *Agent, now int64) {
	f := s.feeds[a.feed]
	a.lastBeat = f.clock.at(now)
	s.setLife(a, alive)
	if !a.queued && a.cadence > 0 {
		f.put(a, s.dueAt(a))
	}
}

// lookAt finds the agents of a feed that are overdue on its clock.
func (s *Shard) lookAt(number int32, clock, now int64) {
	f := s.feeds[number]
	to := clock / StepLength
	if f.looked == 0 || to-f.looked > wheelPatience {
		// Pass over what is empty at once: the first slot is decades from zero.
		first := to
		for slot := range f.wheel {
			first = min(first, slot-1)
		}
		f.looked = max(f.looked, first)
	}
	for ; f.looked < to; f.looked++ {
		list, ok := f.wheel[f.looked+1]
		if !ok {
			continue
		}
		delete(f.wheel, f.looked+1)
		for _, a := range list {
			if a.queued && a.feed == number {
				s.overdue(a, f, clock, now)
			}
		}
	}
}

// wheelPatience is how many slots without an entry are walked over.
const wheelPatience = 4096

func (s *Shard) overdue(a *Agent, f *feed, clock, now int64) {
	a.queued = false
	if a.evicted || a.life != alive {
		return
	}
	due := s.dueAt(a)
	if f.clock.resumed > 0 {
		// After a gap everybody gets the time of one more beat.
		due = max(due, min(f.clock.resumed, clock)+a.cadence+int64(s.cfg.Late))
	}
	if due > clock {
		f.put(a, due)
		return
	}
	s.setLife(a, silent)
	if s.view != nil && now-s.view.Began >= int64(s.cfg.Settle) {
		s.fellSilent(a)
	}
}

// Evict takes an agent out that its owner forgets.
func (s *Shard) Evict(a *Agent) {
	s.setLife(a, gone)
	a.evicted = true
}
