package scan

// What a Mapper writes itself need not be parsed again:
// the tapes of these texts are made without looking at every byte again.

// Text makes the tape of an object whose only member is a string. Data is
// {"key":"..."} without white space, the key of size bytes and plain; escaped
// reports whether the string holds backslashes. The string must be valid. The
// error is that of Scan for a text over the limits.
func (t *Tape) Text(data []byte, size int, escaped bool) error {
	if len(data) > t.limits.Size {
		return t.Scan(data)
	}
	start, end := uint32(len(`{"`)+size+len(`":"`)), uint32(len(data)-len(`"}`))
	t.Data, t.Depth, t.Halves, t.err = data, 1, false, nil
	t.Nodes = append(t.Nodes[:0],
		Node{Kind: Object, End: uint32(len(data)), Next: 2},
		Node{Kind: String, KeyStart: uint32(len(`{"`)), KeyEnd: uint32(len(`{"`) + size), Start: start, End: end, Next: 2, Escaped: escaped},
	)
	return nil
}

// ScanMembers makes the tape of data, which is the object of an earlier tape
// with members added behind its last: up to from they are equal, and at from
// stands the comma before what is new, of which alone every byte is looked at.
func (t *Tape) ScanMembers(earlier *Tape, data []byte, from int) error {
	if len(data) > t.limits.Size {
		return t.Scan(data)
	}
	t.Data, t.Depth, t.Halves, t.err = data, earlier.Depth, earlier.Halves, nil
	t.Nodes = append(t.Nodes[:0], earlier.Nodes...)
	i := t.object(from+1, 1)
	if t.err == nil && i < len(data) {
		t.fail(i, "the end of the record")
	}
	if t.err != nil {
		t.Nodes = t.Nodes[:0]
		return t.err
	}
	root := &t.Nodes[0]
	root.End, root.Next = uint32(i), uint32(len(t.Nodes))
	return nil
}
