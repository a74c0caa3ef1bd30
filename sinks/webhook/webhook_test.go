package webhook

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/respond"
	"github.com/edrwatch/edrwatch/pipeline/secret"
)

var noon = time.Date(2024, 7, 19, 12, 0, 0, 0, time.UTC)

const key = "a secret of the receiver"

func settings() Settings {
	return Settings{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }}
}

func act() *respond.Act {
	return &respond.Act{
		Schema: respond.Schema, ID: "id1", Action: "pause_rollout", Responder: "soar", Requested: noon.Add(-time.Minute),
		Alert:   respond.Alert{ID: "al", Status: "firing", Kind: "bad_rollout", Severity: "critical", Scope: "fleet", Reason: "12 of 933 failed", Count: 12, Denominator: 933, Hosts: []string{"h1", "h2"}, Start: "2024-07-19T11:50:00Z"},
		Rule:    respond.Rule{ID: "r1", Name: "Bad rollout", Version: "1"},
		Subject: respond.Subject{Product: "crowdstrike-falcon", Verdict: "rollback"},
	}
}

func webhookTo(t *testing.T, url string) *Webhook {
	t.Helper()
	cfg := DefaultConfig()
	cfg.URL, cfg.AllowedHosts, cfg.AllowPrivate, cfg.Secret = url, []string{"127.0.0.1"}, true, secret.New(key)
	w, err := New(cfg, settings())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestWebhookIsSigned(t *testing.T) {
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	status, err := webhookTo(t, server.URL+"/hooks/edr").Send(t.Context(), act())
	if err != nil || status != http.StatusAccepted {
		t.Fatalf("%d, %v", status, err)
	}
	if err := Verify(key, got.Header.Get(SignatureHeader), body, noon.Add(time.Minute), 5*time.Minute); err != nil {
		t.Error(err)
	}
	var a respond.Act
	if err := json.Unmarshal(body, &a); err != nil || a.ID != "id1" || got.Header.Get("Idempotency-Key") != "id1" || got.URL.Path != "/hooks/edr" {
		t.Errorf("%v: %s", err, body)
	}
}

func TestWebhookTellsWhetherToTryAgain(t *testing.T) {
	for status, want := range map[int]fault.Class{
		http.StatusServiceUnavailable: fault.Transient, http.StatusTooManyRequests: fault.Transient, http.StatusUnauthorized: fault.Operator,
		http.StatusBadRequest: fault.Permanent, http.StatusFound: fault.Operator, http.StatusNotFound: fault.Operator,
	} {
		followed := false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			followed = followed || r.URL.Path != "/"
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		got, err := webhookTo(t, server.URL+"/").Send(t.Context(), act())
		if f := fault.Of(err); got != status || f == nil || f.Class != want || followed {
			t.Errorf("%d: status %d, %v, redirect followed: %t", status, got, err, followed)
		}
		server.Close()
	}
	if _, err := webhookTo(t, "http://127.0.0.1:1").Send(t.Context(), act()); fault.Of(err) == nil || fault.Of(err).Class != fault.Transient {
		t.Errorf("a receiver that is down: %v", err)
	}
}

func TestWebhookReachesPublicAddressesOnly(t *testing.T) {
	const public, inner, never = "public", "inner", "never"
	for address, want := range map[string]string{
		"8.8.8.8": public, "2606:4700::1111": public, "::ffff:8.8.8.8": public, "172.32.0.1": public, "100.128.0.1": public, "2001:4860::8888": public,
		"127.0.0.1": inner, "127.9.9.9": inner, "::1": inner, "10.1.2.3": inner, "172.16.0.1": inner, "172.31.255.255": inner, "192.168.1.1": inner,
		"100.64.0.1": inner, "::ffff:127.0.0.1": inner, "::ffff:10.0.0.1": inner, "fd00::1": inner, "198.18.0.1": inner, "2001:db8::1": inner,
		"169.254.169.254": never, "::ffff:169.254.169.254": never, "0.0.0.0": never, "::": never, "224.0.0.1": never, "ff02::1": never, "fe80::1": never,
		"fe80::1%eth0": never, "64:ff9b::a9fe:a9fe": never, "2002:7f00:1::": never, "2001::1": never, "::ffff:0:a9fe:a9fe": never, "::127.0.0.1": never, "::a9fe:a9fe": never,
		"255.255.255.255": never, "100.100.100.200": never, "168.63.129.16": never, "fd00:ec2::254": never,
	} {
		strict := newNetworks().refuse(netip.MustParseAddr(address), false)
		private := newNetworks().refuse(netip.MustParseAddr(address), true)
		if (strict == nil) != (want == public) || (private == nil) != (want != never) {
			t.Errorf("%s, which is %s: %v; with allow_private %v", address, want, strict, private)
		}
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the receiver was reached") }))
	defer server.Close()
	cfg := DefaultConfig()
	// The name is allowed and points to loopback, as one under foreign control may at any time.
	cfg.URL, cfg.AllowedHosts, cfg.Secret = strings.Replace(server.URL, "127.0.0.1", "localhost", 1), []string{"localhost"}, secret.New(key)
	w, err := New(cfg, settings())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Send(t.Context(), act()); err == nil || !strings.Contains(err.Error(), "not a public address") {
		t.Errorf("sent to loopback: %v", err)
	}
}

func TestMetadataIsOutOfReachOfPrivateReceiversToo(t *testing.T) {
	cfg := DefaultConfig()
	cfg.URL, cfg.AllowedHosts, cfg.AllowPrivate, cfg.Secret = "http://169.254.169.254/latest/meta-data", []string{"169.254.169.254"}, true, secret.New(key)
	w, err := New(cfg, settings())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Send(t.Context(), act()); err == nil || !strings.Contains(err.Error(), "metadata") {
		t.Errorf("expected a refusal, found %v", err)
	}
}

func TestErrorsKeepTheAddressOfAHookSecret(t *testing.T) {
	_, err := webhookTo(t, "http://127.0.0.1:1/services/canary").Send(t.Context(), act())
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("expected the host without the path, found %v", err)
	}
}

func TestCheckReachesReceiversWithoutAnAct(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
	}))
	defer server.Close()
	if err := webhookTo(t, server.URL+"/hook").Check(t.Context()); err != nil {
		t.Error(err)
	}
	err := webhookTo(t, "http://127.0.0.1:1/canary").Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "canary") {
		t.Errorf("a receiver that is down: %v", err)
	}
}

func TestConfigTellsWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"url: expected https":          func(c *Config) { c.URL = "http://soar.example.com" },
		"url: expected an address":     func(c *Config) { c.URL = "soar" },
		"allowed_hosts: expected an":   func(c *Config) { c.AllowedHosts = []string{"example.com"} },
		"secret: expected at least 16": func(c *Config) { c.Secret = secret.New("short") },
		"timeout: expected up to 1m":   func(c *Config) { c.Timeout = time.Hour },
		"carries credentials":          func(c *Config) { c.URL = "https://u:p@soar.example.com" },
	} {
		c := DefaultConfig()
		c.URL, c.AllowedHosts, c.Secret = "https://soar.example.com/hook", []string{".example.com"}, secret.New(key)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, found %v", want, err)
		}
	}
}

func TestAlertmanagerKnowsTheEndOfWhatBegan(t *testing.T) {
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.URL.Path+" "+string(body))
	}))
	defer server.Close()
	cfg := DefaultAlertmanagerConfig()
	cfg.URL, cfg.AllowedHosts, cfg.AllowPrivate, cfg.ConsoleURL, cfg.Labels = server.URL, []string{"127.0.0.1"}, true, "https://edrwatch.example.com", map[string]string{"team": "soc"}
	m, err := NewAlertmanager(cfg, settings())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var sent [2][]postable
	for i, status := range []string{"firing", "resolved"} {
		a := act()
		a.Alert.Status = status
		if code, err := m.Send(t.Context(), a); err != nil || code != http.StatusOK {
			t.Fatalf("%d, %v", code, err)
		}
		path, body, _ := strings.Cut(bodies[i], " ")
		if err := json.Unmarshal([]byte(body), &sent[i]); err != nil || path != "/api/v2/alerts" || len(sent[i]) != 1 {
			t.Fatalf("%s %s: %v", path, body, err)
		}
	}
	began, ended := sent[0][0], sent[1][0]
	for name, value := range began.Labels {
		if ended.Labels[name] != value {
			t.Errorf("label %s: %q, later %q: that is another alert", name, value, ended.Labels[name])
		}
	}
	if began.Labels["team"] != "soc" || began.Labels["alertname"] != "Bad rollout" || began.Annotations["concerned"] != "12 of 933" || !strings.HasSuffix(began.GeneratorURL, "/#/alerts?alert=al") {
		t.Errorf("alert %+v", began)
	}
	if began.EndsAt <= "2024-07-19T12" || ended.EndsAt != "2024-07-19T11:59:00Z" {
		t.Errorf("ends %s, later %s", began.EndsAt, ended.EndsAt)
	}
}

func TestSignatureIsVerified(t *testing.T) {
	body := []byte(`{"id":"1"}`)
	good := Sign(key, noon, body)
	for name, tc := range map[string]struct {
		header, secret, body string
		now                  time.Time
		want                 string
	}{
		"right":                 {good, key, string(body), noon, ""},
		"with one of a new key": {good + ",v1=00", key, string(body), noon, ""},
		"another key":           {good, "another secret key", string(body), noon, "none is right"},
		"another body":          {good, key, "{}", noon, "none is right"},
		"too old":               {good, key, string(body), noon.Add(time.Hour), "off the clock"},
		"from the future":       {good, key, string(body), noon.Add(-time.Hour), "off the clock"},
		"time moved":            {strings.Replace(good, "t=17", "t=16", 1), key, string(body), noon, "off the clock"},
		"empty":                 {"", key, string(body), noon, "expected name=value"},
		"two times":             {good + ",t=1", key, string(body), noon, "stands twice"},
		"no signature":          {"t=1721390400", key, string(body), noon, "none is right"},
		"longer than it can be": {strings.Repeat("v1=00,", 500), key, string(body), noon, "characters"},
	} {
		err := Verify(tc.secret, tc.header, []byte(tc.body), tc.now, 5*time.Minute)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: expected %q, found %v", name, tc.want, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(Sign(key, noon, []byte("{}")), []byte("{}"))
	f.Add("t=1,v1=00,v1=zz", []byte(""))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		if Verify(key, header, body, noon, time.Hour) == nil && Verify("another secret key", header, body, noon, time.Hour) == nil {
			t.Fatalf("%q is right under two keys", header)
		}
	})
}
