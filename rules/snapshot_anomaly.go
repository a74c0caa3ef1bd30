package rules

import "github.com/edrwatch/edrwatch/rules/internal/snapshot"

func (st *anomalyState) persist(a *archive) {
	persist(a, st.table, func(e *entry[anomalyKey]) {
		k := &e.data
		a.Float(&k.mean)
		a.Time(&k.newest)
		snapshot.Int(a.Codec, &k.quiet)
		switch st.p.method {
		case "novelty":
			if a.Reading() {
				k.novelty = &noveltyBaseline{}
			}
			k.novelty.persist(a)
		case "seasonal":
			if a.Reading() {
				k.seasonal = &seasonalBaseline{}
			}
			k.seasonal.persist(a)
		default:
			snapshot.Int(a.Codec, &k.ewma.samples)
			a.Float(&k.ewma.mean)
			a.Float(&k.ewma.variance)
		}
	})
	st.found.persist(a)
}

func (b *noveltyBaseline) persist(a *archive) {
	snapshot.Int(a.Codec, &b.samples)
	for _, f := range []*float64{&b.low, &b.high, &b.bottom, &b.step} {
		a.Float(f)
	}
	snapshot.Int(a.Codec, &b.at)
	a.Raw(b.ring[:])
	a.Raw(b.now[:])
	snapshot.Int(a.Codec, &b.remember)
	if b.at < 0 || b.at >= stretch || b.remember < 0 || b.remember > remembered || !b.now.valid() {
		a.Fail("this is no baseline")
		return
	}
	for _, bin := range b.ring {
		if bin >= bins {
			a.Fail("bin %d of %d", bin, bins)
			return
		}
	}
	for i := range b.remember {
		if a.Raw(b.memory[i][:]); !b.memory[i].valid() {
			a.Fail("this is no histogram")
			return
		}
	}
}

// valid reports whether a histogram counts one stretch at most.
func (h *histogram) valid() bool { return h.total() <= stretch }

func (b *seasonalBaseline) persist(a *archive) {
	snapshot.Int(a.Codec, &b.samples)
	a.Float(&b.variance)
	for i := range b.slots {
		slot := &b.slots[i]
		if snapshot.Int(a.Codec, &slot.samples); slot.samples > 0 {
			a.Float32(&slot.mean)
			a.Float32(&slot.variance)
		}
	}
}
