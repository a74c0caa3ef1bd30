package api

import (
	"net/http"
	"time"
)

const (
	// beat is how often a stream says that it is alive, so that proxies keep
	// it and a browser that went away is noticed.
	beat = 15 * time.Second
	// streamWrite is how long one write to a browser may take.
	streamWrite = 10 * time.Second
)

// stream sends alerts as server-sent events (HTML standard, section 9.2).
func (d *Data) stream(w http.ResponseWriter, r *http.Request) {
	if err := readParams(r.URL.RawQuery).done(); err != nil {
		d.failure(w, r, err)
		return
	}
	s, send, ok := d.follow(w)
	if !ok {
		return
	}
	defer d.hub.unsubscribe(s)
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		frame := []byte(": alive\n\n")
		select {
		case <-r.Context().Done():
			return
		case next, ok := <-s.frames:
			if !ok {
				return
			}
			frame = next
		case <-ticker.C:
		}
		if n := s.missed.Swap(0); n > 0 && !send(missedFrame(n)) {
			return
		}
		if !send(frame) {
			return
		}
	}
}

// follow begins a stream, of which there are so many at a time; false when there
// is none, which was answered. The caller unsubscribes.
func (d *Data) follow(w http.ResponseWriter) (s *subscriber, send func(frame []byte) bool, ok bool) {
	s, err := d.hub.subscribe()
	if err != nil {
		w.Header().Set("Retry-After", "10")
		fail(w, http.StatusServiceUnavailable, problem{Message: err.Error()})
		return nil, nil, false
	}
	if send, ok = serverSent(w); !ok {
		d.hub.unsubscribe(s)
	}
	return s, send, ok
}

// serverSent begins an answer of server-sent events and returns what sends a
// frame; false when the reader is gone.
func serverSent(w http.ResponseWriter) (send func(frame []byte) bool, ok bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back.
	control := http.NewResponseController(w)
	// The server's limits are for answers that end; here each write has its own.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		fail(w, http.StatusInternalServerError, problem{Message: "this connection cannot stream"})
		return nil, false
	}
	send = func(frame []byte) bool {
		if control.SetWriteDeadline(time.Now().Add(streamWrite)) != nil {
			return false
		}
		if _, err := w.Write(frame); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	return send, send([]byte("retry: 3000\nevent: ready\ndata: {}\n\n"))
}
