package simulator

// task is what the fleet has to do at a point of virtual time.
type task uint8

const (
	taskRecord      task = iota // emit one record of the item's shape
	taskChain                   // emit one and schedule the next: a heartbeat, a sample, a row
	taskResend                  // emit a stored record again
	taskSleep                   // a laptop is closed
	taskWake                    // and opened again
	taskReboot                  // a clean shutdown
	taskBoot                    // the boot that follows
	taskCrash                   // the host crashes, as hosts do now and then
	taskBootUnclean             // and boots again
	taskIncident                // a step of an incident
)

// item is one task. Items are small: there are a few for every agent.
type item struct {
	at    int64  // when it is due: for records, when they reach the broker; ms since 1970
	event int64  // when what the record tells happened; ms since 1970
	seq   uint64 // keeps the order of equal times
	agent int32  // -1: the fleet
	arg   int32  // meaning depends on task and shape
	gen   uint16 // generation of the agent's life that the item belongs to
	task  task
	shape shape
	step  uint8 // of an incident; of a record 1 when it was held back once
}

// queue is a 4-ary heap of items: the earliest first. Four children make it
// half as deep as a binary heap, and siblings share cache lines.
type queue struct {
	items []item
	seq   uint64
}

func (q *queue) push(it item) {
	q.seq++
	it.seq = q.seq
	q.items = append(q.items, it)
	i := len(q.items) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !it.before(&q.items[parent]) {
			break
		}
		q.items[i] = q.items[parent]
		i = parent
	}
	q.items[i] = it
}

func (q *queue) pop() (item, bool) {
	if len(q.items) == 0 {
		return item{}, false
	}
	first := q.items[0]
	last := q.items[len(q.items)-1]
	q.items = q.items[:len(q.items)-1]
	n := len(q.items)
	if n == 0 {
		return first, true
	}
	i := 0
	for {
		least := 4*i + 1
		if least >= n {
			break
		}
		for c := least + 1; c < min(4*i+5, n); c++ {
			if q.items[c].before(&q.items[least]) {
				least = c
			}
		}
		if !q.items[least].before(&last) {
			break
		}
		q.items[i] = q.items[least]
		i = least
	}
	q.items[i] = last
	return first, true
}

func (it *item) before(other *item) bool {
	return it.at < other.at || it.at == other.at && it.seq < other.seq
}
