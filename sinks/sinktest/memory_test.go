package sinktest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/sinks/sinktest"
)

var _ pipeline.Sink = (*sinktest.Memory)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	sinktest.Run(t, (*sinktest.Memory)(nil).Traits(), func(*testing.T) (sinktest.Sink, sinktest.Destination) {
		m := sinktest.NewMemory()
		return m, m
	})
}
