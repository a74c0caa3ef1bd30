package pipeline

import (
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// documents collects the documents of one batch in buffers that are reused
// from batch to batch. A buffer that grows leaves the documents made before in
// the old block, which lives as long as they do.
type documents struct {
	docs  []event.Document
	ptrs  []*event.Document
	dead  []event.Dead
	body  []byte
	text  []byte
	rules []string
}

// keepBuffers is the size up to which a batch's buffers are kept for the next:
// one exceptional batch must not hold its memory for ever.
const keepBuffers = 16 << 20

func (d *documents) reset() {
	d.docs, d.ptrs, d.dead = d.docs[:0], d.ptrs[:0], d.dead[:0]
	d.body, d.text, d.rules = d.body[:0], d.text[:0], d.rules[:0]
	if cap(d.body) > keepBuffers {
		d.body = nil
	}
}

// pointers returns the documents; only now, because docs may have moved while
// it grew.
func (d *documents) pointers() []*event.Document {
	d.ptrs = d.ptrs[:0]
	for i := range d.docs {
		d.ptrs = append(d.ptrs, &d.docs[i])
	}
	return d.ptrs
}

func (d *documents) addEvent(e *event.Event, p *event.Partition, r *event.Record) {
	doc := d.add(e, p, r)
	if e.Str(ecs.EventKind) == "metric" {
		doc.Stream = event.Metrics
	}
	if v := e.Get(ecs.EDRRules); v != nil {
		doc.Rules = d.keepRules(v)
	}
}

func (d *documents) addAlert(a *event.Event, p *event.Partition, r *event.Record) {
	doc := d.add(a, p, r)
	doc.Stream = event.Alerts
	doc.Severity = d.keep(a.Str(ecs.EDRAlertSeverity))
	doc.AlertKind = d.keep(a.Str(ecs.EDRAlertKind))
	doc.Latest = latestOf(d.keep(a.Str(ecs.EDRAlertID)), a)
	if v := a.Get(ecs.RuleID); v != nil {
		doc.Rules = d.keepRules(v)
	}
}

// latestOf is what makes an alert's document its state.
func latestOf(id string, a *event.Event) event.Latest {
	if id == "" {
		return event.Latest{}
	}
	count := int64(0)
	if v := a.Get(ecs.EDRAlertCount); v != nil {
		count = v.Int()
	}
	return event.Latest{ID: id, Version: event.AlertVersion(a.Str(ecs.EDRAlertStatus), a.Timestamp(), count)}
}

// add encodes e and keeps what routes and stores look at.
func (d *documents) add(e *event.Event, p *event.Partition, r *event.Record) *event.Document {
	start := len(d.body)
	d.body = e.AppendJSON(d.body)
	host := e.Str(ecs.HostName)
	agent := d.keep(e.Str(ecs.AgentID))
	if host == "" {
		host = agent
	} else {
		host = d.keep(host)
	}
	d.docs = append(d.docs, event.Document{
		ID:        d.keep(e.Str(ecs.EventID)),
		Time:      e.Timestamp(),
		Body:      d.body[start:len(d.body):len(d.body)],
		Action:    d.keep(e.Str(ecs.EventAction)),
		Host:      host,
		AgentID:   agent,
		Partition: p,
		Offset:    r.Offset,
		Received:  r.Time,
	})
	return &d.docs[len(d.docs)-1]
}

// keep copies a string of an event, which dies with the event's Reset.
func (d *documents) keep(s string) string {
	if s == "" {
		return ""
	}
	start := len(d.text)
	d.text = append(d.text, s...)
	return event.View(d.text[start:len(d.text):len(d.text)])
}

func (d *documents) keepRules(v *event.Value) []string {
	start := len(d.rules)
	if list := v.List(); list != nil {
		for _, r := range list {
			d.rules = append(d.rules, d.keep(r))
		}
	} else {
		d.rules = append(d.rules, d.keep(v.Str()))
	}
	return slices.Clip(d.rules[start:])
}
