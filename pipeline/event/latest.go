package event

// Latest says that a document is the state of something: a sink that can
// overwrite keeps only the newest document of each ID, besides the history that
// the streams are. The zero Latest says that it is no state.
type Latest struct {
	// ID is that of the agent or the alert.
	ID string
	// Version orders the documents of an ID, whichever gateway wrote them: one of
	// a lower or the same version does not replace what is there. It is above 0.
	Version int64
}

// An alert ends once, so that resolved comes after everything that was said
// while it fired; before that time orders, and of the same millisecond the count,
// which only grows.
const (
	countBits  = 20
	resolvedAt = 1 << 62
)

// AlertVersion orders the documents of one alert by its status, the time of the
// document (nanoseconds since 1970) and the alert's count.
func AlertVersion(status string, at, count int64) int64 {
	const limit = 1<<countBits - 1
	// The times of our clocks, up to the year 2109, fit.
	version := min(max(at/1e6, 0), resolvedAt>>countBits-1)<<countBits | min(max(count, 0), limit)
	if status == "resolved" {
		version |= resolvedAt
	}
	return max(version, 1)
}

// Final reports whether the alert that it is the state of is resolved: an earlier
// document says what it was about.
func (l Latest) Final() bool { return l.Version&resolvedAt != 0 }
