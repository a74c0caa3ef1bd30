package identity

import "github.com/edrwatch/edrwatch/rules/internal/snapshot"

// format begins the bytes of Links.
const format = 1

// AppendTo appends the links as bytes, which [Read] reads.
func (l *Links) AppendTo(to []byte) []byte {
	return snapshot.Append(append(to, format), l.persist)
}

// Read reads links that AppendTo wrote. The error names the place where the
// bytes are not what they should be.
func Read(b []byte) (*Links, error) {
	l := &Links{}
	err := snapshot.Read("identity", 0, b[min(1, len(b)):], func(c *snapshot.Codec) {
		if len(b) == 0 || b[0] != format {
			c.Fail("expected links of format %d", format)
			return
		}
		l.persist(c)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// mostPlain is how many facts are written without a table of the texts that they
// share: it costs more than it saves.
const mostPlain = 16

func (l *Links) persist(c *snapshot.Codec) {
	var base uint32 // Times are written relative to the one before.
	few := l.Len() <= mostPlain
	c.Bool(&few)
	text := c.Shared
	if few {
		text = c.Text
	}
	snapshot.List(c, &l.sources, c.Text)
	if len(l.sources) > maxSources {
		c.Fail("expected at most %d sources, found %d", maxSources, len(l.sources))
	}
	snapshot.List(c, &l.links, func(k *link) {
		persistName(c, &k.a, text)
		persistName(c, &k.b, text)
		persistTime(c, &k.first, &base)
		persistTime(c, &k.last, &base)
		snapshot.Int(c, &k.sources)
		snapshot.Int(c, &k.marks)
		snapshot.Int(c, &k.from)
	})
	snapshot.List(c, &l.observations, func(s *observation) {
		persistName(c, &s.name, text)
		persistTime(c, &s.began, &base)
		persistTime(c, &s.heard, &base)
		persistTime(c, &s.seen, &base)
		snapshot.Int(c, &s.marks)
		var which uint8
		for i := range s.values {
			if s.values[i].at != 0 {
				which |= 1 << i
			}
		}
		snapshot.Int(c, &which)
		for i := range s.values {
			if t := &s.values[i]; which&(1<<i) != 0 {
				text(&t.value)
				persistTime(c, &t.at, &base)
				snapshot.Int(c, &t.rank)
			}
		}
	})
}

func persistName(c *snapshot.Codec, n *Name, text func(*string)) {
	snapshot.Int(c, &n.Kind)
	if n.Kind >= kinds {
		c.Fail("expected a kind of name, found number %d", n.Kind)
		n.Kind = 0
	}
	if n.Kind.ofProduct() {
		text(&n.Product)
	}
	text(&n.Text) // The same name stands in several links.
	if len(n.Text) > maxText {
		c.Fail("expected a name of at most %d bytes, found %d", maxText, len(n.Text))
		n.Text = ""
	}
}

func persistTime(c *snapshot.Codec, t, base *uint32) {
	d := int64(*t) - int64(*base)
	snapshot.Int(c, &d)
	if c.Reading() {
		*t = uint32(int64(*base) + d)
	}
	if *t != 0 {
		*base = *t
	}
}
