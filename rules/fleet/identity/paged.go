package identity

// paged is a list that grows without being copied: a million agents would be
// held twice while their list doubles. Place 0 is never used, so that 0 can say
// that there is none.
type paged[T any] struct {
	pages [][]T
	n     uint32 // places given out, 0 among them
	free  []uint32
}

const pageBits = 12

func (p *paged[T]) at(i uint32) *T { return &p.pages[i>>pageBits][i&(1<<pageBits-1)] }

// add returns the place of a new value, which is zero.
func (p *paged[T]) add() uint32 {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		var zero T
		*p.at(i) = zero
		return i
	}
	if p.n == 0 {
		p.n = 1
	}
	if int(p.n>>pageBits) == len(p.pages) {
		p.pages = append(p.pages, make([]T, 1<<pageBits))
	}
	i := p.n
	p.n++
	return i
}

// remove gives a place back.
func (p *paged[T]) remove(i uint32) { p.free = append(p.free, i) }

// held is the number of values.
func (p *paged[T]) held() int { return max(int(p.n)-1, 0) - len(p.free) }
