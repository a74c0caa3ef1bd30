package fleet

import (
	"math"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// rollouts are the versions under comparison in one shard.
type rollouts struct {
	byID      map[int32]*rollout
	byVersion map[Version]int32
	next      int32
	limit     int
}

// rollout is a version that agents get.
type rollout struct {
	version Version
	last    int64 // clock at the last exposure
	alive   []int // agents that have it, by stratum
	models  []int // and by model
}

func newRollouts(limit int) rollouts {
	return rollouts{byID: map[int32]*rollout{}, byVersion: map[Version]int32{}, limit: limit}
}

func (r *rollout) count(stratum int32, n int) {
	r.alive = grown(r.alive, int(stratum)+1)
	r.alive[stratum] += n
}

func (r *rollout) countModel(model uint8, n int) {
	r.models = grown(r.models, int(model)+1)
	r.models[model] += n
}

// grown is a list of at least so many numbers.
func grown(list []int, n int) []int {
	for n > len(list) {
		list = append(list, 0)
	}
	return list
}

// obtain returns the number of a version. Where there are too many the one
// that no agent got for longest is given up.
func (rs *rollouts) obtain(v Version) int32 {
	if id, ok := rs.byVersion[v]; ok {
		return id
	}
	if len(rs.byID) >= rs.limit {
		victim := int32(-1)
		for id, r := range rs.byID {
			if victim < 0 || r.last < rs.byID[victim].last || r.last == rs.byID[victim].last && id < victim {
				victim = id
			}
		}
		rs.drop(victim)
	}
	rs.next++
	v.Version, v.Channel = strings.Clone(v.Version), strings.Clone(v.Channel)
	rs.byID[rs.next] = &rollout{version: v}
	rs.byVersion[v] = rs.next
	return rs.next
}

func (rs *rollouts) drop(id int32) {
	delete(rs.byVersion, rs.byID[id].version)
	delete(rs.byID, id)
}

// expire gives up the versions that no agent of the fleet got since.
func (rs *rollouts) expire(since int64, v *View) {
	for id, r := range rs.byID {
		if r.last < since && (v == nil || v.versions[r.version] < since) {
			rs.drop(id)
		}
	}
}

// gotSensor reports whether the agent got a new sensor since.
func (rs *rollouts) gotSensor(a *Agent, since int64) bool {
	for _, x := range a.exposures {
		if r := rs.byID[x.rollout]; r != nil && r.version.Kind == Sensor && x.at >= since {
			return true
		}
	}
	return false
}

// content notes the content version that an event names. An update is an
// exposure; a report is one when it differs from the report before.
func (s *Shard) content(a *Agent, e *event.Event, now int64, updated bool) {
	version := e.Str(ecs.EDRContentVersion)
	if version == "" || a.Type == "" {
		return
	}
	name := e.Str(ecs.EDRContentChannel)
	var known *channel
	for i := range a.channels {
		if a.channels[i].name == name {
			known = &a.channels[i]
			break
		}
	}
	switch {
	case known == nil:
		if len(a.channels) >= maxChannels {
			a.channels = append(a.channels[:0], a.channels[1:]...)
		}
		a.channels = append(a.channels, channel{s.Intern(name), s.Intern(version)})
		if !updated {
			return // What an agent had when it was first heard of is no news.
		}
	case known.version == version:
		return
	default:
		known.version = s.Intern(version)
	}
	s.expose(a, Version{Product: a.Type, Kind: Content, Channel: name, Version: version}, now)
}

// sensor notes the sensor's version.
func (s *Shard) sensor(a *Agent, e *event.Event, now int64) {
	if a.reported == a.Version {
		return
	}
	first := a.reported == ""
	a.reported = a.Version
	if e.Str(ecs.EventAction) != "sensor-started" {
		a.updated = false
	}
	if !first && a.Type != "" {
		s.expose(a, Version{Product: a.Type, Kind: Sensor, Version: a.Version}, now)
	}
}

// expose notes that the agent got a version.
func (s *Shard) expose(a *Agent, v Version, now int64) {
	id := s.rollouts.obtain(v)
	r := s.rollouts.byID[id]
	r.last = now
	for i := range a.exposures {
		if a.exposures[i].rollout == id {
			return
		}
	}
	s.supersede(a, v, now)
	if len(a.exposures) >= maxExposures {
		s.unexpose(a, 0)
	}
	x := exposure{at: now, rollout: id, stratum: notCounted}
	if a.life == alive {
		r.count(a.stratum, 1)
		r.countModel(a.model, 1)
	}
	to := of(s.step.Versions, r.version)
	to.init()
	to.Exposed++
	to.Rings[a.Ring]++
	to.Sites[a.Site]++
	if a.stratum >= 0 && a.stratum <= math.MaxInt16 && a.settled {
		x.stratum, x.model = int16(a.stratum), a.model
		of(to.Strata, s.strata[a.stratum].key).Exposed++
		if a.model > 0 {
			of(to.Models, s.models[a.model].key.Model).Exposed++
		}
	}
	a.exposures = append(a.exposures, x)
}

// supersede takes the agent out of the versions that the new one replaces:
// what fails from now on is not theirs.
func (s *Shard) supersede(a *Agent, v Version, now int64) {
	for i := len(a.exposures) - 1; i >= 0; i-- {
		r := s.rollouts.byID[a.exposures[i].rollout]
		if r == nil || now-a.exposures[i].at > int64(s.cfg.Exposed) ||
			r.version.Product == v.Product && r.version.Kind == v.Kind && r.version.Channel == v.Channel {
			s.unexpose(a, i)
		}
	}
}

func (s *Shard) unexpose(a *Agent, i int) {
	if r := s.rollouts.byID[a.exposures[i].rollout]; r != nil && a.life == alive {
		r.count(a.stratum, -1)
		r.countModel(a.model, -1)
	}
	a.exposures = append(a.exposures[:i], a.exposures[i+1:]...)
}

func (v *VersionStep) init() {
	if v.Strata == nil {
		v.Strata, v.Rings, v.Sites = map[Stratum]*ArmStep{}, map[string]int{}, map[string]int{}
		v.Models = map[string]*ModelArm{}
	}
}
