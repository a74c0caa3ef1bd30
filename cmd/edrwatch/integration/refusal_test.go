//go:build integration && linux

package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exitBadConfiguration is EX_CONFIG of sysexits.h.
const exitBadConfiguration = 78

// TestBadConfiguration ends at once with exit code 78 and says what is wrong.
func TestBadConfiguration(t *testing.T) {
	good := "version: 1\nsources: [{name: in, type: kafka, brokers: [\"127.0.0.1:1\"]}]\nsinks: [{name: out, type: store, path: %q}]\n" +
		"dead_letter: {type: file}\nhttp: {listen: \"127.0.0.1:0\", health_listen: \"127.0.0.1:0\"}\n"
	good = fmt.Sprintf(good, filepath.Join(t.TempDir(), "store.db"))
	rules, mappings := t.TempDir(), t.TempDir()
	write := func(dir, text string) {
		if err := os.WriteFile(filepath.Join(dir, "broken.yml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(rules, "id: broken\ntype: match\nseverty: high\n")
	write(mappings, "vendr: x\n")
	for _, test := range []struct {
		name, config string
		says         []string
	}{
		{"empty", "", []string{"edrwatch.yaml", "sources"}},
		{"binary", "\x00\x01\xff\xfe", []string{"edrwatch.yaml"}},
		{"unknown key", strings.Replace(good, "type: store", "type: store, pth: x", 1), []string{"edrwatch.yaml:3", "pth", "path"}},
		{"wrong type", strings.Replace(good, "brokers: [\"127.0.0.1:1\"]", "brokers: 5", 1), []string{"edrwatch.yaml:2", "expected list, found integer 5"}},
		{"no sinks", strings.Replace(good, "sinks: ", "# sinks: ", 1), []string{"sinks", "at least one"}},
		{"undefined variable", strings.Replace(good, "127.0.0.1:1", "${EDRWATCHLESS_BROKER}", 1), []string{"edrwatch.yaml:2", "EDRWATCHLESS_BROKER"}},
		{"secret in the file", strings.Replace(good, "type: kafka,", "type: kafka, sasl: {mechanism: PLAIN, username: u, password: hunter2},", 1),
			[]string{"edrwatch.yaml:2", "password", "${file:/path}"}},
		{"broken rule", good + fmt.Sprintf("rules: {directories: [%q]}\n", rules), []string{"broken.yml:3", "severty", "severity"}},
		{"broken mapping", good + fmt.Sprintf("mappings: {directories: [%q]}\n", mappings), []string{"broken.yml:1", "vendr", "vendor"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := launch(t, test.config)
			g.await(15 * time.Second)
			if code := g.state.ExitCode(); code != exitBadConfiguration {
				t.Errorf("exit code %d, expected %d", code, exitBadConfiguration)
			}
			text := g.log.String()
			for _, word := range test.says {
				if !strings.Contains(text, word) {
					t.Errorf("standard error does not say %q:\n%s", word, text)
				}
			}
			if strings.Contains(text, "hunter2") {
				t.Errorf("a secret is shown:\n%s", text)
			}
		})
	}
	t.Run("no such file", func(t *testing.T) {
		cmd := exec.Command(shared.binary, "run", "--config", filepath.Join(t.TempDir(), "none.yaml"))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitBadConfiguration || !strings.Contains(string(out), "none.yaml") {
			t.Errorf("%v, expected exit code %d and the name of the file:\n%s", err, exitBadConfiguration, out)
		}
	})
}

// TestTroubleWithKafka starts gateways that cannot read. They stay alive, are
// not ready, say why, and end in order when they get a signal.
func TestTroubleWithKafka(t *testing.T) {
	f := newFeed(t, "refused")
	security := f.server.Security()
	wrong := secretFile(t, "not-the-password")
	closed := closedPort(t)
	for _, test := range []struct {
		name, kafka string
		says        []string
	}{
		{"unreachable broker", fmt.Sprintf("brokers: [%s]", closed), []string{closed, "refused"}},
		{"wrong password, SCRAM", fmt.Sprintf("brokers: [%s]\nsasl: {mechanism: SCRAM-SHA-256, username: %s, password: \"${file:%s}\"}",
			security.SASL[0], security.User, wrong), []string{security.User, "password"}},
		{"wrong password, PLAIN over TLS", fmt.Sprintf(
			"brokers: [%s]\ntls: {enabled: true, ca_file: %q}\nsasl: {mechanism: PLAIN, username: %s, password: \"${file:%s}\"}",
			security.SASLTLS[0], security.CAFile, security.User, wrong), []string{security.User, "password"}},
		{"unknown authority", fmt.Sprintf("brokers: [%s]\ntls: {enabled: true}\nsasl: {mechanism: PLAIN, username: %s, password: \"${file:%s}\"}",
			security.SASLTLS[0], security.User, wrong), []string{"certificate", "ca_file"}},
		{"no client certificate", fmt.Sprintf("brokers: [%s]\ntls: {enabled: true, ca_file: %q}", security.MTLS[0], security.CAFile),
			[]string{"certificate", "cert_file"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sub := *f
			sub.t = t
			g := start(t, sub.text(configuration{kafka: test.kafka}))
			said := g.awaitReady(false, 20*time.Second)
			eventually(t, 20*time.Second, "naming the cause", func() error {
				for _, word := range test.says {
					if !strings.Contains(g.log.String(), word) {
						return fmt.Errorf("standard error does not say %q:\n%s", word, g.log.tail())
					}
				}
				return nil
			})
			if !strings.Contains(said, "edr") {
				t.Errorf("readiness does not name the source: %s", said)
			}
			if status, _, err := g.get("/livez"); err != nil || status != 200 {
				t.Errorf("the gateway is not alive: %v, status %d", err, status)
			}
			if strings.Contains(g.log.String(), "not-the-password") {
				t.Errorf("the password is shown:\n%s", g.log)
			}
			g.terminate(10 * time.Second)
		})
	}
}

// closedPort is an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

// TestMissingTopic starts a gateway before its topics are made. It says which
// are missing and reads them when they come.
func TestMissingTopic(t *testing.T) {
	c, want := shared.corpusAndExpectation(t)
	es := shared.elasticsearch(t)
	f := connect(t, "missing")
	f.createDeadTopic()
	g := start(t, f.text(configuration{more: "metadata_interval: 500ms"}))
	g.awaitReady(false, 20*time.Second)
	eventually(t, 20*time.Second, "naming the topics", func() error {
		for _, topic := range f.topics() {
			if !strings.Contains(g.log.String(), topic) {
				return fmt.Errorf("standard error does not say %q:\n%s", topic, g.log.tail())
			}
		}
		return nil
	})
	f.createTopics()
	few := c.part(0, 0.05)
	f.produce(few)
	g.awaitReady(true, 30*time.Second)
	f.awaitCommitted(time.Minute)
	got := es.documents(f)
	d := differences{what: "Elasticsearch"}
	for _, p := range want.partitions {
		for id, doc := range p.under(f, p.events) {
			if _, ok := got[id]; !ok && offsetOf(id) < f.produced[p.place] {
				d.add("document %s is missing: %.300s", id, doc)
			}
		}
	}
	d.report(t)
}

// TestWrongAPIKey keeps records in Kafka until an operator has put the right
// key into the file; no restart is needed.
func TestWrongAPIKey(t *testing.T) {
	c, _ := shared.corpusAndExpectation(t)
	es := shared.elasticsearch(t)
	f := newFeed(t, "key")
	few := c.part(0, 0.05)
	f.produce(few)
	key := secretFile(t, "bm90OmEta2V5LXRoYXQtZXhpc3Rz")
	g := start(t, f.text(configuration{keyFile: key}))
	said := g.awaitReady(false, 20*time.Second)
	for _, word := range []string{"elastic", "401", "API key"} {
		if !strings.Contains(said, word) {
			t.Errorf("readiness does not say %q: %s", word, said)
		}
		if !strings.Contains(g.log.String(), word) {
			t.Errorf("standard error does not say %q:\n%s", word, g.log.tail())
		}
	}
	if strings.Contains(g.log.String(), "bm90OmEta2V5") {
		t.Errorf("the key is shown:\n%s", g.log)
	}
	for at, offset := range f.committed() {
		if offset > 0 {
			t.Errorf("%v is committed up to %d although nothing could be written", at, offset)
		}
	}
	right, err := os.ReadFile(es.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, right, 0o600); err != nil {
		t.Fatal(err)
	}
	g.awaitReady(true, 30*time.Second)
	f.awaitCommitted(time.Minute)
	g.checkConservation()
}
