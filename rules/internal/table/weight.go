package table

import (
	"math/bits"
	"unsafe"
)

// What the state of rules weighs is kept while it changes: an entry that was
// used is weighed when the event, or the timers, are done. Slices are counted as
// if they had grown to their length one by one, so that the weight depends on
// what is remembered alone, and is the same in a replay and after a restart.

// account is the weight of all rules of a session.
type Account struct {
	Bytes   int64
	touched []Accounted
}

// Accounted is the state of a rule's keys, whatever they are.
type Accounted interface {
	// WeighUsed weighs what was used.
	WeighUsed()
	// Weight is the bytes of all keys, and how many they are.
	Weight() (bytes int64, held int)
	// ForgetOldest forgets the key that was not used for longest.
	ForgetOldest()
	// Forgotten returns how many keys were forgotten because the limit of keys was
	// reached, and how many because that of bytes was.
	Forgotten() (places, bytes uint64)
}

// NewWeighed returns a table whose keys count on an account. A key that is
// forgotten goes to onForget before.
func NewWeighed[T any](limit int, a *Account, weigh func(*T) int, onForget func(*Entry[T], Reason)) *Keyed[T] {
	k := New[T](limit)
	k.account, k.weigh, k.onForget = a, weigh, onForget
	// The entry, its place in the index (16 bytes, of which some 55 % are used)
	// and among the timers.
	k.fixed = Allocated(int(unsafe.Sizeof(Entry[T]{}))) + 28 + 10
	return k
}

// markDirty marks an entry as used.
func (k *Keyed[T]) markDirty(e *Entry[T]) {
	if k.dirty == e || k.account == nil {
		return
	}
	if k.dirty != nil {
		k.weighDirty()
	}
	k.dirty = e
	if !k.queued {
		k.queued = true
		k.account.touched = append(k.account.touched, k)
	}
}

// weighDirty weighs the entry that was used last.
func (k *Keyed[T]) weighDirty() {
	e := k.dirty
	k.dirty = nil
	k.setWeight(e, int64(k.fixed+Allocated(len(e.Key))+k.weigh(&e.Data)))
}

// setWeight sets the weight of an entry.
func (k *Keyed[T]) setWeight(e *Entry[T], size int64) {
	delta := size - int64(e.size)
	e.size = int32(size)
	k.bytes += delta
	k.account.Bytes += delta
}

// clearWeight takes an entry off the account.
func (k *Keyed[T]) clearWeight(e *Entry[T]) {
	if k.account == nil {
		return
	}
	if k.dirty == e {
		k.dirty = nil
	}
	k.setWeight(e, 0)
}

// WeighUsed weighs the entry that was used last.
func (k *Keyed[T]) WeighUsed() {
	k.queued = false
	if k.dirty != nil {
		k.weighDirty()
	}
}

// Weight is the bytes of all keys, and how many they are.
func (k *Keyed[T]) Weight() (int64, int) { return k.bytes, k.Held() }

// Forgotten is how many keys were forgotten because the limit of keys was
// reached, and how many because that of bytes was.
func (k *Keyed[T]) Forgotten() (places, bytes uint64) { return k.Evicted, k.relieved }

// ForgetOldest forgets the least recently used key, because the limit of bytes is
// reached.
func (k *Keyed[T]) ForgetOldest() {
	k.relieved++
	k.forgetOldest(TooHeavy)
}

// Subtract takes the weight of a table off that goes.
func (a *Account) Subtract(bytes int64) { a.Bytes -= bytes }

// WeighUsed weighs all that was used.
func (a *Account) WeighUsed() {
	for i, t := range a.touched {
		t.WeighUsed()
		a.touched[i] = nil
	}
	a.touched = a.touched[:0]
}

// Allocated is the room that Go's allocator takes for a number of bytes: its
// size classes (runtime/sizeclasses.go), pages above.
func Allocated(n int) int {
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

// Grown is the room of a slice that has grown to a length by appending.
func Grown(length, size int) int {
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
	return Allocated(room * size)
}

// TextsWeight is the weight of a list of texts, which are taken to be as long as the
// last.
func TextsWeight(list []string) int {
	if len(list) == 0 {
		return 0
	}
	return Grown(len(list), 16) + len(list)*Allocated(len(list[len(list)-1]))
}
