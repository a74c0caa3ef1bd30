package simulator

import "time"

const (
	heartbeatEvery = 120_000 // ms; CrowdStrike's sensors beat every two minutes
	deviceEvery    = 900_000 // ms between two DeviceInfo rows of a device
	sampleEvery    = 60_000  // ms; metricbeat's period for process metrics
	resourceEvery  = 3600_000
)

// begin starts the agent's life at the start of the simulated time.
func (f *Fleet) begin(a *agent) {
	if a.reserved {
		a.up = true
	}
	if a.vendor == crowdstrike && !a.gone {
		// The inventory comes from the vendor's cloud, for those asleep as well.
		f.record(a, fdrInventory, f.start+f.upTo(5*60_000), 0)
	}
	if !a.up {
		a.downAt = f.start
		if f.config.Scenario.Noise.OfficeHours {
			f.planMorning(a)
			return
		}
		f.later(a, taskWake, f.exp(f.config.Scenario.Noise.Asleep))
		return
	}
	f.startChains(a, true)
	f.planLife(a)
}

// planLife schedules what ends this time of being up.
func (f *Fleet) planLife(a *agent) {
	if every := f.config.Scenario.Noise.CrashEvery; every > 0 && !a.reserved {
		f.later(a, taskCrash, f.exp(every))
	}
	switch {
	case a.reserved:
	case f.config.Scenario.Noise.OfficeHours && (a.class == laptop || a.nightly):
		f.planEvening(a)
	case a.class == laptop:
		f.later(a, taskSleep, f.exp(f.config.Scenario.Noise.Awake))
	default:
		f.later(a, taskReboot, f.exp(f.config.Scenario.Noise.Uptime))
	}
}

// startChains starts the periodic records. At the start of the simulated time
// they begin anywhere in their period.
func (f *Fleet) startChains(a *agent, anywhere bool) {
	first := func(shape shape, every int64) {
		delay := 2000 + f.upTo(3000)
		if anywhere {
			delay = f.upTo(every)
		}
		f.chainAt(a, shape, f.now+delay)
	}
	switch a.vendor {
	case crowdstrike:
		first(fdrHeartbeat, heartbeatEvery)
		f.chainAt(a, fdrResource, f.now+f.upTo(resourceEvery))
		if every := f.config.Scenario.Noise.Telemetry.Milliseconds(); every > 0 {
			f.chainAt(a, fdrProcess, f.now+f.upTo(every))
		}
	case defender:
		first(deviceInfo, deviceEvery)
	}
	if a.metrics {
		first(processSample, sampleEvery)
	}
}

// chain schedules the successor of a periodic record.
func (f *Fleet) chain(a *agent, shape shape, event int64) {
	every := int64(heartbeatEvery)
	switch shape {
	case deviceInfo:
		every = deviceEvery
	case processSample:
		every = sampleEvery
	case fdrResource:
		every = resourceEvery
	case fdrProcess:
		if a.blind {
			return // It begins again with the next start.
		}
		every = 500 + f.upTo(2*f.config.Scenario.Noise.Telemetry.Milliseconds())
	case fdrHeartbeat:
		if noise := f.config.Scenario.Noise; noise.Late > 0 && f.random.Float64() < noise.Late {
			a.holdTill = event + heartbeatEvery + f.upTo(noise.LateBy.Milliseconds())
		}
	}
	f.chainAt(a, shape, event+every+f.upTo(1000)-500)
}

func (f *Fleet) chainAt(a *agent, shape shape, event int64) {
	f.schedule(item{agent: a.index, task: taskChain, shape: shape, event: event, gen: a.gen})
}

// record schedules one record about something that happens at event.
func (f *Fleet) record(a *agent, shape shape, event int64, arg int) {
	f.schedule(item{agent: a.index, task: taskRecord, shape: shape, event: event, arg: int32(arg)})
}

// schedule queues a record for the time at which it reaches the broker: after
// the delay of its way, and not before a late batch of its host ends.
func (f *Fleet) schedule(it item) {
	a := &f.agents[it.agent]
	it.at = max(it.event, f.now) + 150 + min(int64(f.random.ExpFloat64()*700), 6000)
	if it.event < a.holdTill && it.at < a.holdTill {
		it.at = a.holdTill + f.upTo(2000)
	}
	f.queue.push(it)
}

// later schedules one task of the agent's present life after a delay in ms.
func (f *Fleet) later(a *agent, t task, delay int64) {
	f.queue.push(item{at: f.now + delay, event: f.now + delay, agent: a.index, task: t, gen: a.gen})
}

// live does one task of an agent's life.
func (f *Fleet) live(a *agent, it item) {
	switch it.task {
	case taskSleep:
		if a.events {
			f.record(a, winSleep, f.now-800, 0)
		}
		f.down(a)
		if f.config.Scenario.Noise.OfficeHours {
			f.planMorning(a)
			return
		}
		f.later(a, taskWake, f.exp(f.config.Scenario.Noise.Asleep))
	case taskWake:
		f.up(a)
		if a.events {
			f.record(a, winResume, f.now, 0)
		}
		f.connect(a, f.now+3000+f.upTo(4000))
		f.planLife(a)
	case taskReboot:
		f.shutdown(a)
		if f.config.Scenario.Noise.OfficeHours && a.nightly {
			f.planMorning(a)
			return
		}
		f.later(a, taskBoot, 60_000+f.upTo(120_000))
	case taskBoot:
		f.boot(a)
		f.planLife(a)
	case taskCrash:
		f.down(a)
		f.later(a, taskBootUnclean, 90_000+f.upTo(150_000))
	case taskBootUnclean:
		f.bootUnclean(a)
	}
}

// down ends a time of being up; records made before it still arrive.
func (f *Fleet) down(a *agent) {
	a.up, a.downAt = false, f.now
	a.gen++
}

// up starts the periodic records again.
func (f *Fleet) up(a *agent) {
	a.up = true
	a.gen++
	f.startChains(a, false)
}

// shutdown is clean: the host says so.
func (f *Fleet) shutdown(a *agent) {
	if a.events {
		f.record(a, winShutdownAsked, f.now-9000, 0)
		f.record(a, winServiceState, f.now-4000, serviceStopped)
		f.record(a, winLogStopped, f.now-2500, 0)
		f.record(a, winKernelStop, f.now-1000, 0)
	}
	f.down(a)
}

// boot starts the host and its agent.
func (f *Fleet) boot(a *agent) {
	a.bootAt, a.agentAt = f.now, f.now+15_000+f.upTo(10_000)
	a.pid = uint32(f.random.IntN(4000)+500) * 4
	f.up(a)
	if a.events {
		f.record(a, winKernelStart, f.now, 0)
		f.record(a, winLogStarted, f.now+9000, 0)
		f.record(a, winServiceState, a.agentAt, serviceRunning)
	}
	if a.vendor == crowdstrike {
		f.record(a, fdrAgentOnline, a.agentAt, 0)
		f.record(a, fdrOSVersion, a.agentAt+1500, 0)
		f.record(a, fdrTags, a.agentAt+2000, 0)
	}
	f.connect(a, a.agentAt+1000)
}

// connect is the agent's connection to its cloud at a time in ms. Content that
// waits for the agent follows.
func (f *Fleet) connect(a *agent, at int64) {
	if a.vendor == crowdstrike {
		f.record(a, fdrAgentConnect, at, 0)
	}
	for n, p := range f.pushes {
		if a.waiting&(1<<n) != 0 {
			a.waiting &^= 1 << n
			f.incidentStep(p.incident, a, stepDeliver, at+5000+f.upTo(25_000))
		}
	}
}

// exp draws a time in ms with the given mean, as of a memoryless process.
func (f *Fleet) exp(mean time.Duration) int64 {
	return 1000 + int64(f.random.ExpFloat64()*float64(mean.Milliseconds()))
}

// upTo draws a time between 0 and limit ms.
func (f *Fleet) upTo(limit int64) int64 {
	if limit <= 0 {
		return 0
	}
	return f.random.Int64N(limit)
}
