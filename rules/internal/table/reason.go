package table

// Reason is why a key was forgotten before its time.
type Reason uint8

const (
	TooMany  Reason = iota // rules.max_keys
	TooHeavy               // rules.max_state
)

// String is the setting that was reached.
func (r Reason) String() string {
	return [...]string{"rules.max_keys", "rules.max_state"}[r]
}
