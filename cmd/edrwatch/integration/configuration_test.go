//go:build integration && linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

// configuration says how a gateway is configured; the zero value of each part
// is a plain one.
type configuration struct {
	kafka   string             // connection of source and dead letter instead of plain brokers, in lines
	more    string             // further keys of the Kafka source, in lines
	keyFile string             // API key of Elasticsearch
	hec     *testbed.HECServer // nil: no Splunk sink
}

// text is the configuration file of a gateway that serves the feed.
func (f *feed) text(c configuration) string {
	es := shared.elasticsearch(f.t)
	es.prepare(f.t, f.name)
	if c.kafka == "" {
		c.kafka = fmt.Sprintf("brokers: [%s]", strings.Join(f.brokers, ", "))
	}
	if c.keyFile == "" {
		c.keyFile = es.keyFile
	}
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
cluster: %s
log: {level: info, format: json}
http: {listen: "127.0.0.1:0", health_listen: "127.0.0.1:0"}
# The documents of records are counted here, to the last one.
gateway: {heartbeat: 0s}
fleet: {documents: 0s}
sources:
  - name: edr
    type: kafka
    group: %s
    topics: [%s]
    # A member that was killed is noticed after this time: the shortest that brokers permit.
    session_timeout: 6s
%s%ssinks:
%s`, cluster, f.group(), strings.Join(f.topics(), ", "), indent(c.kafka), indent(c.more),
		es.sink(f.name, c.keyFile))
	if c.hec != nil {
		fmt.Fprintf(&b, `  - name: splunk
    type: splunk
    urls: [%q]
    token: ${file:%s}
    index: edr
    tls: {ca_file: %q}
    ack: {enabled: true, interval: 100ms}
`, c.hec.URL(), secretFile(f.t, hecToken), c.hec.Certificates().CAFile)
	}
	fmt.Fprintf(&b, `dead_letter:
    type: kafka
    topic: %s
    max_message_bytes: 4MiB
%spipeline:
  retry: {min: 50ms, max: 1s}
rules: {library: false, directories: [%q]}
`, f.deadTopic(), indent(c.kafka), shared.rules)
	return b.String()
}

// hecToken is the token that the receiver, which takes any, must be shown.
const hecToken = "3e7c5a54-2b0c-4a6f-8d3e-5d6a2a1c9b10"

func indent(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

func secretFile(t testing.TB, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
