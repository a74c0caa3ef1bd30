package file

import (
	"encoding/base64"
	"fmt"
	"math"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sources/internal/streamid"
)

// maxInterned bounds the names of topics and headers that are kept so as not
// to be allocated again for every line.
const maxInterned = 1024

// captureParser decodes capture lines. It is used by one goroutine and keeps
// its buffers from line to line.
type captureParser struct {
	scan     scanner
	headers  []event.Header
	names    map[string]string
	prefixes map[string]string // by topic
	decoded  []byte            // from base64
}

// The keys that every capture line must have.
const (
	hasTS = 1 << iota
	hasTopic
	hasPartition
	hasOffset
	hasValue
	hasAll = 1<<iota - 1
)

// shape tells the format of a file from one line: the first valid JSON object
// decides, and Auto means that this line is none.
func (p *captureParser) shape(text []byte) Format {
	p.scan.reset(text)
	seen := 0
	err := p.scan.members(func(key []byte) error {
		switch string(key) {
		case "topic":
			seen |= hasTopic
		case "offset":
			seen |= hasOffset
		case "value", "value_b64":
			seen |= hasValue
		}
		_, err := p.scan.skip()
		return err
	})
	switch {
	case err != nil || p.scan.end() != nil:
		return Auto
	case seen == hasTopic|hasOffset|hasValue:
		return Capture
	}
	return Raw
}

// parse decodes a capture line into line, whose Record holds the text. A line
// that is none keeps its text as Value and its number as Offset, and says why
// in Fault.
func (p *captureParser) parse(text []byte, line *Line, file string) {
	record := event.Record{}
	partition := event.Partition{}
	if err := p.object(text, &partition, &record); err != nil {
		line.Record.Fault = fault.New(fault.Permanent, fault.Unparsable, "reading capture %s:%d: %w", file, line.Number, err)
		return
	}
	line.Partition, line.Record = partition, record
}

func (p *captureParser) object(text []byte, partition *event.Partition, record *event.Record) error {
	s := &p.scan
	s.reset(text)
	p.headers = p.headers[:0]
	p.decoded = p.decoded[:0]
	seen := 0
	err := s.members(func(key []byte) (err error) {
		switch string(key) {
		case "ts":
			seen |= hasTS
			record.Time, err = s.integer()
		case "topic":
			seen |= hasTopic
			var topic []byte
			if topic, err = s.str(); err == nil {
				partition.Topic, partition.Prefix = p.topic(topic)
			}
		case "partition":
			seen |= hasPartition
			partition.Number, err = p.number()
		case "offset":
			seen |= hasOffset
			record.Offset, err = p.offset()
		case "key":
			record.Key, err = p.text("a string or null")
		case "key_b64":
			record.Key, err = p.base64()
		case "value":
			seen |= hasValue
			record.Value, err = p.value()
		case "value_b64":
			seen |= hasValue
			record.Value, err = p.base64()
		case "headers":
			err = p.headerLists(func() ([]byte, error) { return p.text("a string or null") })
		case "headers_b64":
			err = p.headerLists(p.base64)
		default:
			_, err = s.skip()
		}
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return err
	}
	if missing := hasAll &^ seen; missing != 0 {
		for i, name := range []string{"ts", "topic", "partition", "offset", "value"} {
			if missing&(1<<i) != 0 {
				return &syntaxError{len(text), fmt.Sprintf("the key %q", name), "none"}
			}
		}
	}
	if len(p.headers) > 0 {
		record.Headers = p.headers
	}
	return nil
}

func (p *captureParser) number() (int32, error) {
	start := p.scan.pos
	n, err := p.scan.integer()
	if err == nil && (n < 0 || n > math.MaxInt32) {
		err = &syntaxError{start, "a partition number", fmt.Sprint(n)}
	}
	return int32(n), err
}

func (p *captureParser) offset() (int64, error) {
	start := p.scan.pos
	n, err := p.scan.integer()
	if err == nil && n < 0 {
		err = &syntaxError{start, "an offset of at least 0", fmt.Sprint(n)}
	}
	return n, err
}

// text reads a string or null.
func (p *captureParser) text(expected string) ([]byte, error) {
	if p.scan.null() {
		return nil, nil
	}
	if p.scan.peek() != '"' {
		return nil, p.scan.fail(expected)
	}
	return p.scan.str()
}

// value reads a record's value: the text of a string, or an object as it
// stands.
func (p *captureParser) value() ([]byte, error) {
	if p.scan.peek() == '{' {
		return p.scan.skip()
	}
	return p.text("a string, an object or null")
}

func (p *captureParser) base64() ([]byte, error) {
	if p.scan.null() {
		return nil, nil
	}
	start := p.scan.pos
	text, err := p.scan.str()
	if err != nil {
		return nil, err
	}
	from := len(p.decoded)
	decoded, err := base64.StdEncoding.AppendDecode(p.decoded, text)
	if err != nil {
		return nil, &syntaxError{start, "base64", err.Error()}
	}
	p.decoded = decoded
	if len(decoded) == from {
		return []byte{}, nil
	}
	return decoded[from:len(decoded):len(decoded)], nil
}

// headerLists reads {name: [value, …]}.
func (p *captureParser) headerLists(value func() ([]byte, error)) error {
	s := &p.scan
	if s.null() {
		return nil
	}
	return s.members(func(key []byte) error {
		name := p.intern(key)
		if err := s.expect('['); err != nil {
			return err
		}
		if s.peek() == ']' {
			s.pos++
			return nil
		}
		for {
			v, err := value()
			if err != nil {
				return err
			}
			p.headers = append(p.headers, event.Header{Key: name, Value: v})
			if s.peek() == ']' {
				s.pos++
				return nil
			}
			if s.peek() != ',' {
				return s.fail("',' or ']'")
			}
			s.pos++
		}
	})
}

func (p *captureParser) intern(name []byte) string {
	if known, ok := p.names[string(name)]; ok {
		return known
	}
	if p.names == nil || len(p.names) >= maxInterned {
		p.names = make(map[string]string)
	}
	s := string(name)
	p.names[s] = s
	return s
}

// topic returns a topic's name and the prefix of its ids. A capture does not
// know its cluster.
func (p *captureParser) topic(name []byte) (topic, prefix string) {
	topic = p.intern(name)
	prefix, ok := p.prefixes[topic]
	if !ok {
		if p.prefixes == nil || len(p.prefixes) >= maxInterned {
			p.prefixes = make(map[string]string)
		}
		prefix = streamid.Topic("", topic, 0)
		p.prefixes[topic] = prefix
	}
	return topic, prefix
}
