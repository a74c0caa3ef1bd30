package variation

import "time"

// skew is how wrong a host's clock is; records carry the host's time.
func (b *builder) skew(h *host) time.Duration {
	switch r := b.random.IntN(1000); {
	case r < 5:
		return -7 * time.Minute
	case r < 10:
		return 4 * time.Minute
	case r < 12:
		return 30 * time.Minute
	}
	return 0
}

// annoy gives the host what hosts do now and then without anything being
// wrong with their fleet: a crash, a scan, an error, a download that fails
// and is repeated, routine content. Each is rare on one host and daily in a fleet.
func (b *builder) annoy(h *host) {
	const day = 24 * time.Hour
	somewhen := func(every time.Duration, do func(t time.Duration)) {
		for t := b.exp(every); t < b.length; t += b.exp(every) {
			if up, _ := h.up(t); up {
				do(t)
			}
		}
	}
	somewhen(300*day, func(t time.Duration) { h.stop(t, 2*time.Minute+b.upTo(3*time.Minute), crash) })
	if h.ships != noEvents {
		somewhen(300*day, func(t time.Duration) {
			b.add(h, windowsEvent, t, evServiceCrash)
			b.add(h, windowsEvent, t+10*time.Second, evServiceRunning)
		})
	}
	if h.metrics && h.use == nil && b.random.IntN(8) == 0 {
		from, load := b.upTo(b.length), 30+25*b.random.Float64()
		h.use = func(t time.Duration) (float64, float64) {
			if t >= from && t < from+25*time.Minute {
				return load, 150
			}
			return 0, 0
		}
	}
	if h.vendor != falcon {
		return
	}
	somewhen(2*day, func(t time.Duration) { b.add(h, sensorError, t, uint32(b.random.IntN(5))) })
	somewhen(10*day, func(t time.Duration) {
		b.add(h, downloadFailed, t, 0)
		b.add(h, contentFile, t+90*time.Second, routine)
	})
	// Routine content comes every three hours and reaches the fleet within one.
	for t := b.upTo(time.Hour); t < b.length; t += 3 * time.Hour {
		if at := t + b.upTo(10*time.Minute); at < b.length {
			if up, _ := h.up(at); up {
				b.add(h, contentFile, at, routine)
			}
		}
	}
	for t := b.exp(90 * time.Second); t < b.length; t += b.exp(90*time.Second) + time.Second {
		if up, _ := h.up(t); up {
			b.add(h, telemetry, t, 0)
		}
	}
}

// routine marks a content file of another channel than the incidents'.
const routine = 1
