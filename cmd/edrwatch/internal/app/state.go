package app

import (
	"context"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/state"
	"github.com/edrwatch/edrwatch/pipeline"
)

// keepState makes the store of snapshots, where one is configured.
func (a *App) keepState() error {
	if !a.cfg.State.Enabled() {
		return nil
	}
	store, err := state.New(a.cfg.State, a.log)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	a.own(store)
	a.state = store
	return nil
}

// checkpoints are what the runner keeps state with; nil for none.
func (a *App) checkpoints() pipeline.Checkpoints {
	if a.state == nil {
		return nil // Not a nil *state.Store, which would be something.
	}
	return a.state
}

// keptName is that of the state of the fleet's judge.
func (a *App) keptName() string {
	return a.cfg.Fleet.Exchange.Group + "/" + a.cfg.Fleet.Exchange.Topic
}

// keptJudge returns how a gateway that does not own the exchange restores what
// the judge of the one that does has kept.
func (a *App) keptJudge() func(context.Context, func([]byte) error) (int64, bool) {
	if a.state == nil {
		return nil
	}
	return func(ctx context.Context, restore func([]byte) error) (int64, bool) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		offset, ok, err := a.state.Peek(ctx, a.keptName(), func(snapshot []byte) error {
			kept, err := pipeline.KeptState(snapshot)
			if err != nil {
				return err
			}
			return restore(kept)
		})
		if err != nil {
			a.log.Warn("snapshot of the fleet's judge not restored; its steps are read again from the exchange topic", "error", err)
		}
		return offset, ok
	}
}

// How long the names of agents may take to be read before the first record, and
// to be written after the last.
const (
	recallNamesWithin = 2 * time.Minute
	keepNamesWithin   = 20 * time.Second
)

// recallNames reads what is known of agents' names from the state topic, so that
// records are resolved as before a restart. It returns what keeps them there; nil
// where no state is kept.
func (a *App) recallNames(ctx context.Context) *state.Names {
	if a.state == nil {
		return nil
	}
	names := a.state.Names(a.processors.Registry)
	ctx, cancel := context.WithTimeout(ctx, recallNamesWithin)
	defer cancel()
	if err := names.Load(ctx); err != nil {
		a.log.Warn("names of agents cannot be read from the state topic; they are learned again from records", "error", err)
	}
	return names
}
