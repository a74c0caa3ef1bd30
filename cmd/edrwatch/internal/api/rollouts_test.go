package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// versions are Rollouts with fixed answers.
type versions struct{}

func (versions) Rollouts() []fleet.Rollout {
	first := time.Unix(0, start).UTC()
	return []fleet.Rollout{
		{Product: "crowdstrike-falcon", Kind: fleet.Content, Channel: "291", Version: "32", FirstExposure: first, Exposed: 431, Harmed: 403, Verdict: fleet.Rollback},
		{Product: "crowdstrike-falcon", Kind: fleet.Content, Channel: "290", Version: "32", FirstExposure: first, Exposed: 20, Verdict: fleet.Hold},
		{Product: "crowdstrike-falcon", Kind: fleet.Sensor, Version: "7.17.18721.0", FirstExposure: first, Exposed: 348, Verdict: fleet.Continue},
	}
}

func TestRolloutsAreAnswered(t *testing.T) {
	h := serve(t, nil)
	for path, want := range map[string]int{
		"": 3, "?product=crowdstrike-falcon&channel=291": 1, "?kind=sensor": 1, "?version=32": 2, "?product=other": 0,
	} {
		var answer struct{ Rollouts []fleet.Rollout }
		h.ask(t, "/api/v1/rollouts"+path, &answer)
		if answer.Rollouts == nil || len(answer.Rollouts) != want {
			t.Errorf("%s: %d rollouts, want %d", path, len(answer.Rollouts), want)
		}
	}
	var one fleet.Rollout
	h.ask(t, "/api/v1/rollouts/crowdstrike-falcon/7.17.18721.0", &one)
	if one.Verdict != fleet.Continue || one.Exposed != 348 {
		t.Errorf("found %+v", one)
	}
	for path, want := range map[string]struct {
		code    int
		message string
	}{
		"/crowdstrike-falcon/32":             {http.StatusBadRequest, "content 291, content 290"},
		"/crowdstrike-falcon/1":              {http.StatusNotFound, "no agent of crowdstrike-falcon got version 1"},
		"/crowdstrike-falcon/32?chanel=290":  {http.StatusBadRequest, "did you mean channel"},
		"/crowdstrike-falcon/32?kind=module": {http.StatusBadRequest, "sensor or content"},
	} {
		if w := h.ask(t, "/api/v1/rollouts"+path, nil); w.Code != want.code || !strings.Contains(w.Body.String(), want.message) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestRolloutsNeedNoStore(t *testing.T) {
	hub := NewHub(1)
	data, err := NewData(DefaultConfig().Data, Settings{Gateway: gateway{}, Rollouts: versions{}, Agents: roll{}, Hub: hub})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{data: data, hub: hub}
	var answer struct{ Rollouts []fleet.Rollout }
	h.ask(t, "/api/v1/rollouts", &answer)
	if len(answer.Rollouts) != 3 {
		t.Errorf("%d rollouts", len(answer.Rollouts))
	}
	for _, path := range []string{"/api/v1/status", "/api/v1/rules"} {
		if w := h.ask(t, path, nil); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := h.ask(t, "/api/v1/events", nil); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "type store") {
		t.Errorf("events without a store: %d %s", w.Code, w.Body)
	}
	if w := h.ask(t, "/", nil); w.Code != http.StatusNotFound {
		t.Errorf("a console without a store: %d", w.Code)
	}
}

func TestRolloutsAreWatched(t *testing.T) {
	h := serve(t, nil)
	server, err := Listen("127.0.0.1:0", 8, h.data, nil, h.hub.Close)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + server.Addr().String() + "/api/v1/rollouts/events?channel=291")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: {\"product\"")
		if !ok {
			continue
		}
		var r fleet.Rollout
		if err := json.Unmarshal([]byte("{\"product\""+data), &r); err != nil || r.Version != "32" || r.Verdict != fleet.Rollback {
			t.Errorf("%v: %s", err, lines.Text())
		}
		break
	}
	if lines.Err() != nil {
		t.Error(lines.Err())
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
