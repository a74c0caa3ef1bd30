package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// content is what the store reads from a document's body beyond what the
// Document says.
type content struct {
	EDR struct{ Alert alertContent }
}

// alertContent is what a document says about the alert that it belongs to.
type alertContent struct{ ID, Status, Severity, Kind string }

// read parses a body. Only a body that is not JSON is an error: a field of an
// unexpected type is left out.
func (c *content) read(body []byte) error {
	err := json.Unmarshal(body, c)
	var wrongType *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &wrongType) {
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
