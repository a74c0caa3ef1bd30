package kinds

import (
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/rules/internal/expression"
)

// withPresence adds to what a condition needs that a field is present.
func withPresence(alternatives []expression.Alternative, field ecs.ID) []expression.Alternative {
	return append(slices.Clone(alternatives), expression.Alternative{{Field: field, Op: expression.Present}})
}
