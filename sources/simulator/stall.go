package simulator

// stall is a time in which records do not reach the broker as they are made.
type stall struct {
	topics      []string // none: all
	from, until int64    // ms
	lag         int64    // they come this much later, ms; 0: all of them after the end
	lost        bool     // they never come
}

func (s *stall) holds(topic string, at int64) bool {
	if at < s.from || at >= s.until {
		return false
	}
	for _, t := range s.topics {
		if t == topic {
			return true
		}
	}
	return len(s.topics) == 0
}

// batchSlices are the parts of the fleet whose records FDR writes into one batch.
const batchSlices = 32

// late keeps the record back, or drops it, where its feed stalls or its batch
// is late, and reports whether it did.
func (f *Fleet) late(a *agent, it item) bool {
	if it.step != 0 {
		return false // It has waited already.
	}
	topic := it.shape.topic()
	for i := range f.stalls {
		s := &f.stalls[i]
		if !s.holds(topic, it.at) {
			continue
		}
		if s.lost {
			return true
		}
		at := it.at + s.lag
		if s.lag == 0 {
			// The backlog comes in its order within a tenth of the time.
			at = s.until + (it.at-s.from)/10
		}
		f.hold(it, at)
		return true
	}
	if noise := f.config.Scenario.Noise; noise.LateSlices > 0 && topic == TopicFDR {
		batch := mix(f.config.Seed ^ uint64(it.at/60_000)<<8 ^ mix(uint64(a.index))%batchSlices)
		if float64(batch>>11)/(1<<53) < noise.LateSlices {
			by := int64(mix(batch) % uint64(max(1, noise.SliceLateBy.Milliseconds())))
			f.hold(it, it.at+60_000+by)
			return true
		}
	}
	return false
}

// hold queues the record once more, for a later time.
func (f *Fleet) hold(it item, at int64) {
	it.task, it.at, it.step = taskRecord, at, 1
	f.queue.push(it)
}
