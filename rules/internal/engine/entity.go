package engine

import (
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/internal/table"
)

// Entity is what a session knows of an agent: enough to name it in an alert
// that no event raises, such as silence. All strings are its own.
type Entity struct {
	Key string
	fleet.Agent
	Fold     *GroupAlert // Of a cohort, that stands for its silence; nil without.
	neighbor *Entity     // The next on the same host.

	// Clock at the last record of the present, and at the first of them after a
	// long gap: a backlog does not show that a host is up.
	Present, PresentSince int64
}

// HostLabel is the host's name, else the agent's id.
func (n *Entity) HostLabel() string {
	if name := n.Name(); name != "" {
		return name
	}
	return n.Key
}

// awakeGap is the time without any record after which a host counts as newly
// awake.
const awakeGap = int64(10 * time.Minute)

// presentWithin is how old an event of the present may be.
const presentWithin = int64(10 * time.Minute)

// entities finds the agent that an event is about: by agent.id, else by
// agent.type and the host's short name in lower case, else by host.id, else by
// the host's name. A record without agent.id is joined to the agent whose
// records have named the same type and host.
type entities struct {
	known   *table.Keyed[*Entity]
	aliases *table.Keyed[*Entity] // type/host → the agent that has an id.
	hosts   map[string]*Entity    // The agents of a host, by its short name.
	shared  map[string]string
	// formerly is the host that an agent was on before, for those few that had
	// another: a copied machine's agent takes turns.
	formerly map[*Entity]string
	buf      []byte

	byEntity bool                                     // An agent is identified by edr.entity.id where an event has it: its names in several topics are one.
	onForget func(*Entity)                            // nil: nobody minds.
	onSettle func(n *Entity, host []byte, moved bool) // An agent is new on a host, and was on another before; nil: nobody minds.
}

// maxShared bounds the texts that are kept once for all agents; a hostile feed
// could make them up.
const maxShared = 1 << 16

// share replaces a text by one that many agents have in common.
func (t *entities) share(have *string, s string) bool {
	if s == "" || s == *have {
		return false
	}
	known, ok := t.shared[s]
	if !ok {
		known = strings.Clone(s)
		if len(t.shared) < maxShared {
			t.shared[known] = known
		}
	}
	*have = known
	return true
}

func newEntities(limit int) *entities {
	t := &entities{
		known: table.New[*Entity](limit), aliases: table.New[*Entity](limit), hosts: map[string]*Entity{}, shared: map[string]string{},
		formerly: map[*Entity]string{},
	}
	t.known.OnEvict = func(e *table.Entry[*Entity]) { t.forget(e.Data) }
	return t
}

// resolve returns the event's entity and learns from the event; nil for an
// event that names neither agent nor host.
func (t *entities) resolve(e *event.Event, now int64) *Entity {
	n := t.find(e)
	if n == nil {
		return nil
	}
	if now-n.LastSeen > awakeGap {
		n.AwakeSince = now
	}
	if n.FirstSeen == 0 {
		n.FirstSeen = now
	}
	n.LastSeen = now
	before := n.HostName
	renamed := t.learn(e, n)
	if renamed && n.ID != "" && n.HostName != "" && n.Type != "" {
		t.buf = appendHostKey(t.buf[:0], n.Type, n.HostName)
		host := event.View(t.buf)
		alias, _ := t.aliases.Obtain(table.Key{Text: host})
		alias.Data = n
		// What was known under the host's name is the same agent.
		if before := t.known.Peek(host); before != nil && before.Data != n {
			t.forget(before.Data)
			t.known.Remove(before)
		}
	}
	if renamed && n.HostName != "" && (n.ID != "" || n.Type != "") {
		t.listOnHost(n, before)
	}
	return n
}

// listOnHost puts an agent into the list of its host, and out of that of the host
// that it was on before; "" for none.
func (t *entities) listOnHost(n *Entity, before string) {
	t.buf = AppendShortHost(t.buf[:0], n.HostName)
	moved := false
	if before != "" {
		var room [64]byte
		if old := AppendShortHost(room[:0], before); string(old) != string(t.buf) {
			moved = true
			t.formerly[n] = before
			t.unlist(n, old)
		}
	}
	first := t.hosts[string(t.buf)]
	for other := first; other != nil; other = other.neighbor {
		if other == n {
			return
		}
	}
	if t.onSettle != nil && n.Type != "" && n.ID != "" {
		t.onSettle(n, t.buf, moved)
	}
	if first == nil && len(t.hosts) >= t.known.Limit {
		return
	}
	n.neighbor = first
	t.hosts[string(t.buf)] = n
}

// names returns the host that an agent is on, and the one that it was on before
// where there was one.
func (t *entities) names(n *Entity) []string {
	names := []string{n.HostLabel()}
	if before := t.formerly[n]; before != "" {
		names = append(names, before)
	}
	return names
}

// hostOf returns the short name of the host that an event names, valid until the
// next call; empty for none.
func (t *entities) hostOf(e *event.Event) []byte {
	host := e.Str(ecs.HostName)
	if host == "" {
		host = e.Str(ecs.HostHostname)
	}
	t.buf = AppendShortHost(t.buf[:0], host)
	return t.buf
}

// unlist takes an agent out of the list of a host, by its short name.
func (t *entities) unlist(n *Entity, host []byte) {
	for at, before := t.hosts[string(host)], (*Entity)(nil); at != nil; at, before = at.neighbor, at {
		if at != n {
			continue
		}
		switch {
		case before != nil:
			before.neighbor = n.neighbor
		case n.neighbor != nil:
			t.hosts[string(host)] = n.neighbor
		default:
			delete(t.hosts, string(host))
		}
		n.neighbor = nil
		return
	}
}

// forget tells that an agent is no longer known.
func (t *entities) forget(n *Entity) {
	// Room of its own: in buf stands the key of the agent that takes the place.
	var room [64]byte
	t.unlist(n, AppendShortHost(room[:0], n.HostName))
	delete(t.formerly, n)
	if t.onForget != nil {
		t.onForget(n)
	}
}

func (t *entities) find(e *event.Event) *Entity {
	if t.byEntity {
		if id := e.Str(ecs.EDREntityID); id != "" {
			n := t.obtain(id)
			keep(&n.ID, e.Str(ecs.AgentID))
			return n
		}
	}
	if id := e.Str(ecs.AgentID); id != "" {
		t.buf = appendFolded(t.buf[:0], id) // Feeds write one id in different cases.
		n := t.obtain(event.View(t.buf))
		if n.ID == "" {
			n.ID = n.Key
			if n.Key != id {
				n.ID = strings.Clone(id)
			}
		}
		return n
	}
	host, typ := e.Str(ecs.HostName), e.Str(ecs.AgentType)
	if host == "" {
		host = e.Str(ecs.HostHostname)
	}
	if host != "" && typ != "" {
		t.buf = appendHostKey(t.buf[:0], typ, host)
		if alias := t.aliases.Get(table.Key{Text: event.View(t.buf)}); alias != nil {
			return alias.Data
		}
		return t.obtain(event.View(t.buf))
	}
	if id := e.Str(ecs.HostID); id != "" {
		return t.obtain(id)
	}
	if host != "" {
		t.buf = AppendShortHost(t.buf[:0], host)
		return t.obtain(event.View(t.buf))
	}
	return nil
}

func (t *entities) obtain(text string) *Entity {
	entry, created := t.known.Obtain(table.Key{Text: text})
	if created {
		entry.Data = &Entity{Key: entry.Key}
	}
	return entry.Data
}

// learn copies what the event says about the agent and reports whether its
// type or host name changed.
func (t *entities) learn(e *event.Event, n *Entity) (renamed bool) {
	keep(&n.HostID, e.Str(ecs.HostID))
	if e.Said(ecs.AgentVersion) { // What was filled in may be from before an update.
		t.share(&n.Version, e.Str(ecs.AgentVersion))
	}
	t.share(&n.OSType, e.Str(ecs.HostOSType))
	t.share(&n.HostType, e.Str(ecs.HostType))
	t.share(&n.Content, e.Str(ecs.EDRContentVersion))
	t.share(&n.Site, e.Str(ecs.EDRSite))
	t.share(&n.Ring, e.Str(ecs.EDRRolloutRing))
	t.share(&n.Model, e.Str(ecs.DeviceModelName))
	t.share(&n.Mode, e.Str(ecs.EDRMode))
	t.share(&n.State, e.Str(ecs.EDRState))
	t.share(&n.Account, e.Str(ecs.EDRPrivilegeAccount))
	t.share(&n.StartType, e.Str(ecs.EDRPrivilegeStartType))
	t.share(&n.Owner, e.Str(ecs.EDRAssetOwner))
	if v := e.Get(ecs.EDRPrivilegeProtected); v != nil {
		n.Protected = fleet.Told(v.Bool())
	}
	renamed = t.share(&n.Type, e.Str(ecs.AgentType))
	return keep(&n.HostName, e.Str(ecs.HostName)) || renamed
}

// keep replaces a string by a copy of another that differs and is not empty.
func keep(have *string, s string) bool {
	if s == "" || s == *have {
		return false
	}
	*have = strings.Clone(s)
	return true
}

// appendHostKey appends type/host, the host without domain and in lower case.
func appendHostKey(dst []byte, typ, host string) []byte {
	dst = append(dst, typ...)
	dst = append(dst, '/')
	return AppendShortHost(dst, host)
}

// AppendShortHost appends a host's name without domain and in lower case. An
// address is left whole.
func AppendShortHost(dst []byte, host string) []byte {
	if i := strings.LastIndexByte(host, '\\'); i >= 0 {
		host = host[i+1:] // DOMAIN\name
	}
	if i := strings.IndexByte(host, '.'); i > 0 && !isAddress(host) {
		host = host[:i]
	}
	return appendFolded(dst, host)
}

// appendFolded appends a text in lower case.
func appendFolded(dst []byte, text string) []byte {
	for i := range len(text) {
		b := text[i]
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		dst = append(dst, b)
	}
	return dst
}

// isAddress reports whether a name is an IPv4 address: digits and dots.
func isAddress(host string) bool {
	for i := range len(host) {
		if c := host[i]; c != '.' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// Subject names what an alert is about.
func Subject(n *Entity, key string) string {
	switch {
	case n != nil && n.Type != "" && n.HostName != "":
		return n.HostName + " (" + n.Type + ")"
	case n != nil:
		return n.HostLabel()
	case key != "":
		return key
	}
	return "the fleet"
}
