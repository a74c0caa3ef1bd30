package respond

import (
	"context"
	"time"
)

// Journal remembers acts that are done where a restart, and other gateways,
// find them. It is safe for concurrent use.
type Journal interface {
	// Done returns those of the acts that are known to be done.
	Done(ctx context.Context, ids []string) ([]string, error)
	// Note returns when it is remembered that an act is done.
	RecordDone(ctx context.Context, id string) error
}

// journalPatience is how long an act waits for the journal at most: to act
// twice is better than not to.
const journalPatience = 5 * time.Second

// journaled reports whether the lane's acts are kept in the journal. A dry run
// does nothing, and a responder that follows alerts gets the same again and again anyway.
func (l *lane) journaled() bool {
	return l.d.set.Journal != nil && l.d.cfg.Enabled && !l.to.Follows
}

// recallDone takes acts for done that this gateway did before it was restarted, or
// another one before a partition moved.
func (l *lane) recallDone(ctx context.Context, jobs []job) {
	if !l.journaled() {
		return
	}
	var ids []string
	ask := func(id string) {
		if !l.taken.has(id) {
			ids = append(ids, id)
		}
	}
	for i := range jobs {
		a := &jobs[i].act
		ask(a.ID)
		if a.Alert.Status == "resolved" {
			ask(id(a.Alert.ID, "firing", a.Action, a.Responder))
		}
	}
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, journalPatience)
	defer cancel()
	done, err := l.d.set.Journal.Done(ctx, ids)
	if err != nil {
		l.d.set.Logger.Warn("acts of earlier runs not read; some may be sent again under the same id", "responder", l.to.Name, "error", err)
	}
	for _, id := range done {
		l.taken.add(id)
	}
}

// recordDone remembers an act that is done, even while the gateway stops.
func (l *lane) recordDone(ctx context.Context, a *Act) {
	if !l.journaled() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalPatience)
	defer cancel()
	if err := l.d.set.Journal.RecordDone(ctx, a.ID); err != nil {
		l.d.set.Logger.Warn("act sent but not recorded; after a restart it may be sent again under the same id", "responder", l.to.Name, "response", a.ID, "error", err)
	}
}
