package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Hub hands new alerts to the browsers that follow them. It never makes the
// pipeline wait: a browser that reads too slowly misses alerts and gets an event that says so.
// It is safe for concurrent use.
type Hub struct {
	max int

	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
	closed      bool
}

// subscriber is one browser.
type subscriber struct {
	frames chan []byte // closed by the hub
	missed atomic.Int64
}

// pending is how many alerts wait for a slow browser.
const pending = 64

var (
	errTooMany = errors.New("too many browsers follow alerts already")
	errClosed  = errors.New("the gateway is stopping")
)

// NewHub returns a hub for up to max browsers at once.
func NewHub(max int) *Hub {
	return &Hub{max: max, subscribers: make(map[*subscriber]struct{})}
}

// Publish hands the alerts among docs to every browser. It does not block and
// keeps no document.
func (h *Hub) Publish(docs []*event.Document) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subscribers) == 0 {
		return
	}
	for _, d := range docs {
		if d.Stream != event.Alerts {
			continue
		}
		frame := frameOf(d)
		if frame == nil {
			continue
		}
		for s := range h.subscribers {
			select {
			case s.frames <- frame:
			default:
				s.missed.Add(1)
			}
		}
	}
}

// frameOf encodes an alert as a server-sent event; nil for a body that is not
// JSON. A JSON text has no raw line feed, so one data line holds it.
func frameOf(d *event.Document) []byte {
	message := document{
		ID: d.ID, Stream: d.Stream.String(), Time: stamp(d.Time), Action: d.Action, Host: d.Host, Agent: d.AgentID,
		Severity: d.Severity, Kind: d.AlertKind, Rules: orEmpty(d.Rules), Document: d.Body,
	}
	var body struct {
		EDR struct {
			Alert struct {
				ID     string `json:"id"`
				Status string `json:"status"`
			} `json:"alert"`
		} `json:"edr"`
	}
	if json.Unmarshal(d.Body, &body) == nil {
		message.AlertID, message.Status = body.EDR.Alert.ID, body.EDR.Alert.Status
	}
	encoded, err := json.Marshal(message) // Compacts the body as well.
	if err != nil {
		return nil
	}
	return append(append([]byte("event: alert\ndata: "), encoded...), '\n', '\n')
}

func missedFrame(n int64) []byte {
	return []byte("event: missed\ndata: {\"alerts\":" + strconv.FormatInt(n, 10) + "}\n\n")
}

func (h *Hub) subscribe() (*subscriber, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	if len(h.subscribers) >= h.max {
		return nil, errTooMany
	}
	s := &subscriber{frames: make(chan []byte, pending)}
	h.subscribers[s] = struct{}{}
	return s, nil
}

func (h *Hub) unsubscribe(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.subscribers[s]; ok {
		delete(h.subscribers, s)
		close(s.frames)
	}
}

// Close ends every stream; no new one begins. A server that shuts down needs
// it, because a stream does not end by itself.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.subscribers {
		delete(h.subscribers, s)
		close(s.frames)
	}
}
