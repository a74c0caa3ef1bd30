package kinds

import (
	"math"
	"strings"

	"github.com/edrwatch/edrwatch/rules/internal/engine"
	"github.com/edrwatch/edrwatch/rules/internal/wording"
)

// bounds limit a measured number. All given ones hold.
type bounds struct {
	GT  *float64 `yaml:"gt"`
	GTE *float64 `yaml:"gte"`
	LT  *float64 `yaml:"lt"`
	LTE *float64 `yaml:"lte"`
}

// hold reports whether a number satisfies all bounds.
func (b *bounds) hold(f float64) bool {
	return (b.GT == nil || f > *b.GT) && (b.GTE == nil || f >= *b.GTE) && (b.LT == nil || f < *b.LT) && (b.LTE == nil || f <= *b.LTE)
}

// String writes the bounds as a rule file's reader says them.
func (b *bounds) String() string {
	var parts []string
	for _, p := range []struct {
		sign  string
		bound *float64
	}{{">", b.GT}, {">=", b.GTE}, {"<", b.LT}, {"<=", b.LTE}} {
		if p.bound != nil {
			parts = append(parts, p.sign+" "+wording.Decimal(*p.bound))
		}
	}
	return strings.Join(parts, " and ")
}

// holdAbove and holdBelow are the halves of hold: the lower and upper bounds.
func (b *bounds) holdAbove(f float64) bool {
	return (b.GT == nil || f > *b.GT) && (b.GTE == nil || f >= *b.GTE)
}

func (b *bounds) holdBelow(f float64) bool {
	return (b.LT == nil || f < *b.LT) && (b.LTE == nil || f <= *b.LTE)
}

// nearness is how near a number is to the bound that it satisfies least.
func (b *bounds) nearness(f float64) float64 {
	near := 1.0
	for _, p := range [...]struct {
		bound *float64
		holds bool
	}{
		{b.GT, b.GT != nil && f > *b.GT}, {b.GTE, b.GTE != nil && f >= *b.GTE}, {b.LT, b.LT != nil && f < *b.LT}, {b.LTE, b.LTE != nil && f <= *b.LTE},
	} {
		if p.bound != nil && !p.holds {
			near = min(near, engine.Closeness(f, *p.bound))
		}
	}
	return near
}

// nearest is the bound that a number is nearest to of those that it does not
// satisfy; 0 where it satisfies all.
func (b *bounds) nearest(f float64) (bound float64) {
	near := math.Inf(-1)
	for _, p := range [...]bounds{{GT: b.GT}, {GTE: b.GTE}, {LT: b.LT}, {LTE: b.LTE}} {
		if p.hold(f) {
			continue
		}
		for _, limit := range [...]*float64{p.GT, p.GTE, p.LT, p.LTE} {
			if limit != nil && engine.Closeness(f, *limit) > near {
				near, bound = engine.Closeness(f, *limit), *limit
			}
		}
	}
	return bound
}
