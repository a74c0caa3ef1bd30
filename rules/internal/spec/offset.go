package spec

import (
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Offset is a time after the start of a test: "+5m".
type Offset time.Duration

// DecodeYAML reads +5m or 5m.
func (o *Offset) DecodeYAML(n strict.Node) error {
	s, ok := n.Scalar()
	if !ok {
		return n.Errorf("expected a time such as +5m, found %s", n.Describe())
	}
	d, err := strict.ParseDuration(strings.TrimPrefix(s, "+"))
	if err != nil || d < 0 {
		return n.Errorf("expected a time after the start such as +5m, found %q", s)
	}
	if d > maxTestOffset {
		return n.Errorf("%q is more than %s after the start: let the test begin later with clock", s, strict.FormatDuration(maxTestOffset))
	}
	*o = Offset(d)
	return nil
}

// String writes the offset as files have it.
func (o Offset) String() string { return "+" + strict.FormatDuration(time.Duration(o)) }
