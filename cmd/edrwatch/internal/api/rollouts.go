package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/rules/fleet"
)

// notFound is the answer to a question about something that is not there.
type notFound struct{ message string }

func (e *notFound) Error() string { return e.message }

// pick returns the versions that the query asks for.
func (d *Data) pick(p *params) []fleet.Rollout {
	product, kind, channel, version := p.text("product"), p.text("kind"), p.text("channel"), p.text("version")
	if kind != "" && kind != fleet.Sensor && kind != fleet.Content {
		p.fail("kind", "expected sensor or content, found %q", kind)
	}
	return slices.DeleteFunc(d.watched.Rollouts(), func(r fleet.Rollout) bool { return !r.Fits(product, kind, channel, version) })
}

func (d *Data) rollouts(r *http.Request) (any, error) {
	p := readParams(r.URL.RawQuery)
	list := d.pick(p)
	if err := p.done(); err != nil {
		return nil, err
	}
	return map[string]any{"rollouts": list}, nil
}

// rollout answers about one version. Several channels may bring files of the
// same version: then the question has to say which.
func (d *Data) rollout(r *http.Request) (any, error) {
	p := readParams(r.URL.RawQuery)
	p.values.Set("product", r.PathValue("product"))
	p.values.Set("version", r.PathValue("version"))
	list := d.pick(p)
	if err := p.done(); err != nil {
		return nil, err
	}
	switch len(list) {
	case 0:
		return nil, &notFound{fmt.Sprintf("no agent of %s got version %s recently: /api/v1/rollouts lists what is known",
			r.PathValue("product"), r.PathValue("version"))}
	case 1:
		return list[0], nil
	}
	var which []string
	for _, x := range list {
		which = append(which, strings.TrimSuffix(x.Kind+" "+x.Channel, " "))
	}
	return nil, &badParameter{"channel", "several rollouts have this version (" + strings.Join(which, ", ") + "): add kind= or channel="}
}

// rolloutsEvery is how often the verdicts are looked at for those who watch.
const rolloutsEvery = time.Second

// rolloutEvents sends every verdict, and again when it or the number of agents
// changes, as server-sent events.
func (d *Data) rolloutEvents(w http.ResponseWriter, r *http.Request) {
	p := readParams(r.URL.RawQuery)
	d.pick(p)
	if err := p.done(); err != nil {
		d.failure(w, r, err)
		return
	}
	s, send, ok := d.follow(w) // Counted with the other streams; what it brings is not for this one.
	if !ok {
		return
	}
	defer d.hub.unsubscribe(s)
	sent := map[string]string{}
	look, alive := time.NewTicker(rolloutsEvery), time.NewTicker(beat)
	defer look.Stop()
	defer alive.Stop()
	for {
		for _, x := range d.pick(p) {
			id := strings.Join([]string{x.Product, x.Kind, x.Channel, x.Version}, "\x00")
			state := fmt.Sprint(x.Verdict, x.Exposed, x.Harmed)
			if sent[id] == state {
				continue
			}
			sent[id] = state
			body, err := json.Marshal(x)
			if err != nil || !send([]byte("event: rollout\ndata: "+string(body)+"\n\n")) {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case _, ok := <-s.frames:
			if !ok {
				return
			}
		case <-look.C:
		case <-alive.C:
			if !send([]byte(": alive\n\n")) {
				return
			}
		}
	}
}
