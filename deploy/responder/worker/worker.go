// Package worker takes acts from edrwatch's response topic to a vendor's
// console. It is an example to build on: what a real console needs stands in
// Console alone.
package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/respond"
)

// Reader is what a Worker needs of a *kafka.Reader with a group.
type Reader interface {
	FetchMessage(ctx context.Context) (kafka.Message, error)
	CommitMessages(ctx context.Context, messages ...kafka.Message) error
}

// Worker takes one act after the other. An act's offset is committed when it is
// done, or when it can never be: a worker that dies takes the act again, with
// the same id, by which the console knows it.
type Worker struct {
	Reader  Reader
	Console Console
	Logger  *slog.Logger
	Retry   time.Duration // pause after a failure
}

// Run works until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	for {
		m, err := w.Reader.FetchMessage(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading acts: %w", err)
		}
		if err := w.take(ctx, &m); err != nil {
			return nil //nolint:nilerr // Only the end of ctx stops an act; it is taken again.
		}
		if err := w.Reader.CommitMessages(ctx, m); err != nil && ctx.Err() == nil {
			return fmt.Errorf("committing offset %d: %w", m.Offset, err)
		}
	}
}

// errUseless means that trying again is of no use.
var errUseless = errors.New("act not possible")

func (w *Worker) take(ctx context.Context, m *kafka.Message) error {
	a, err := Parse(m.Value)
	if err != nil {
		w.Logger.Error("act not readable; skipping it", "partition", m.Partition, "offset", m.Offset, "error", err)
		return nil
	}
	log := w.Logger.With("response", a.ID, "action", a.Action, "product", a.Subject.Product, "alert", a.Alert.ID)
	for {
		err := w.Console.Do(ctx, &a)
		switch {
		case err == nil:
			log.Info("act done")
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errUseless):
			log.Warn("act refused by the console; a person has to decide", "error", err)
			return nil
		}
		log.Warn("act failed; it is tried again", "error", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(w.Retry):
		}
	}
}

// Parse reads an act and checks that it is of a format that is known here.
func Parse(value []byte) (respond.Act, error) {
	var a respond.Act
	if err := json.Unmarshal(value, &a); err != nil {
		return a, fmt.Errorf("expected an act: %w", err)
	}
	if a.Schema != respond.Schema {
		return a, fmt.Errorf("expected schema %q, found %q", respond.Schema, a.Schema)
	}
	if a.ID == "" || a.Action == "" {
		return a, fmt.Errorf("expected id and action, found %q and %q", a.ID, a.Action)
	}
	return a, nil
}

// Console is a vendor's console, here that of package console.
type Console struct {
	URL   string
	Token string
	HTTP  *http.Client
}

// Do does what an act asks for.
func (c *Console) Do(ctx context.Context, a *respond.Act) error {
	verb := map[string]string{"pause_rollout": "pause", "isolate_update_channel": "pause", "rollback_content": "rollback"}[a.Action]
	version := a.Subject.ContentVersion
	if version == "" {
		version = a.Subject.SensorVersion
	}
	switch {
	case a.Alert.Status != "firing":
		return fmt.Errorf("%w: an alert that is %s needs no act of this console", errUseless, a.Alert.Status)
	case verb == "":
		return fmt.Errorf("%w: this console has no action %s", errUseless, a.Action)
	case verb == "rollback" && a.Subject.Suspected:
		return fmt.Errorf("%w: the version is only suspected", errUseless)
	case verb == "rollback" && a.Subject.ContentVersion == "":
		return fmt.Errorf("%w: the alert names no content to roll back", errUseless)
	case a.Subject.Product == "" || version == "":
		return fmt.Errorf("%w: the alert names no version", errUseless)
	}
	target := strings.TrimSuffix(c.URL, "/") + "/rollouts/" + url.PathEscape(a.Subject.Product) + "/" + url.PathEscape(version) + "/" + verb
	if a.Subject.ContentChannel != "" {
		target += "?channel=" + url.QueryEscape(a.Subject.ContentChannel)
	}
	body, err := json.Marshal(map[string]string{"reason": a.Alert.Reason})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.Token)
	// The act may come again: after this worker died, or the gateway did.
	request.Header.Set("Idempotency-Key", a.ID)
	response, err := c.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // For the log.
	switch {
	case response.StatusCode == http.StatusOK:
		return nil
	case response.StatusCode >= 500, response.StatusCode == http.StatusTooManyRequests, response.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("the console answered %s: %s", response.Status, bytes.TrimSpace(text))
	}
	return fmt.Errorf("%w: the console answered %s: %s", errUseless, response.Status, bytes.TrimSpace(text))
}
