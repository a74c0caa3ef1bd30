package kafkaconn

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
)

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"default":           {func(*Config) {}, ""},
		"no brokers":        {func(c *Config) { c.Brokers = nil }, "brokers: expected at least one"},
		"no port":           {func(c *Config) { c.Brokers = []string{"kafka"} }, "brokers: expected host:port"},
		"a URL":             {func(c *Config) { c.Brokers = []string{"kafka://h:9092"} }, "brokers: expected host:port"},
		"no timeout":        {func(c *Config) { c.DialTimeout = 0 }, "dial_timeout"},
		"TLS off":           {func(c *Config) { c.TLS.Config = tlsconf.Config{CAFile: "ca.pem"} }, "set tls.enabled"},
		"half a key pair":   {func(c *Config) { c.TLS = TLS{true, tlsconf.Config{CertFile: "c.pem"}} }, "belong together"},
		"unknown mechanism": {func(c *Config) { c.SASL.Mechanism = "oauth" }, `found "oauth"`},
		"no password":       {func(c *Config) { c.SASL = SASL{Mechanism: Plain, Username: "u"} }, "expected username and password"},
		"no mechanism":      {func(c *Config) { c.SASL.Username = "u" }, "found none"},
		"scram": {func(c *Config) {
			c.SASL = SASL{Mechanism: ScramSHA512, Username: "u", Password: secret.New("p")}
		}, ""},
	} {
		c := DefaultConfig()
		test.change(&c)
		err := c.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestReadsFromAFile(t *testing.T) {
	node, err := strict.ParseOne("c.yml", []byte("brokers: [k:9093]\ntls:\n  enabled: true\n  ca_file: ca.pem\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	if err := node.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if !c.TLS.Enabled || c.TLS.CAFile != "ca.pem" || c.ClientID != "edrwatch" {
		t.Errorf("decoded %+v", c)
	}
}

func TestPasswordIsReadForEachConnection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	password, err := secret.FromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.SASL = SASL{Mechanism: Plain, Username: "u", Password: password}
	m := c.mechanism(slog.New(slog.DiscardHandler))
	if err := os.WriteFile(file, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, first, err := m.Start(t.Context())
	if err != nil || string(first) != "\x00u\x00new" {
		t.Errorf("PLAIN starts with %q (%v), want the new password", first, err)
	}
	if m.Name() != "PLAIN" {
		t.Errorf("mechanism is called %q", m.Name())
	}
}
