package identity

import "github.com/edrwatch/edrwatch/pipeline/event"

// texts holds many short texts in few blocks: a string of its own for each would
// cost 16 bytes and a visit of the garbage collector. What was written never
// changes, so that views of it stay valid.
type texts struct {
	blocks [][]byte
	wasted int // bytes of texts that nobody needs any more
}

func (t *texts) size() int { return len(t.blocks) << blockBits }

const blockBits = 20

// place is where a text begins.
type place uint32

// add keeps a text of at most maxText bytes.
func (t *texts) add(text string) place {
	last := len(t.blocks) - 1
	if last < 0 || len(t.blocks[last])+len(text) > 1<<blockBits {
		t.blocks = append(t.blocks, make([]byte, 0, 1<<blockBits))
		last++
	}
	b := t.blocks[last]
	at := place(last<<blockBits | len(b))
	t.blocks[last] = append(b, text...)
	return at
}

func (t *texts) view(at place, length uint8) string {
	b := t.blocks[at>>blockBits]
	begin := int(at & (1<<blockBits - 1))
	return event.View(b[begin : begin+int(length) : begin+int(length)])
}
