package expression

// Truth is a value of Kleene's strong three-valued logic. The order of the
// values makes "and" the minimum and "or" the maximum.
type Truth uint8

// The values of Truth. Unknown is the truth of a comparison with a field that
// the event does not have.
const (
	False Truth = iota
	Unknown
	True
)

// String returns the word that explanations use.
func (t Truth) String() string { return [...]string{"false", "unknown", "true"}[t] }

// Not returns the negation; that of Unknown is Unknown.
func (t Truth) Not() Truth { return True - t }

func truthOf(b bool) Truth {
	if b {
		return True
	}
	return False
}
