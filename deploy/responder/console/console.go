// Package console is a mock of a vendor's console: enough of an API to try a
// worker against, with what a real one does about repetitions and bad requests.
package console

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Rollout is a version as the console shows it.
type Rollout struct {
	Product string `json:"product"`
	Channel string `json:"channel,omitempty"`
	Version string `json:"version"`
	State   string `json:"state"` // rolling, paused or rolled_back
	Reason  string `json:"reason,omitempty"`
	Changes int    `json:"changes"` // of its state
}

// Console is the handler. It is safe for concurrent use.
//
//	GET  /rollouts                                  all of them
//	POST /rollouts/{product}/{version}/pause        ?channel=, {"reason": "…"}
//	POST /rollouts/{product}/{version}/rollback     likewise
//
// Requests need the token, and an Idempotency-Key: a repeated one changes
// nothing and gets the same answer.
type Console struct {
	token string

	mu       sync.Mutex
	rollouts map[string]*Rollout
	keys     map[string]bool
	calls    int
}

// New returns a console where nothing is rolled out yet; a version that is asked
// about is taken for one that is rolling.
func New(token string) *Console {
	return &Console{token: token, rollouts: map[string]*Rollout{}, keys: map[string]bool{}}
}

// Rollouts lists what was asked about, in the order of its names.
func (c *Console) Rollouts() []Rollout {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []Rollout{}
	for _, r := range c.rollouts {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Rollout) int {
		return strings.Compare(a.Product+a.Channel+a.Version, b.Product+b.Channel+b.Version)
	})
	return list
}

// Calls is the number of requests that were authorized, repetitions included.
func (c *Console) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rollouts", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, c.Rollouts()) })
	mux.HandleFunc("POST /rollouts/{product}/{version}/{verb}", c.change)
	if r.Header.Get("Authorization") != "Bearer "+c.token {
		answer(w, http.StatusUnauthorized, "the token is not right")
		return
	}
	mux.ServeHTTP(w, r)
}

func (c *Console) change(w http.ResponseWriter, r *http.Request) {
	state, ok := map[string]string{"pause": "paused", "rollback": "rolled_back"}[r.PathValue("verb")]
	if !ok {
		answer(w, http.StatusNotFound, "expected pause or rollback")
		return
	}
	var body struct {
		Reason string `json:"reason"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&body); err != nil {
		answer(w, http.StatusBadRequest, "expected {\"reason\": …}: "+err.Error())
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		answer(w, http.StatusBadRequest, "expected an Idempotency-Key")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	x := Rollout{Product: r.PathValue("product"), Channel: r.URL.Query().Get("channel"), Version: r.PathValue("version"), State: "rolling"}
	name := x.Product + "\x00" + x.Channel + "\x00" + x.Version
	if c.rollouts[name] == nil {
		c.rollouts[name] = &x
	}
	known := c.rollouts[name]
	if !c.keys[key] && known.State != state && known.State != "rolled_back" {
		known.State, known.Reason = state, body.Reason
		known.Changes++
	}
	c.keys[key] = true
	answer(w, http.StatusOK, *known)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // A reader that went away is not our concern.
}
