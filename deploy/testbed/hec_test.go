//go:build integration && unix

package testbed_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

func TestHECReceivesEvents(t *testing.T) {
	hec := testbed.HEC(t)
	for _, test := range []struct {
		name, method, path, body string
		gzip                     bool
		status                   int
		contains                 string
	}{
		{"health", "GET", "/services/collector/health", "", false, 200, "HEC is healthy"},
		{"event", "POST", "/services/collector/event", `{"time":1721362140.5,"host":"pc-1","source":"edrwatch","sourcetype":"edrwatch:event","index":"edr","event":{"agent":{"id":"a1"}},"fields":{"severity":"high"}}`, false, 200, "Success"},
		{"two events, gzip", "POST", "/services/collector/event", `{"event":"one"}` + "\n" + `{"event":"two"}`, true, 200, "Success"},
		{"no data", "POST", "/services/collector/event", "", false, 400, `"code":5`},
		{"event missing", "POST", "/services/collector/event", `{"host":"pc-1"}`, false, 400, `"code":12`},
		{"garbage", "POST", "/services/collector/event", `{{`, false, 400, `"code":6`},
	} {
		status, answer := post(t, http.DefaultClient, test.method, hec.URL()+test.path, test.body, test.gzip, "")
		if status != test.status || !strings.Contains(answer, test.contains) {
			t.Errorf("%s: status %d, expected %d with %s: %s", test.name, status, test.status, test.contains, answer)
		}
	}

	hec.Kill(t)
	hec.Restart(t)
	post(t, http.DefaultClient, "POST", hec.URL()+"/services/collector/event", `{"event":"three"}`, false, "")

	events := hec.Events(t)
	var bodies []string
	for _, e := range events {
		bodies = append(bodies, string(e.Event))
	}
	if got, want := strings.Join(bodies, " "), `{"agent":{"id":"a1"}} "one" "two" "three"`; got != want {
		t.Fatalf("events %s, expected %s", got, want)
	}
	first := events[0]
	if got, want := fmt.Sprint(first.Time, first.Host, first.Index, first.Source, first.SourceType, first.Token, first.Fields),
		"1.7213621405e+09 pc-1 edr edrwatch edrwatch:event secret map[severity:high]"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("first event: %s, expected %s", got, want)
	}
}

func TestHECAcknowledgesOverTLS(t *testing.T) {
	hec := testbed.HEC(t, testbed.HECAck(), testbed.HECTLS())
	pem, err := os.ReadFile(hec.Certificates().CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	const channel = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba"
	for _, test := range []struct{ path, body, channel, contains string }{
		{"/services/collector/event", `{"event":"one"}`, channel, `"ackId": 1`},
		{"/services/collector/event", `{"event":"two"}`, channel, `"ackId": 2`},
		{"/services/collector/ack", `{"acks":[1,2,3]}`, channel, `"1":true,"2":true,"3":false`},
		{"/services/collector/ack", `{"acks":[1]}`, "", `"code":10`},
		{"/services/collector/ack", `{"acks":[1]}`, "no-uuid", `"code": 11`},
	} {
		if _, answer := post(t, client, "POST", hec.URL()+test.path, test.body, false, test.channel); !strings.Contains(answer, test.contains) {
			t.Errorf("%s %s on channel %q: expected %s, found %s", test.path, test.body, test.channel, test.contains, answer)
		}
	}
	if n := len(hec.Events(t)); n != 2 {
		t.Errorf("%d events, expected 2", n)
	}
}

func post(t *testing.T, client *http.Client, method, url, body string, compress bool, channel string) (int, string) {
	t.Helper()
	var buf bytes.Buffer
	if compress {
		w := gzip.NewWriter(&buf)
		_, _ = io.WriteString(w, body)
		_ = w.Close()
	} else {
		buf.WriteString(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, &buf)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Splunk secret")
	if compress {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if channel != "" {
		req.Header.Set("X-Splunk-Request-Channel", channel)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}
