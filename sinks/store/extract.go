package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// content is what the store reads from a document's body beyond what the
// Document says.
type content struct {
	Agent struct{ ID, Type, Version string }
	Host  struct {
		Name string
		OS   struct{ Name, Full, Type, Platform, Version string }
	}
	Event struct{ Created time.Time }
	EDR   struct {
		State, Mode string
		Clock       []string
		Content     struct{ Version string }
		Rollout     struct{ Ring string }
		Alert       alertContent
	}
}

// alertContent is what a document says about the alert that it belongs to.
type alertContent struct{ ID, Status, Severity, Kind string }

// read parses a body. Only a body that is not JSON is an error: a field of an
// unexpected type is left out.
func (c *content) read(body []byte) error {
	err := json.Unmarshal(body, c)
	var wrongType *json.UnmarshalTypeError
	var wrongTime *time.ParseError
	switch {
	case errors.As(err, &wrongTime):
		if !json.Valid(body) {
			return errors.New("not valid JSON")
		}
	case err != nil && !errors.As(err, &wrongType):
		return err
	}
	if len(body) == 0 || body[0] != '{' {
		return errors.New("expected a JSON object")
	}
	if tooDeep(body) {
		return fmt.Errorf("expected JSON of at most %d levels", maxDepth)
	}
	return nil
}

// maxDepth is the nesting that SQLite's JSON functions read. A single document
// beyond it would make every search that looks at it fail.
const maxDepth = 1000

// tooDeep reports whether valid JSON is nested deeper than maxDepth.
func tooDeep(body []byte) bool {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= maxDepth {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// seenAt is when the agent was seen, by a clock that cannot pin it in the
// future: an event whose own clock is ahead counts as of its arrival, and not
// at all when that is unknown.
func (c *content) seenAt(d *event.Document) (int64, bool) {
	if !slices.Contains(c.EDR.Clock, "future") {
		return d.Time, true
	}
	if c.Event.Created.IsZero() {
		return 0, false
	}
	return c.Event.Created.UnixNano(), true
}

// os names the operating system in one line.
func (c *content) os() string {
	o := &c.Host.OS
	name := first(o.Name, o.Type)
	switch {
	case o.Full != "":
		return o.Full
	case name != "" && strings.HasPrefix(strings.ToLower(o.Version), strings.ToLower(name)):
		return o.Version // Some vendors put the name into the version.
	case name != "":
		return strings.TrimSpace(name + " " + o.Version)
	}
	return strings.TrimSpace(o.Platform + " " + o.Version)
}

// hostKey is the name by which records without an agent.id are joined.
func hostKey(host string) string {
	name, _, _ := strings.Cut(strings.ToLower(host), ".")
	return name
}
