package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/edrwatch/edrwatch/sinks/store"
)

// problem is the body of every answer that is not a success.
type problem struct {
	Message string `json:"message"`
	// Parameter is the query parameter at fault, Position the character in it,
	// from 1.
	Parameter string `json:"parameter,omitempty"`
	Position  int    `json:"position,omitempty"`
}

func respond(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		// Only a defect of this package comes here: all types are its own.
		status, body = http.StatusInternalServerError, []byte(`{"error":{"message":"the answer could not be encoded"}}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // A reader that went away is not our concern.
}

func fail(w http.ResponseWriter, status int, p problem) {
	respond(w, status, map[string]problem{"error": p})
}

// failure answers an error of a handler with the status that fits.
func (d *Data) failure(w http.ResponseWriter, r *http.Request, err error) {
	var bad *badParameter
	var syntax *store.SyntaxError
	var absent *notFound
	switch {
	case errors.As(err, &absent):
		fail(w, http.StatusNotFound, problem{Message: absent.message})
	case errors.As(err, &bad):
		fail(w, http.StatusBadRequest, problem{Message: bad.message, Parameter: bad.name})
	case errors.As(err, &syntax):
		fail(w, http.StatusBadRequest, problem{Message: syntax.Message, Parameter: "q", Position: syntax.Position})
	case errors.Is(err, store.ErrNotFound):
		fail(w, http.StatusNotFound, problem{Message: err.Error()})
	case r.Context().Err() != nil && errors.Is(r.Context().Err(), context.DeadlineExceeded):
		fail(w, http.StatusServiceUnavailable, problem{Message: "the search took too long: narrow the time range or search by a field such as host or action"})
	case r.Context().Err() != nil:
		// The client went away; nobody reads an answer.
	default:
		// The cause may tell about files of this machine: it goes to the log.
		d.log.Error("answering a request", slog.String("path", r.URL.Path), slog.Any("error", err))
		fail(w, http.StatusInternalServerError, problem{Message: "the store could not answer; the log has the reason"})
	}
}
