package kafka

import (
	"testing"

	"github.com/edrwatch/edrwatch/sources/sourcetest"
)

func TestContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, in sourcetest.Input) func() sourcetest.Source {
		b := newBroker(t)
		b.create("contract", int32(len(in)))
		for p := range in {
			b.produce(b.admin(), "contract", int32(p), in[p]...)
		}
		cfg := b.config("contract", "contract")
		cfg.BatchRecords = 7
		return func() sourcetest.Source {
			source, err := New(cfg, Settings{Name: "contract"})
			if err != nil {
				t.Fatal(err)
			}
			return source
		}
	})
}
