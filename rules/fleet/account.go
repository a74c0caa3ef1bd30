package fleet

import "time"

// Place finds the agent's stratum and site again; to be called when what they
// are made of has changed.
func (s *Shard) Place(a *Agent) {
	if !a.settled {
		return
	}
	key := Stratum{Product: a.Type, OS: a.OSType, HostType: a.HostType, Ring: a.Ring}
	hardware := s.modelOf(a)
	if a.stratum >= 0 && s.strata[a.stratum].key == key && a.site >= 0 && s.sites[a.site].name == a.Site && a.model == hardware {
		return
	}
	before := a.life
	if before == alive || before == silent {
		s.count(a, before, -1)
	}
	number, ok := s.byStratum[key]
	if !ok {
		number = int32(len(s.strata))
		s.strata = append(s.strata, stratum{key: key})
		s.byStratum[key] = number
	}
	a.stratum = number
	if number, ok = s.bySite[a.Site]; !ok {
		number = int32(len(s.sites))
		s.sites = append(s.sites, site{name: a.Site})
		s.bySite[a.Site] = number
	}
	a.site, a.model = number, hardware
	if before == alive || before == silent {
		s.count(a, before, 1)
	}
}

// modelOf returns the number of the agent's model of hardware, 0 for one that
// is not known or one too many.
func (s *Shard) modelOf(a *Agent) uint8 {
	if a.Model == "" {
		return 0
	}
	key := ModelKey{a.Type, a.Model}
	if number, ok := s.byModel[key]; ok || len(s.models) > mostModels {
		return number
	}
	number := uint8(len(s.models))
	s.models = append(s.models, model{key: key})
	s.byModel[key] = number
	return number
}

// setLife moves the agent between the accounts.
func (s *Shard) setLife(a *Agent, to life) {
	from := a.life
	if from == to {
		return
	}
	if from == alive || from == silent {
		s.count(a, from, -1)
	}
	a.life = to
	a.cameTo(from, s.now)
	if to == alive || to == silent {
		s.count(a, to, 1)
	}
	if from == silent && to == alive && s.step != nil {
		of(s.step.Strata, s.strata[a.stratum].key).Returned++
		of(s.step.Sites, a.Site).Returned++
	}
}

// count adds n agents of that life to everything the agent belongs to.
func (s *Shard) count(a *Agent, l life, n int) {
	st, place, f := &s.strata[a.stratum], &s.sites[a.site], s.feeds[a.feed]
	if l == silent {
		st.silent += n
		place.silent += n
		return
	}
	st.alive += n
	place.alive += n
	f.alive += n
	f.promised += int64(n) * perStep(a.cadence)
	for _, x := range a.exposures {
		if r := s.rollouts.byID[x.rollout]; r != nil {
			r.count(a.stratum, n)
		}
	}
	s.countModel(a, n)
}

// countModel adds n agents to those alive of its model, and of those of them
// that have its versions.
func (s *Shard) countModel(a *Agent, n int) {
	s.models[a.model].alive += n
	for _, x := range a.exposures {
		if r := s.rollouts.byID[x.rollout]; r != nil {
			r.countModel(a.model, n)
		}
	}
}

// fellSilent accounts for an agent that became overdue without a goodbye.
// Whether that is its own failure, or its site's, is known at the closing of the
// step.
func (s *Shard) fellSilent(a *Agent) {
	of(s.step.Strata, s.strata[a.stratum].key).NewlySilent++
	at := of(s.step.Sites, a.Site)
	at.NewlySilent++
	at.Hosts = append(at.Hosts, a.Name())
	s.fallen = append(s.fallen, a)
}

// settleFallen accounts for those that fell silent in the step that was closed.
func (s *Shard) settleFallen(v *View) {
	for _, a := range s.fallen {
		if a.life != silent || a.evicted {
			continue // Its host said goodbye in the same step.
		}
		if _, site := v.failing[a.Site]; site && a.Site != "" {
			continue // That is no agent's failure.
		}
		st := of(s.step.Strata, s.strata[a.stratum].key)
		st.Fell++
		st.Casualties = append(st.Casualties, Casualty{Host: a.Name(), Site: a.Site, Class: Silence, Heard: a.LastSeen})
		for _, x := range a.exposures {
			if r := s.rollouts.byID[x.rollout]; r != nil && v.End-x.at <= int64(s.cfg.Exposed) {
				s.arm(r.version, s.strata[a.stratum].key).Fell++
			}
		}
		if _, blamed := v.blamed[a.Site][a.Name()]; blamed || a.Site == "" {
			s.fail(a, Silence, v.End)
		}
	}
	clear(s.fallen)
	s.fallen = s.fallen[:0]
}

// failAgain is the time within which a second failure of an agent says nothing
// that the first did not, in seconds.
const failAgain = 3600

// fail counts a failure of the agent, for its stratum and against every
// version that it got lately.
func (s *Shard) fail(a *Agent, c Class, now int64) {
	if !a.settled || a.stratum < 0 {
		return
	}
	s.blame(a, c, now)
	if c != Silence || isServer(a.HostType) {
		// That something sleeps is too common to be mixed with what is not.
		s.blame(a, anyFailure, now)
	}
}

// blame counts a failure of one class, unless the agent failed so already
// within the hour.
func (s *Shard) blame(a *Agent, c Class, now int64) {
	seconds := uint32(now / 1e9)
	if last := a.failedAt[c]; last != 0 && seconds-last < failAgain {
		return
	}
	a.failedAt[c] = seconds
	key := s.strata[a.stratum].key
	of(s.step.Strata, key).Failures[c]++
	hardware := s.models[a.model].key
	if a.model > 0 {
		of(s.step.Models, hardware).Failures[c]++
	}
	for _, x := range a.exposures {
		r := s.rollouts.byID[x.rollout]
		if r == nil || now-x.at > int64(s.cfg.Exposed) {
			continue
		}
		arm := s.arm(r.version, key)
		arm.Failures[c]++
		// Who was not counted among those that have just got it is not of them when
		// it fails: few would seem to fail often.
		early := now-x.at <= earlyFor*int64(time.Minute) && int32(x.stratum) == a.stratum
		if early {
			arm.Early[c]++
		}
		if a.model > 0 {
			of(s.step.Versions[r.version].Models, hardware.Model).fail(c, early && x.model == a.model)
		}
		if c == anyFailure {
			continue
		}
		arm.Casualties = append(arm.Casualties, Casualty{Host: a.Name(), Site: a.Site, Model: hardware.Model, Class: c, Heard: a.LastSeen})
	}
}

func (m *ModelArm) fail(c Class, early bool) {
	m.Failures[c]++
	if early {
		m.Early[c]++
	}
}

func (s *Shard) arm(v Version, key Stratum) *ArmStep {
	of(s.step.Versions, v).init()
	return of(s.step.Versions[v].Strata, key)
}

// sum writes the accounts into the step.
func (s *Shard) sum(step *Step) {
	for i := range s.strata {
		st := &s.strata[i]
		if st.alive+st.silent == 0 {
			continue
		}
		to := of(step.Strata, st.key)
		to.Alive, to.Silent = st.alive, st.silent
	}
	for i := range s.sites {
		if at := &s.sites[i]; at.alive+at.silent > 0 {
			to := of(step.Sites, at.name)
			to.Alive, to.Silent = at.alive, at.silent
		}
	}
	for _, m := range s.models[1:] {
		if m.alive > 0 {
			of(step.Models, m.key).Alive = m.alive
		}
	}
	for _, f := range s.feeds {
		*of(step.Feeds, f.name) = f.end()
	}
	for _, r := range s.rollouts.byID {
		for number, n := range r.alive {
			if n <= 0 {
				continue
			}
			// All arms, whatever fails here: where it does so in another
			// shard, the judge has to know how many of all have the version.
			s.arm(r.version, s.strata[number].key).Alive = n
		}
		for number, n := range r.models {
			if number > 0 && n > 0 {
				of(s.step.Versions[r.version].Models, s.models[number].key.Model).Alive = n
			}
		}
	}
	s.rollouts.expire(step.At-int64(s.cfg.Exposed), s.view)
	step.order()
}
