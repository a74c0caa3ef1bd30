package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/respond"
)

// Alertmanager tells an Alertmanager of alerts (API v2, POST /api/v2/alerts:
// github.com/prometheus/alertmanager, api/v2/openapi.yaml). An alert is known
// there by its labels, which hold edr.alert.id: its end arrives at the same one.
// It is safe for concurrent use.
type Alertmanager struct {
	cfg    AlertmanagerConfig
	url    string
	client *http.Client
	now    func() time.Time
}

// NewAlertmanager returns a responder; it does not connect.
func NewAlertmanager(cfg AlertmanagerConfig, set Settings) (*Alertmanager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := newClient(cfg.TLS, cfg.AllowPrivate, cfg.Timeout, set.Logger)
	if err != nil {
		return nil, err
	}
	return &Alertmanager{cfg, strings.TrimSuffix(cfg.URL, "/") + "/api/v2/alerts", client, set.Now}, nil
}

// postable is an alert as the API takes it.
type postable struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt,omitempty"`
	EndsAt       string            `json:"endsAt,omitempty"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// firingFor is how long an Alertmanager keeps an alert as firing that nobody
// sends again: edrwatch tells of the end itself, its own death included, after
// which nobody does.
const firingFor = 24 * time.Hour

func (m *Alertmanager) alert(a *respond.Act) postable {
	p := postable{Labels: map[string]string{}, Annotations: map[string]string{}, StartsAt: a.Alert.Start}
	put := func(to map[string]string, name, value string) {
		if value != "" {
			to[name] = value
		}
	}
	for name, value := range m.cfg.Labels {
		put(p.Labels, name, value)
	}
	put(p.Labels, "alertname", a.Rule.Name)
	put(p.Labels, "severity", a.Alert.Severity)
	put(p.Labels, "kind", a.Alert.Kind)
	put(p.Labels, "scope", a.Alert.Scope)
	put(p.Labels, "product", a.Subject.Product)
	put(p.Labels, "site", a.Subject.Site)
	put(p.Labels, "rule_id", a.Rule.ID)
	put(p.Labels, "alert_id", a.Alert.ID)
	if len(a.Alert.Hosts) == 1 {
		put(p.Labels, "host", a.Alert.Hosts[0])
	}
	put(p.Annotations, "summary", a.Alert.Reason)
	put(p.Annotations, "verdict", a.Subject.Verdict)
	put(p.Annotations, "hosts", strings.Join(a.Alert.Hosts[:min(len(a.Alert.Hosts), 20)], ", "))
	if a.Alert.Count > 0 && a.Alert.Denominator > 0 {
		p.Annotations["concerned"] = fmt.Sprintf("%d of %d", a.Alert.Count, a.Alert.Denominator)
	}
	ends := a.Requested.Add(firingFor)
	if a.Alert.Status == "resolved" {
		ends = a.Requested
	}
	p.EndsAt = ends.UTC().Format(time.RFC3339Nano)
	if m.cfg.ConsoleURL != "" {
		p.GeneratorURL = strings.TrimSuffix(m.cfg.ConsoleURL, "/") + "/#/alerts?alert=" + url.QueryEscape(a.Alert.ID)
	}
	return p
}

// Send implements respond.Responder.
func (m *Alertmanager) Send(ctx context.Context, a *respond.Act) (int, error) {
	body, err := json.Marshal([]postable{m.alert(a)})
	if err != nil {
		return 0, fault.New(fault.Permanent, fault.Internal, "encoding an alert: %v", err)
	}
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"edrwatch"}}
	if token := m.cfg.Token.Reveal(); token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return post(ctx, m.client, m.url, header, body, m.now())
}

// Check reports whether the Alertmanager can be reached.
func (m *Alertmanager) Check(ctx context.Context) error { return check(ctx, m.client, m.cfg.URL) }

// Close ends idle connections.
func (m *Alertmanager) Close() error {
	m.client.CloseIdleConnections()
	return nil
}
