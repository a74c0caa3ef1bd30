package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/secret"
)

// Config says what is taken out of events.
type Config struct {
	// Secrets takes out passwords and tokens in command lines, messages and vendors' fields.
	Secrets bool `yaml:"secrets"`
	// Patterns are further regular expressions (RE2). What their first group matches goes, or all that they match.
	Patterns []string `yaml:"patterns"`
	// Users says what is done with the names and ids of people: keep, hash (HMAC-SHA256 with key) or drop.
	Users string `yaml:"users"`
	// Key of the hashes, at least 16 characters. Who has it can test names; change it and the hashes change.
	Key secret.String `yaml:"key"`
	// KeepUsers are accounts that are no persons, beside those of Windows and Unix.
	KeepUsers []string `yaml:"keep_users"`
	// Drop names fields that go altogether, such as process.command_line.
	Drop []string `yaml:"drop"`
}

// DefaultConfig returns the defaults: secrets go, people stay.
func DefaultConfig() Config { return Config{Secrets: true, Users: "keep"} }

const minKey = 16

// Validate reports settings that make no sense.
func (c *Config) Validate() error {
	var errs []error
	if !slices.Contains([]string{"keep", "hash", "drop"}, c.Users) {
		errs = append(errs, fmt.Errorf("users: expected keep, hash or drop, found %q", c.Users))
	}
	if c.Users == "hash" && len(c.Key.Reveal()) < minKey {
		errs = append(errs, fmt.Errorf("key: expected at least %d characters for users: hash", minKey))
	}
	for i, p := range c.Patterns {
		if _, err := regexp.Compile(p); err != nil {
			errs = append(errs, fmt.Errorf("patterns[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// mark stands in the place of what was taken out.
const mark = "[redacted]"

// role is what a field of the dictionary is to a Redactor.
type role uint8

const (
	plain   role = iota // cannot hold anything to redact
	prose               // a text
	command             // a command line, in which -p has a password
	person              // a name or an id of a user
	gone                // configured to go
	raw                 // the record as it came
)

// Redactor takes secrets and names out of events. It is safe for concurrent
// use.
type Redactor struct {
	secrets  bool
	users    string
	patterns []*regexp.Regexp
	keep     map[string]bool
	roles    []role // of an ID
	programs programs
	key      []byte
	first    atomic.Pointer[work] // that no call uses: with one shard there is no other
	free     chan *work           // more of them
}

// New returns a redactor over the fields of dict.
func New(cfg Config, dict *ecs.Dictionary) (*Redactor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Redactor{secrets: cfg.Secrets, users: cfg.Users, keep: map[string]bool{}, roles: make([]role, dict.Len()), free: make(chan *work, maxFree)}
	for _, p := range cfg.Patterns {
		r.patterns = append(r.patterns, regexp.MustCompile(p)) // Validate has compiled it.
	}
	for _, name := range slices.Concat(systemAccounts(), cfg.KeepUsers) {
		r.keep[strings.ToLower(name)] = true
	}
	for id := range ecs.ID(dict.Len()) {
		r.roles[id] = r.role(dict.Field(id))
	}
	for _, name := range cfg.Drop {
		id, ok := dict.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("drop: no such field: %s", name)
		}
		if slices.Contains([]ecs.ID{ecs.Timestamp, ecs.EventID, ecs.EventAction, ecs.EventKind, ecs.EcsVersion}, id) {
			return nil, fmt.Errorf("drop: no document can be without %s", name)
		}
		r.roles[id] = gone
	}
	var err error
	if r.programs, err = readPrograms(); err != nil {
		return nil, err
	}
	r.key = []byte(cfg.Key.Reveal())
	return r, nil
}

// maxFree is how much room is kept for calls to come; shards call at once.
const maxFree = 64

// takeWork returns room for one call.
func (r *Redactor) takeWork() *work {
	if w := r.first.Swap(nil); w != nil {
		return w
	}
	select {
	case w := <-r.free:
		return w
	default:
		return &work{mac: hmac.New(sha256.New, r.key), kinds: make(map[string]keyKind), finder: finder{programs: r.programs}}
	}
}

// giveWork takes the room back.
func (r *Redactor) giveWork(w *work) {
	if r.first.CompareAndSwap(nil, w) {
		return
	}
	select {
	case r.free <- w:
	default:
	}
}

// systemAccounts are accounts that every machine has and that tell nothing
// about a person.
func systemAccounts() []string {
	return []string{
		"system", "localsystem", "local system", "local service", "localservice", "network service", "networkservice",
		"root", "administrator", "daemon", "nobody", "anonymous logon", "trustedinstaller", "0",
	}
}

// role tells by the field's name what it can hold.
func (r *Redactor) role(f *ecs.Field) role {
	if f.Kind != ecs.String || strings.HasPrefix(f.Name, "ecs.") {
		return plain
	}
	switch f.Name {
	case "event.original":
		return raw
	case "event.id", "event.kind", "event.category", "event.type", "event.action", "event.outcome", "event.dataset", "event.module",
		"event.provider", "event.code", "agent.id", "agent.type", "agent.version", "host.id", "edr.state", "edr.mode", "edr.site":
		return plain
	case "related.user", "edr.privilege.account", "file.owner":
		return person
	}
	parts := strings.Split(f.Name, ".")
	last := parts[len(parts)-1]
	if len(parts) > 1 && strings.HasSuffix(parts[len(parts)-2], "user") && slices.Contains([]string{"name", "id", "full_name", "email"}, last) {
		return person
	}
	if slices.Contains([]string{"command_line", "args", "executable", "title"}, last) {
		return command
	}
	return prose
}

// work is what one call needs beside the event.
type work struct {
	mac    hash.Hash
	sum    [sha256.Size]byte
	out    []byte
	lower  []byte
	names  []string // of people, in the event at hand
	kinds  map[string]keyKind
	finder finder
	line   []byte // the words of a command, joined
	starts []int  // of the words in it
	spans  []span
	words  []string // of a list in JSON
}

// maxNames bounds the names that are looked for in the texts of an event.
const maxNames = 8

// Process redacts an event. It allocates nothing where there is nothing to
// redact.
func (r *Redactor) Process(e *event.Event) {
	w := r.takeWork()
	defer r.giveWork(w)
	w.names = w.names[:0]
	if r.users != "keep" {
		r.people(e, w)
	}
	for id, v := range e.Fields {
		switch r.roles[id] {
		case gone:
			e.Unset(id)
		case prose, command:
			r.value(e, w, v, r.roles[id] == command)
		case raw:
			if s := v.Str(); strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") {
				if out, changed := r.fragment(w, "", s); changed {
					*v = event.String(keep(e, out))
				}
			} else {
				r.value(e, w, v, false)
			}
		}
	}
	for key, fragment := range e.Extras {
		if out, changed := r.fragment(w, key, fragment); changed {
			e.Extra(key, keep(e, out))
		}
	}
}

// people hashes or drops the fields that name people and notes the names, to
// be found again in texts.
func (r *Redactor) people(e *event.Event, w *work) {
	for id, v := range e.Fields {
		if r.roles[id] != person {
			continue
		}
		list := v.List()
		if list == nil {
			if out, changed := r.person(w, v.Str(), false); changed {
				if r.users == "drop" {
					e.Unset(id)
				} else {
					*v = event.String(keep(e, out))
				}
			}
			continue
		}
		room := e.Strings(len(list))
		for _, name := range list {
			out, changed := r.person(w, name, false)
			switch {
			case !changed:
				room = append(room, name)
			case r.users == "hash":
				room = append(room, keep(e, out))
			}
		}
		if len(room) == 0 {
			e.Unset(id)
		} else {
			*v = event.StringList(room)
		}
	}
	for key, fragment := range e.Extras {
		r.collect(w, key, fragment)
	}
}

// keep copies what was written to where it lives as long as the event.
func keep(e *event.Event, out []byte) string { return event.View(append(e.Scratch(len(out)), out...)) }

// value redacts the text or the texts of a field.
func (r *Redactor) value(e *event.Event, w *work, v *event.Value, command bool) {
	list := v.List()
	if list == nil {
		if out, changed := r.text(w, v.Str(), command, false); changed {
			*v = event.String(keep(e, out))
		}
		return
	}
	var secrets []span
	if r.secrets && command && len(list) > 1 {
		secrets = w.arguments(list, false)
	}
	changed := false
	own := func() { // The list may be the mapping's own.
		if !changed {
			list = append(e.Strings(len(list)), list...)
		}
		changed = true
	}
	for _, sp := range secrets {
		own()
		list[sp.word] = keep(e, append(append(w.out[:0], list[sp.word][:sp.begin]...), mark...))
	}
	for i, s := range list {
		if out, found := r.text(w, s, command, false); found {
			own()
			list[i] = keep(e, out)
		}
	}
	if changed {
		*v = event.StringList(list)
	}
}

// person writes a user's name or id as Users says: the domain in front of it
// stays. Nothing changes for accounts that are no persons.
func (r *Redactor) person(w *work, name string, escaped bool) ([]byte, bool) {
	begin := 0
	for i := 0; i < len(name); i++ {
		if name[i] != '\\' {
			continue
		}
		if escaped {
			i++ // A backslash is two.
		}
		if i < len(name) && name[i] == '\\' {
			begin = i + 1
		}
	}
	domain, name := name[:begin], name[begin:]
	if name == "" || r.keep[strings.ToLower(name)] || strings.HasSuffix(name, "$") || isSystemSID(name) {
		return nil, false
	}
	if len(name) >= 3 && len(w.names) < maxNames && !slices.Contains(w.names, name) {
		w.names = append(w.names, name)
	}
	w.out = append(w.out[:0], domain...)
	w.out = r.appendName(w, w.out, name)
	return w.out, true
}

// appendName appends what stands for a user.
func (r *Redactor) appendName(w *work, dst []byte, name string) []byte {
	if r.users == "drop" {
		return append(dst, mark...)
	}
	w.lower = append(w.lower[:0], name...)
	for i, c := range w.lower {
		if c-'A' < 26 {
			w.lower[i] = c | 0x20
		}
	}
	w.mac.Reset()
	w.mac.Write(w.lower)
	sum := w.mac.Sum(w.sum[:0])
	const digits = "0123456789abcdef"
	for _, b := range sum[:12] {
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

// isSystemSID reports whether a Windows security identifier belongs to no
// account of a domain or of a cloud directory.
func isSystemSID(s string) bool {
	return strings.HasPrefix(s, "S-1-") && !strings.HasPrefix(s, "S-1-5-21-") && !strings.HasPrefix(s, "S-1-12-")
}
