package rules

import (
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

func dictionary(tb testing.TB, custom ...ecs.Field) *ecs.Dictionary {
	tb.Helper()
	d, err := ecs.New(custom...)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
