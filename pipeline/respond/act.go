package respond

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Schema names the format of an Act; a change that a receiver could stumble
// over changes the number.
const Schema = "edrwatch.response/1"

// Act is one thing that a responder is asked to do. Its JSON is what webhooks
// and the response topic carry; deploy/responder/response.schema.json describes
// it.
type Act struct {
	Schema     string            `json:"schema"`
	ID         string            `json:"id"` // The same for every repetition of the act.
	Action     string            `json:"action"`
	Responder  string            `json:"responder"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Requested  time.Time         `json:"requested"` // When the alert was raised, on its clock.
	Alert      Alert             `json:"alert"`
	Rule       Rule              `json:"rule"`
	Subject    Subject           `json:"subject"`
}

// Alert is the alert that an act is about, from edr.alert.*.
type Alert struct {
	ID          string   `json:"id"`
	Status      string   `json:"status"`
	Kind        string   `json:"kind"`
	Severity    string   `json:"severity"`
	Scope       string   `json:"scope"`
	Key         string   `json:"key,omitempty"`
	Reason      string   `json:"reason"`
	Count       int64    `json:"count"`
	Denominator int64    `json:"denominator,omitempty"`
	Hosts       []string `json:"hosts"`
	Start       string   `json:"start,omitempty"` // When what it is about began.
	EventID     string   `json:"event_id"`        // Of the document.
}

// Rule is the rule that raised it.
type Rule struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Subject is what the alert is about, as far as it says.
type Subject struct {
	Product        string `json:"product,omitempty"` // agent.type
	AgentID        string `json:"agent_id,omitempty"`
	SensorVersion  string `json:"sensor_version,omitempty"`
	ContentVersion string `json:"content_version,omitempty"`
	ContentChannel string `json:"content_channel,omitempty"`
	OS             string `json:"os,omitempty"`
	Site           string `json:"site,omitempty"`
	Verdict        string `json:"verdict,omitempty"` // of a bad_rollout
	// Suspected says that the version is not what the alert is about but what
	// may be behind it, as in a mass_silence: enough to pause, not to roll back.
	Suspected bool `json:"suspected,omitempty"`
}

// suspect fills in the version that evidence points to, where the alert itself
// names none.
func (s *Subject) suspect(evidence map[string]any) {
	version, _ := evidence["suspect_version"].(string)
	if version == "" || s.SensorVersion != "" || s.ContentVersion != "" {
		return
	}
	switch evidence["suspect_kind"] {
	case "content":
		s.ContentVersion, s.Suspected = version, true
		s.ContentChannel, _ = evidence["suspect_channel"].(string)
	case "sensor":
		s.SensorVersion, s.Suspected = version, true
	}
}

// text is a string in a document that may be a list.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = text(one)
		return nil
	}
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("expected a text or a list of them, found %.20s", b)
	}
	if len(list) > 0 {
		*t = text(list[0])
	}
	return nil
}

// texts is a list in a document that may be one string.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// document is the part of an alert document that acts are made of.
type document struct {
	Timestamp time.Time `json:"@timestamp"`
	Event     struct {
		ID    string `json:"id"`
		Start string `json:"start"`
	} `json:"event"`
	Rule struct {
		ID      text `json:"id"`
		Name    text `json:"name"`
		Version text `json:"version"`
	} `json:"rule"`
	Agent struct {
		ID      text `json:"id"`
		Type    text `json:"type"`
		Version text `json:"version"`
	} `json:"agent"`
	Host struct {
		OS struct {
			Type text `json:"type"`
		} `json:"os"`
	} `json:"host"`
	EDR struct {
		Alert struct {
			ID          string         `json:"id"`
			Status      string         `json:"status"`
			Kind        string         `json:"kind"`
			Severity    string         `json:"severity"`
			Scope       string         `json:"scope"`
			Site        string         `json:"site"`
			Key         string         `json:"key"`
			Reason      string         `json:"reason"`
			Count       int64          `json:"count"`
			Denominator int64          `json:"denominator"`
			Hosts       texts          `json:"hosts"`
			Evidence    map[string]any `json:"evidence"`
		} `json:"alert"`
		Content struct {
			Version text `json:"version"`
			Channel text `json:"channel"`
		} `json:"content"`
	} `json:"edr"`
}

// parse reads an alert document. What it returns lacks action and responder.
func parse(d *event.Document) (Act, error) {
	var doc document
	if err := json.Unmarshal(d.Body, &doc); err != nil {
		return Act{}, fmt.Errorf("reading alert %s: %w", d.ID, err)
	}
	a, c := &doc.EDR.Alert, &doc.EDR.Content
	if a.ID == "" || a.Status == "" || doc.Rule.ID == "" {
		return Act{}, fmt.Errorf("reading alert %s: expected edr.alert.id, edr.alert.status and rule.id, found %q, %q and %q", d.ID, a.ID, a.Status, doc.Rule.ID)
	}
	verdict, _ := a.Evidence["verdict"].(string)
	hosts := []string(a.Hosts)
	if hosts == nil {
		hosts = []string{}
	}
	act := Act{
		Schema: Schema, Requested: doc.Timestamp.UTC(),
		Alert: Alert{
			ID: a.ID, Status: a.Status, Kind: a.Kind, Severity: a.Severity, Scope: a.Scope, Key: a.Key, Reason: a.Reason,
			Count: a.Count, Denominator: a.Denominator, Hosts: hosts, Start: doc.Event.Start, EventID: doc.Event.ID,
		},
		Rule: Rule{ID: string(doc.Rule.ID), Name: string(doc.Rule.Name), Version: string(doc.Rule.Version)},
		Subject: Subject{
			Product: string(doc.Agent.Type), AgentID: string(doc.Agent.ID), SensorVersion: string(doc.Agent.Version), ContentVersion: string(c.Version),
			ContentChannel: string(c.Channel), OS: string(doc.Host.OS.Type), Site: a.Site, Verdict: verdict,
		},
	}
	act.Subject.suspect(a.Evidence)
	return act, nil
}

// with completes an act. Its id does not hold the document's: a further document
// of the same status asks for nothing new.
func (a Act) with(action, responder string, parameters map[string]string) Act {
	a.Action, a.Responder, a.Parameters = action, responder, parameters
	a.ID = id(a.Alert.ID, a.Alert.Status, action, responder)
	return a
}

// id is the id of an act.
func id(alert, status, action, responder string) string {
	return event.HashID(alert, status, action, responder)
}
