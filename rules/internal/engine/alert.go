package engine

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/fleet/identity"
)

// MaxHosts bounds the list of hosts of an alert; the evidence says when it was
// cut.
const MaxHosts = 100

// GroupAlert is the alert about many agents that stands for those about each of
// them.
type GroupAlert struct {
	Episode
	Folded int64 // Alerts of single agents that were not raised.
}

// Alert is what a state wants to say.
type Alert struct {
	At          int64 // When it is raised, on the clock.
	End         int64 // 0: the same as at.
	Status      string
	Key         string
	Denominator int64 // 0: none.
	Hosts       []string
	HostsTotal  int
	Reason      string
	Evidence    []Evidence
	Entity      *Entity
	Source      *event.Event // The event that raised it; nil for a timer.
	AgentType   string       // For an alert about a cohort.
	Finding     *fleet.Finding
	Scope       string // "": that of the rule.
	partial     bool   // A partition was not waited for, or there were more matches than a step tells of.
	incident    bool   // It stands for others of the rule.
	notice      bool   // It is about the rule itself, which silence does not hold back.
}

// Evidence is one entry of the evidence; the value is JSON.
type Evidence struct{ Name, JSON string }

// Text is evidence that is a text.
func Text(name, value string) Evidence {
	return Evidence{name, string(event.AppendString(nil, value))}
}

// Number is evidence that is a whole number.
func Number(name string, n int64) Evidence { return Evidence{name, strconv.FormatInt(n, 10)} }

// alertWriter fills the alert documents of a session.
type alertWriter struct {
	doc *event.Event
	buf []byte
}

func (w *alertWriter) init(dict *ecs.Dictionary) { w.doc = event.New(dict) }

// raise writes one document of an episode.
func (s *Session) raise(r *Rule, ep *Episode, a *Alert) {
	if s.nearMisses != nil && a.Status == "firing" && !a.notice {
		s.nearMisses.fired(r, a.Key)
	}
	if s.heldBack(r, ep, a) {
		ep.Sequence++
		s.counters[r.number].Shadowed++
		return
	}
	parent := ""
	if r.rollup != nil && !s.wide && !a.incident && !a.notice {
		parent = s.foldInto(r, ep, a)
	}
	if ep.severity == "" {
		ep.severity, ep.risk = r.weigh(a.Source)
	}
	a.partial = s.wide && s.incomplete(r)
	d := s.writer.doc
	d.Reset()
	status := a.Status
	d.Set(ecs.Timestamp, event.Time(a.At))
	d.SetString(ecs.EcsVersion, ecs.Version)
	d.SetString(ecs.EventKind, "alert")
	d.SetString(ecs.EventAction, "alert")
	d.SetString(ecs.EventModule, "edrwatch")
	d.SetString(ecs.EventDataset, "edr.alerts")
	d.SetString(ecs.EventID, event.HashID(ep.ID, status, strconv.Itoa(int(ep.Sequence))))
	d.Set(ecs.EventSeverity, event.Int(ecs.SeverityNumber(ep.severity)))
	d.Set(ecs.EventRiskScore, event.Float(ep.risk))
	d.Set(ecs.EventStart, event.Time(ep.Start))
	end := a.End
	if end == 0 {
		end = a.At
	}
	d.Set(ecs.EventEnd, event.Time(max(end, ep.Start)))
	d.SetString(ecs.RuleID, r.ID)
	d.SetString(ecs.RuleName, r.Name)
	d.SetString(ecs.RuleVersion, strconv.Itoa(r.Version))
	d.SetString(ecs.RuleCategory, r.Kind)
	if r.Description != "" {
		d.SetString(ecs.RuleDescription, r.Description)
	}
	d.SetString(ecs.EDRAlertID, ep.ID)
	d.SetString(ecs.EDRAlertKind, r.Kind)
	d.SetString(ecs.EDRAlertSeverity, ep.severity)
	d.SetString(ecs.EDRAlertStatus, status)
	d.SetString(ecs.EDRAlertScope, cmp.Or(a.Scope, r.Scope))
	setString(d, ecs.EDRAlertParent, parent)
	d.SetString(ecs.EDRAlertReason, a.Reason)
	d.SetString(ecs.Message, r.Name+": "+a.Reason)
	if a.Key != "" {
		d.SetString(ecs.EDRAlertKey, a.Key)
	}
	d.Set(ecs.EDRAlertCount, event.Int(ep.Count))
	if a.Denominator > 0 {
		d.Set(ecs.EDRAlertDenominator, event.Int(a.Denominator))
	}
	if a.Finding != nil && a.Finding.Partial {
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
	ep.Sequence++
	s.counters[r.number].Alerts++
	if s.emit != nil {
		s.emit(d)
	}
}

// describeSubject names the agent and the hosts that the alert is about.
func (s *Session) describeSubject(d *event.Event, a *Alert) {
	if n := a.Entity; n != nil {
		setString(d, ecs.EDREntityID, identity.Of(n.Type, n.ID, n.HostID, n.HostName).String())
		setString(d, ecs.AgentID, n.ID)
		setString(d, ecs.AgentType, n.Type)
		setString(d, ecs.AgentVersion, n.Version)
		setString(d, ecs.HostName, n.HostName)
		setString(d, ecs.HostID, n.HostID)
		setString(d, ecs.HostType, n.HostType)
		setString(d, ecs.HostOSType, n.OSType)
		setString(d, ecs.EDRContentVersion, n.Content)
		if len(a.Hosts) == 0 {
			a.Hosts = []string{n.HostLabel()}
		}
		if a.Source != nil {
			for id, v := range a.Source.Fields {
				if s.set.subject[id] {
					d.Set(id, *v)
				}
			}
		}
	}
	setString(d, ecs.AgentType, a.AgentType)
	if f := a.Finding; f != nil {
		setString(d, ecs.AgentVersion, f.Sensor)
		setString(d, ecs.EDRContentVersion, f.Content)
		setString(d, ecs.EDRContentChannel, f.Channel)
		setString(d, ecs.HostOSType, f.OS)
		setString(d, ecs.EDRAlertSite, f.Site)
	}
	if len(a.Hosts) > 0 {
		hosts := a.Hosts[:min(len(a.Hosts), MaxHosts)]
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
func (w *alertWriter) evidence(r *Rule, a *Alert) string {
	pairs := append([]Evidence{Text("type", r.Type)}, a.Evidence...)
	if a.partial {
		pairs = append(pairs, Evidence{"partial", "true"})
	}
	if a.HostsTotal > MaxHosts {
		pairs = append(pairs, Number("hosts_total", int64(a.HostsTotal)), Number("hosts_listed", MaxHosts))
	}
	b := w.buf[:0]
	for i, p := range pairs {
		if i == 0 {
			b = append(b, '{')
		} else {
			b = append(b, ',')
		}
		b = event.AppendString(b, p.Name)
		b = append(b, ':')
		b = append(b, p.JSON...)
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

// Float is evidence that is a measured number.
func Float(name string, f float64) Evidence {
	return Evidence{name, string(event.AppendFloat(nil, f))}
}
