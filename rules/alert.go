package rules

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// maxHosts bounds the list of hosts of an alert; the evidence says when it was
// cut.
const maxHosts = 100

// episode is one life of an alert: from firing to resolved. All its documents
// carry the same edr.alert.id.
type episode struct {
	id       string
	start    int64 // Event time of what began it.
	count    int64
	sequence int // Documents written.

	severity string // Of the first document; the others keep it.
	risk     float64
}

// alert is what a state wants to say.
type alert struct {
	at          int64 // When it is raised, on the clock.
	end         int64 // 0: the same as at.
	status      string
	key         string
	denominator int64 // 0: none.
	hosts       []string
	hostsTotal  int
	reason      string
	evidence    []pair
	entity      *entity
	source      *event.Event // The event that raised it; nil for a timer.
	agentType   string       // For an alert about a cohort.
	finding     *fleet.Finding
	scope       string // "": that of the rule.
	incident    bool   // It stands for others of the rule.
	notice      bool   // It is about the rule itself, which silence does not hold back.
}

// pair is one entry of the evidence; the value is JSON.
type pair struct{ name, json string }

func text(name, value string) pair {
	return pair{name, string(event.AppendString(nil, value))}
}

func number(name string, n int64) pair { return pair{name, strconv.FormatInt(n, 10)} }

// fieldList is a list of strings for a field of every alert of a rule.
type fieldList struct {
	field  ecs.ID
	values []string
}

// alertWriter fills the alert documents of a session.
type alertWriter struct {
	doc *event.Event
	buf []byte
}

func (w *alertWriter) init(dict *ecs.Dictionary) { w.doc = event.New(dict) }

// begin starts an episode. What further distinguishes it may be empty.
func begin(r *Rule, key string, start int64, further string) episode {
	return episode{
		id:    event.HashID(r.ID, strconv.Itoa(r.Version), key, strconv.FormatInt(start, 10), further),
		start: start,
	}
}

// raise writes one document of an episode.
func (s *Session) raise(r *Rule, ep *episode, a *alert) {
	if s.near != nil && a.status == "firing" && !a.notice {
		s.near.fired(r, a.key)
	}
	if s.heldBack(r, ep, a) {
		ep.sequence++
		s.counters[r.number].Shadowed++
		return
	}
	parent := ""
	if fold := s.rollups[r.number]; fold != nil && !a.incident && !a.notice {
		parent = fold.fold(ep, a)
	}
	if ep.severity == "" {
		ep.severity, ep.risk = r.weigh(a.source)
	}
	d := s.writer.doc
	d.Reset()
	status := a.status
	d.Set(ecs.Timestamp, event.Time(a.at))
	d.SetString(ecs.EcsVersion, ecs.Version)
	d.SetString(ecs.EventKind, "alert")
	d.SetString(ecs.EventAction, "alert")
	d.SetString(ecs.EventModule, "edrwatch")
	d.SetString(ecs.EventDataset, "edr.alerts")
	d.SetString(ecs.EventID, event.HashID(ep.id, status, strconv.Itoa(ep.sequence)))
	d.Set(ecs.EventSeverity, event.Int(ecs.SeverityNumber(ep.severity)))
	d.Set(ecs.EventRiskScore, event.Float(ep.risk))
	d.Set(ecs.EventStart, event.Time(ep.start))
	end := a.end
	if end == 0 {
		end = a.at
	}
	d.Set(ecs.EventEnd, event.Time(max(end, ep.start)))
	d.SetString(ecs.RuleID, r.ID)
	d.SetString(ecs.RuleName, r.Name)
	d.SetString(ecs.RuleVersion, strconv.Itoa(r.Version))
	d.SetString(ecs.RuleCategory, r.Kind)
	if r.Description != "" {
		d.SetString(ecs.RuleDescription, r.Description)
	}
	d.SetString(ecs.EDRAlertID, ep.id)
	d.SetString(ecs.EDRAlertKind, r.Kind)
	d.SetString(ecs.EDRAlertSeverity, ep.severity)
	d.SetString(ecs.EDRAlertStatus, status)
	d.SetString(ecs.EDRAlertScope, cmp.Or(a.scope, r.Scope))
	setString(d, ecs.EDRAlertParent, parent)
	d.SetString(ecs.EDRAlertReason, a.reason)
	d.SetString(ecs.Message, r.Name+": "+a.reason)
	if a.key != "" {
		d.SetString(ecs.EDRAlertKey, a.key)
	}
	d.Set(ecs.EDRAlertCount, event.Int(ep.count))
	if a.denominator > 0 {
		d.Set(ecs.EDRAlertDenominator, event.Int(a.denominator))
	}
	if a.finding != nil && a.finding.Partial {
		d.Set(ecs.EDRAlertPartial, event.Bool(true))
	}
	if len(r.Tags) > 0 {
		d.Set(ecs.Tags, event.StringList(r.Tags))
	}
	for _, f := range r.threat {
		if s.set.dict.Field(f.field).Array {
			d.Set(f.field, event.StringList(f.values))
		} else {
			d.SetString(f.field, f.values[0])
		}
	}
	s.describeSubject(d, a)
	d.Set(ecs.EDRAlertEvidence, event.JSON(s.writer.evidence(r, a)))
	ep.sequence++
	s.counters[r.number].Alerts++
	if s.emit != nil {
		s.emit(d)
	}
}

// describeSubject names the agent and the hosts that the alert is about.
func (s *Session) describeSubject(d *event.Event, a *alert) {
	if n := a.entity; n != nil {
		setString(d, ecs.AgentID, n.ID)
		setString(d, ecs.AgentType, n.Type)
		setString(d, ecs.AgentVersion, n.Version)
		setString(d, ecs.HostName, n.HostName)
		setString(d, ecs.HostID, n.HostID)
		setString(d, ecs.HostType, n.HostType)
		setString(d, ecs.HostOSType, n.OSType)
		setString(d, ecs.EDRContentVersion, n.Content)
		if len(a.hosts) == 0 {
			a.hosts = []string{n.name()}
		}
		if a.source != nil {
			for id, v := range a.source.Fields {
				if s.set.subject[id] {
					d.Set(id, *v)
				}
			}
		}
	}
	setString(d, ecs.AgentType, a.agentType)
	if f := a.finding; f != nil {
		setString(d, ecs.AgentVersion, f.Sensor)
		setString(d, ecs.EDRContentVersion, f.Content)
		setString(d, ecs.EDRContentChannel, f.Channel)
		setString(d, ecs.HostOSType, f.OS)
		setString(d, ecs.EDRAlertSite, f.Site)
	}
	if len(a.hosts) > 0 {
		hosts := a.hosts[:min(len(a.hosts), maxHosts)]
		d.Set(ecs.EDRAlertHosts, event.StringList(hosts))
		d.Set(ecs.RelatedHosts, event.StringList(hosts))
	}
}

func setString(d *event.Event, id ecs.ID, s string) {
	if s != "" {
		d.SetString(id, s)
	}
}

// evidence writes the pairs as a JSON object.
func (w *alertWriter) evidence(r *Rule, a *alert) string {
	pairs := append([]pair{text("type", r.Type)}, a.evidence...)
	if a.hostsTotal > maxHosts {
		pairs = append(pairs, number("hosts_total", int64(a.hostsTotal)), number("hosts_listed", maxHosts))
	}
	b := w.buf[:0]
	for i, p := range pairs {
		if i == 0 {
			b = append(b, '{')
		} else {
			b = append(b, ',')
		}
		b = event.AppendString(b, p.name)
		b = append(b, ':')
		b = append(b, p.json...)
	}
	w.buf = append(b, '}')
	return event.View(w.buf)
}

// subjectFields marks the fields that say who an event is about.
func subjectFields(dict *ecs.Dictionary) []bool {
	marks := make([]bool, dict.Len())
	for i := range marks {
		name := dict.Field(ecs.ID(i)).Name
		marks[i] = strings.HasPrefix(name, "host.") || strings.HasPrefix(name, "agent.") || strings.HasPrefix(name, "observer.")
	}
	return marks
}

// threatFields flattens a rule's threat entries into ECS's lists.
func threatFields(threats []Threat) []fieldList {
	var list []fieldList
	add := func(field ecs.ID, value string) {
		if value == "" {
			return
		}
		for i := range list {
			if list[i].field == field {
				list[i].values = append(list[i].values, value)
				return
			}
		}
		list = append(list, fieldList{field, []string{value}})
	}
	for i, t := range threats {
		if i == 0 {
			add(ecs.ThreatFramework, t.Framework)
		}
		add(ecs.ThreatTacticID, t.Tactic.ID)
		add(ecs.ThreatTacticName, t.Tactic.Name)
		add(ecs.ThreatTacticReference, t.Tactic.Reference)
		for _, technique := range t.Technique {
			add(ecs.ThreatTechniqueID, technique.ID)
			add(ecs.ThreatTechniqueName, technique.Name)
			add(ecs.ThreatTechniqueReference, technique.Reference)
			for _, sub := range technique.Subtechnique {
				add(ecs.ThreatTechniqueSubtechniqueID, sub.ID)
				add(ecs.ThreatTechniqueSubtechniqueName, sub.Name)
				add(ecs.ThreatTechniqueSubtechniqueReference, sub.Reference)
			}
		}
	}
	return list
}
