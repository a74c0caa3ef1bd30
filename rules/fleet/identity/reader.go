package identity

import (
	"hash/maphash"
	"sync"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Reader resolves the names of events and collects what they link, for one
// goroutine. What it collects it does not see itself before it is applied: so
// that what an event resolves to does not depend on which records came through
// the same shard. Its mutex keeps [Registry.Apply] away from an event in
// progress; nobody else takes it.
type Reader struct {
	r  *Registry
	mu sync.Mutex
	g  *graph

	v       mention
	f       found
	pending Links
	linked  map[uint64]int32 // place in pending.links, by hash
	signed  map[uint64]int32 // place in pending.observations, by hash
	cut     uint64
}

// The time after which it is noted again that names are still in use, in
// seconds: mostly, and where there may be a contradiction.
const (
	againUsually = 3600
	againSuspect = 10
)

// mostPending bounds what waits to be taken. What finds no place is sent again by
// the records that follow.
const mostPending = 1 << 18

// Close gives the reader back. What it collected and nobody took is lost.
func (rd *Reader) Close() { rd.r.leave(rd) }

// Resolve fills in who an event is about, as far as it is known and the record
// does not say it: edr.entity.id, agent.id, host.name and host.id. Now is the
// clock in nanoseconds since 1970. It allocates nothing.
func (rd *Reader) Resolve(e *event.Event, now int64) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	rd.resolve(e, now)
}

func (rd *Reader) resolve(e *event.Event, now int64) {
	g := rd.g
	v := &rd.v
	v.parse(e, now)
	rd.f = found{}
	if v.product == event.CanaryType {
		*v = mention{}
		return
	}
	if v.sensor.text != "" {
		if v.product == "" {
			v.product = g.productBy(v.sensor.text)
			if v.product != "" && !e.Has(ecs.AgentType) {
				e.Fill(ecs.AgentType, event.String(v.product))
			}
		}
		if product, ok := g.productOf(v.product); ok {
			v.sensor.node = g.find(SensorID, product, v.sensor.text)
		}
	}
	for kind := HostID; kind < Unnamed; kind++ {
		if t := &v.host[kind]; t.text != "" {
			t.node = g.find(kind, 0, t.text)
		}
	}
	rd.f = g.resolve(v)
	f := &rd.f
	if f.entity != 0 {
		e.Set(ecs.EDREntityID, event.CleanString(event.View(Entity(f.entity).AppendTo(e.Scratch(16)))))
	}
	if f.agent != 0 && v.sensor.text == "" {
		if n := g.nodes.at(f.agent); n.kind == SensorID && !e.Has(ecs.AgentID) {
			e.Fill(ecs.AgentID, event.String(inCase(e, g.textOf(n), n.marks)))
		}
	}
	if f.host != 0 && v.host[Short].text == "" && !e.Has(ecs.HostName) {
		e.Fill(ecs.HostName, event.String(inCase(e, g.textOf(g.nodes.at(f.host)), f.hostCase)))
	}
	if f.hostID != 0 && v.host[HostID].text == "" && !e.Has(ecs.HostID) {
		n := g.nodes.at(f.hostID)
		e.Fill(ecs.HostID, event.String(inCase(e, g.textOf(n), n.marks)))
	}
}

// inCase returns a name as records write it: in capitals where all of them do.
func inCase(e *event.Event, text string, m marks) string {
	if m&spelling != upperCase {
		return text
	}
	b := append(e.Scratch(len(text)), text...)
	for i, c := range b {
		if c-'a' < 26 {
			b[i] = c &^ 0x20
		}
	}
	return event.View(b)
}

// Learn collects what the event links that Resolve was called with last.
func (rd *Reader) Learn(e *event.Event) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	rd.learn(e)
}

func (rd *Reader) learn(e *event.Event) {
	v := &rd.v
	anchor := SensorID
	if v.sensor.text == "" {
		anchor = kinds
		for _, kind := range [...]Kind{HostID, FQDN, Domain} {
			if v.host[kind].text != "" {
				anchor = kind
				break
			}
		}
		if anchor == kinds {
			return
		}
	} else {
		rd.observe(e)
	}
	from := &v.sensor
	if anchor != SensorID {
		from = &v.host[anchor]
	}
	for kind := max(anchor+1, HostID); kind < Unnamed; kind++ {
		to := &v.host[kind]
		if to.text == "" || anchor > HostID && kind != Short {
			continue
		}
		rd.link(e, anchor, from, kind, to)
	}
}

// link notes that two names belong together, unless that is known and was noted
// lately.
func (rd *Reader) link(e *event.Event, anchor Kind, from *term, kind Kind, to *term) {
	g, v := rd.g, &rd.v
	written := to.marks
	if kind == Short || kind == FQDN {
		if !(kind == FQDN && v.derived) {
			written |= asHost
		}
	}
	if from.node != 0 && to.node != 0 {
		a, b := g.nodes.at(from.node), g.nodes.at(to.node)
		if (a.marks|b.marks)&shared != 0 {
			return
		}
		again := uint32(againUsually)
		if a.marks&b.marks&suspect != 0 {
			again = againSuspect
		}
		if at := g.between(from.node, to.node); at != 0 {
			if k := g.edges.at(at); k.last+again > v.at && written&^k.marks == 0 && from.marks&^a.marks == 0 {
				return
			}
		}
	}
	h := rd.hashOf(anchor, from.text)*31 + rd.hashOf(kind, to.text)
	if i, ok := rd.linked[h]; ok {
		k := &rd.pending.links[i]
		k.first, k.last, k.marks = earlier(k.first, v.at), max(k.last, v.at), k.marks|written
		k.from |= from.marks
		k.sources |= rd.pending.source(e.Mapped)
		return
	}
	if rd.full() {
		return
	}
	rd.linked = remember(rd.linked, h, len(rd.pending.links))
	rd.pending.links = append(rd.pending.links, link{
		a: rd.name(anchor, from.text), b: rd.name(kind, to.text), first: v.at, last: v.at, sources: rd.pending.source(e.Mapped), marks: written, from: from.marks,
	})
}

func (rd *Reader) full() bool {
	if rd.pending.Len() >= mostPending {
		rd.cut++
		return true
	}
	return false
}

func remember(m map[uint64]int32, h uint64, place int) map[uint64]int32 {
	if m == nil {
		m = map[uint64]int32{}
	}
	m[h] = int32(place)
	return m
}

func (rd *Reader) hashOf(kind Kind, text string) uint64 {
	h := maphash.String(rd.g.seed, text) ^ uint64(kind)
	if kind.ofProduct() {
		h = h*31 + maphash.String(rd.g.seed, rd.v.product)
	}
	return h
}

// name returns a name of which nothing belongs to the event.
func (rd *Reader) name(kind Kind, text string) Name {
	n := Name{Kind: kind, Text: string(append([]byte(nil), text...))}
	if kind.ofProduct() {
		n.Product = string(append([]byte(nil), rd.v.product...))
	}
	return n
}

// observe notes that an agent was seen, unless that was noted lately.
func (rd *Reader) observe(e *event.Event) {
	v := &rd.v
	if v.sensor.node != 0 {
		n := rd.g.nodes.at(v.sensor.node)
		again := uint32(againUsually)
		if n.marks&suspect != 0 {
			again = againSuspect
		}
		if n.seen+againUsually > v.at && (!v.own || n.heard+again > v.at) && v.sensor.marks&^n.marks == 0 {
			return
		}
	}
	if s := rd.observation(); s != nil {
		s.began, s.seen, s.marks = earlier(s.began, v.at), max(s.seen, v.at), s.marks|v.sensor.marks
		if v.own {
			s.heard = max(s.heard, v.at)
		}
	}
}

// observation returns what is noted of the agent of the event; nil where it names none,
// or there is no more room.
func (rd *Reader) observation() *observation {
	kind, text := rd.who()
	if text == "" {
		return nil
	}
	h := rd.hashOf(kind, text)
	if i, ok := rd.signed[h]; ok {
		return &rd.pending.observations[i]
	}
	if rd.full() {
		return nil
	}
	rd.signed = remember(rd.signed, h, len(rd.pending.observations))
	rd.pending.observations = append(rd.pending.observations, observation{name: rd.name(kind, text), began: rd.v.at, seen: rd.v.at})
	return &rd.pending.observations[len(rd.pending.observations)-1]
}

// who returns the name under which the agent of the event is noted.
func (rd *Reader) who() (Kind, string) {
	switch {
	case rd.v.sensor.text != "":
		return SensorID, rd.v.sensor.text
	case rd.f.agent != 0 && rd.g.nodes.at(rd.f.agent).kind == SensorID:
		return SensorID, rd.g.textOf(rd.g.nodes.at(rd.f.agent))
	}
	return Unnamed, rd.f.key
}

// TakeLinks returns what was collected since the last call, at most limit facts;
// the rest is kept for the next. Left is how many these are. The links are the
// caller's.
func (rd *Reader) TakeLinks(limit int) (l *Links, left int) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	l = &Links{sources: rd.pending.sources}
	n := min(len(rd.pending.observations), limit)
	l.observations = rd.pending.observations[:n:n]
	k := min(len(rd.pending.links), limit-n)
	l.links = rd.pending.links[:k:k]
	rest := Links{observations: append([]observation(nil), rd.pending.observations[n:]...), links: append([]link(nil), rd.pending.links[k:]...)}
	if len(rest.links) > 0 {
		rest.sources = append([]string(nil), l.sources...)
	}
	rd.pending, rd.linked, rd.signed = rest, nil, nil
	return l, rest.Len()
}
