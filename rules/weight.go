package rules

import (
	"math/bits"
	"unsafe"
)

// What the state of rules weighs is kept while it changes: an entry that was
// used is weighed when the event, or the timers, are done. Slices are counted as
// if they had grown to their length one by one, so that the weight depends on
// what is remembered alone, and is the same in a replay and after a restart.

// account is the weight of all rules of a session.
type account struct {
	bytes   int64
	touched []table
}

// table is the state of a rule's keys, whatever they are.
type table interface {
	// settle weighs what was used.
	settle()
	// weight is the bytes of all keys, and how many they are.
	weight() (bytes int64, held int)
	// relieve forgets the key that was not used for longest.
	relieve()
	// forgotten tells how many keys were forgotten for want of a place, and how
	// many for want of bytes.
	forgotten() (places, bytes uint64)
}

// memory is what is remembered of a key.
type memory[T any] interface {
	*T
	// weight is what it refers to, in bytes.
	weight() int
	// open calls end for its alerts that have begun and not ended.
	open(end func(openAlert), key string, r *Rule)
}

// weighed returns a table whose keys count on an account. A key that is
// forgotten goes to onForget before.
func weighed[T any](limit int, a *account, weigh func(*T) int, onForget func(*entry[T], shortageReason)) *keyed[T] {
	k := newKeyed[T](limit)
	k.account, k.weigh, k.onForget = a, weigh, onForget
	// The entry, its place in the index (16 bytes, of which some 55 % are used)
	// and among the timers.
	k.fixed = allocated(int(unsafe.Sizeof(entry[T]{}))) + 28 + 10
	return k
}

// tableOf returns the table of a rule in a session.
func tableOf[T any, M memory[T]](s *Session, r *Rule) *keyed[T] {
	number := r.number
	k := weighed(s.maxKeys, &s.account, func(data *T) int { return M(data).weight() }, func(e *entry[T], why shortageReason) {
		s.shortages.note(number, why)
		M(&e.data).open(func(o openAlert) {
			s.withdraw(s.set.rules[number], o, "forgotten for want of room ("+why.String()+"): whether it still holds is not known")
		}, e.key, s.set.rules[number])
	})
	s.tables[number] = append(s.tables[number], k)
	return k
}

// soil marks an entry as used.
func (k *keyed[T]) soil(e *entry[T]) {
	if k.dirty == e || k.account == nil {
		return
	}
	if k.dirty != nil {
		k.clean()
	}
	k.dirty = e
	if !k.queued {
		k.queued = true
		k.account.touched = append(k.account.touched, k)
	}
}

// clean weighs the entry that was used last.
func (k *keyed[T]) clean() {
	e := k.dirty
	k.dirty = nil
	k.add(e, int64(k.fixed+allocated(len(e.key))+k.weigh(&e.data)))
}

// add sets the weight of an entry.
func (k *keyed[T]) add(e *entry[T], size int64) {
	delta := size - int64(e.size)
	e.size = int32(size)
	k.bytes += delta
	k.account.bytes += delta
}

// lift takes an entry off the account.
func (k *keyed[T]) lift(e *entry[T]) {
	if k.account == nil {
		return
	}
	if k.dirty == e {
		k.dirty = nil
	}
	k.add(e, 0)
}

func (k *keyed[T]) settle() {
	k.queued = false
	if k.dirty != nil {
		k.clean()
	}
}

func (k *keyed[T]) weight() (int64, int) { return k.bytes, k.held() }

func (k *keyed[T]) forgotten() (places, bytes uint64) { return k.evicted, k.relieved }

func (k *keyed[T]) relieve() {
	k.relieved++
	k.forget(tooHeavy)
}

// drop takes the weight of a table off that goes.
func (a *account) drop(bytes int64) { a.bytes -= bytes }

// settle weighs all that was used.
func (a *account) settle() {
	for i, t := range a.touched {
		t.settle()
		a.touched[i] = nil
	}
	a.touched = a.touched[:0]
}

// allocated is the room that Go's allocator takes for a number of bytes: its
// size classes (runtime/sizeclasses.go), pages above.
func allocated(n int) int {
	switch {
	case n <= 0:
		return 0
	case n <= 8:
		return 8
	case n <= 128:
		return (n + 15) &^ 15
	case n <= 32<<10:
		// Between two powers of two there are four classes or more; four is near enough.
		step := 1 << (bits.Len(uint(n-1)) - 3)
		return (n + step - 1) &^ (step - 1)
	}
	return (n + 8191) &^ 8191
}

// grown is the room of a slice that has grown to a length by appending.
func grown(length, size int) int {
	if length == 0 {
		return 0
	}
	room := 512
	if length <= room {
		room = 1 << bits.Len(uint(length-1))
	}
	for room < length {
		room += (room + 3*256) / 4
	}
	return allocated(room * size)
}

func (ep *episode) weight() int { return allocated(len(ep.id)) }

func (t *trace) weight() int { return grown(len(t.ids()), 1) }

// weight takes hosts to have names of one length.
func (w *subjects) weight() int { return texts(w.hosts) }

// texts is the weight of a list of texts, which are taken to be as long as the
// last.
func texts(list []string) int {
	if len(list) == 0 {
		return 0
	}
	return grown(len(list), 16) + len(list)*allocated(len(list[len(list)-1]))
}

func (k *matchKey) weight() int { return k.episode.weight() + k.gone.weight() }

func (k *thresholdKey) weight() int {
	return k.episode.weight() + k.subjects.weight() + k.trace.weight() + grown(k.times.len(), 8)
}

func (k *valueCountKey) weight() int {
	return k.episode.weight() + k.subjects.weight() + k.trace.weight() + k.seen.weight()
}

func (l *sightings) weight() int {
	n := grown(int(l.n), int(unsafe.Sizeof(sighting{}))) + grown(int(l.different), int(unsafe.Sizeof(seenValue{})))
	if l.different > fewValues {
		n += 8 * int(l.different) // Their table.
	}
	if l.newest != 0 {
		n += int(l.different) * allocated(len(l.value(l.node(l.newest).value).text))
	}
	return n
}

func (k *bucketKey) weight() int {
	return k.episode.weight() + k.subjects.weight() + k.trace.weight() + k.samples.weight() + grown(len(k.marks), 8)
}

func (l bucketSamples) weight() int {
	if len(l) == 0 {
		return 0
	}
	return grown(len(l), int(unsafe.Sizeof(bucketSample{}))) + len(l)*allocated(len(l[len(l)-1].text))
}

func (k *metricKey) weight() int {
	return k.episode.weight() + k.gone.weight() + k.subjects.weight() + k.trace.weight() + grown(k.samples.len(), int(unsafe.Sizeof(sample{})))
}

func (k *bucketMetricKey) weight() int {
	return k.subjects.weight() + k.trace.weight() + k.samples.weight()
}

func (k *silenceKey) weight() int { return k.episode.weight() }

func (k *changeKey) weight() int { return allocated(len(k.value)) + allocated(len(k.before)) }

func (k *newTermsKey) weight() int { return grown(len(k.terms), int(unsafe.Sizeof(term{}))) }

func (k *sequenceKey) weight() int {
	n := grown(len(k.steps), int(unsafe.Sizeof(stepEvent{})))
	if len(k.steps) > 0 {
		n += len(k.steps) * allocated(len(k.steps[len(k.steps)-1].id))
	}
	return n
}

func (k *spikeKey) weight() int { return k.subjects.weight() + allocated(4*len(k.counts)) }

func (k *anomalyKey) weight() int {
	switch {
	case k.novelty != nil:
		return allocated(int(unsafe.Sizeof(*k.novelty)))
	case k.seasonal != nil:
		return allocated(int(unsafe.Sizeof(*k.seasonal)))
	}
	return 0
}

func (k *occurrence) weight() int { return k.episode.weight() + texts(k.hosts) }
