package kafka

import (
	"log/slog"
	"sync"
)

// health merges what the parts of a source have to say about its state and
// reports changes only.
type health struct {
	report func(error)
	logger *slog.Logger

	mu       sync.Mutex
	problems map[string]error // by part
}

func newHealth(report func(error), logger *slog.Logger) *health {
	return &health{report: report, logger: logger, problems: make(map[string]error)}
}

// set records the state of a part, nil for good.
func (h *health) set(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, had := h.problems[part]
	switch {
	case err == nil && !had:
		return
	case err == nil:
		delete(h.problems, part)
		h.logger.Info("recovered", "part", part)
	case had && old.Error() == err.Error():
		return
	default:
		h.problems[part] = err
		h.logger.Error("trying again", "part", part, "error", err)
	}
	h.tell()
}

// clear forgets a part that is no longer there.
func (h *health) clear(part string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, had := h.problems[part]; had {
		delete(h.problems, part)
		h.tell()
	}
}

func (h *health) tell() {
	if h.report == nil {
		return
	}
	for _, err := range h.problems {
		h.report(err)
		return
	}
	h.report(nil)
}
