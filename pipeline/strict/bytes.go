package strict

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size in bytes. A file gives it as a plain integer or with a unit: B, kB, MB, GB, TB (powers of 1000) or
// KiB, MiB, GiB, TiB (powers of 1024), such as 8MiB or 1.5GB. Case does not matter.
type Bytes int64

type byteUnit struct {
	name string
	size int64
}

// byteUnits returns the units, the largest first, so that the first that divides a size is the one to write.
func byteUnits() []byteUnit {
	return []byteUnit{
		{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
		{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
	}
}

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	given := string(text)
	digits := strings.TrimRight(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := given[len(digits):]
	size := int64(1)
	if unit != "" {
		size = 0
		for _, u := range byteUnits() {
			if strings.EqualFold(u.name, unit) {
				size = u.size
			}
		}
	}
	number := strings.TrimSpace(digits)
	if whole, err := strconv.ParseInt(number, 10, 64); err == nil && size > 0 && whole >= 0 && whole <= math.MaxInt64/size {
		*b = Bytes(whole * size)
		return nil
	}
	value, err := strconv.ParseFloat(number, 64)
	product := value * float64(size)
	if err != nil || size <= 1 || value < 0 || math.IsNaN(product) || product >= math.MaxInt64 || strings.ContainsAny(number, "xXpP_") {
		return fmt.Errorf("expected size such as 8MiB, 10MB or 4096, found %s", shorten(given))
	}
	*b = Bytes(product)
	return nil
}

// String writes the size in the largest unit that gives a whole number.
func (b Bytes) String() string {
	for _, u := range byteUnits() {
		if b != 0 && int64(b)%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText writes the size as String does.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
