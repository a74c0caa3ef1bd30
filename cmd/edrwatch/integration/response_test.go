//go:build integration && linux

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/respond"
	"github.com/edrwatch/edrwatch/sinks/webhook"
)

const responseSecret = "a secret of the receiver"

// soar is a receiver of webhooks. It verifies them, and from its limit on it
// takes requests without ever answering, until the test lets it.
type soar struct {
	mu       sync.Mutex
	acts     map[string]int // requests, by id of the act
	bad      []string       // what was wrong with requests
	limit    int            // acts until it hangs; negative: none
	answered int
	hangs    chan struct{} // closed when it begins to hang
	free     chan struct{} // closed to let go of what hangs
}

func newSOAR(limit int) *soar {
	return &soar{acts: map[string]int{}, limit: limit, hangs: make(chan struct{}), free: make(chan struct{})}
}

func (s *soar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var a respond.Act
	err = errors.Join(err, json.Unmarshal(body, &a),
		webhook.Verify(responseSecret, r.Header.Get(webhook.SignatureHeader), body, time.Now(), 5*time.Minute))
	s.mu.Lock()
	if err != nil || a.ID != r.Header.Get("Idempotency-Key") {
		s.bad = append(s.bad, fmt.Sprintf("%v: %s", err, body))
	}
	s.acts[a.ID]++
	hang := s.answered == s.limit
	if hang && s.acts[a.ID] == 1 {
		close(s.hangs)
	}
	if !hang {
		s.answered++
	}
	s.mu.Unlock()
	if hang {
		select {
		case <-s.free:
		case <-r.Context().Done():
		}
	}
}

// recover makes the receiver answer from now on.
func (s *soar) recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = -1
	close(s.free)
}

func responseConfiguration(t testing.TB, f *feed, address string) string {
	t.Helper()
	dir := t.TempDir()
	rule := `id: 5a0b7c1e-8f0e-4f55-9f0b-2c6f1f7c0001
name: Content does not arrive
version: 1
kind: other
type: match
severity: high
maturity: beta
description: An agent could not get its content.
condition: event.action == "content-update-failed"
respond:
  - {action: pause_rollout}
`
	if err := os.WriteFile(filepath.Join(dir, "rule.yml"), []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`version: 1
cluster: %s
log: {level: info, format: json}
http: {listen: "127.0.0.1:0", health_listen: "127.0.0.1:0"}
sources:
  - name: edr
    type: kafka
    group: %s
    brokers: [%q]
    topics: [%s]
    session_timeout: 6s
    commit_interval: 200ms
sinks:
  - {name: out, type: file, path: %q}
dead_letter: {type: kafka, brokers: [%[3]q], topic: %[6]s}
pipeline:
  retry: {min: 50ms, max: 1s}
rules: {library: false, directories: [%[7]q]}
fleet: {exchange: {brokers: [%[3]q], topic: %[12]s, group: %[2]s-judge}}
state: {brokers: [%[3]q], topic: %[11]s, interval: 1s}
responses: {enabled: true, required: true, max_per_hour: 1000}
responders:
  - {name: worker, type: kafka, brokers: [%[3]q], topic: %[8]s}
  - {name: soar, type: webhook, url: "%[9]s/hook", allowed_hosts: [127.0.0.1], allow_private: true, secret: "${file:%[10]s}"}
`, cluster, f.group(), f.brokers[0], f.topic("clamav"), filepath.Join(dir, "out.ndjson"), f.deadTopic(), dir,
		f.topic("responses"), address, secretFile(t, responseSecret), f.topic("state"), f.topic("fleet"))
}

// TestResponsesSurviveAKill kills the gateway while a receiver keeps it
// waiting, and before the offsets of what it did are committed. Every act of
// every alert arrives at both receivers; none that was answered arrives again,
// and the one in the middle has the id that it had.
func TestResponsesSurviveAKill(t *testing.T) {
	const alerts, before = 20, 7
	f := connect(t, "respond")
	f.createDeadTopic()
	f.server.CreateTopic(t, f.topic("clamav"), 1)
	f.server.CreateTopic(t, f.topic("responses"), 3)
	f.server.CreateTopic(t, f.topic("fleet"), 1)
	f.server.CreateTopic(t, f.topic("state"), 3, "cleanup.policy", "compact")
	receiver := newSOAR(before)
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	began := time.Now().Add(-time.Minute).Truncate(time.Second)
	var records []record
	for i := range alerts {
		at := began.Add(time.Duration(i) * time.Second)
		records = append(records, record{time: at.UnixMilli(), key: fmt.Append(nil, "host-", i), value: fmt.Appendf(nil,
			`{"@timestamp":%q,"host":{"name":"host-%d"},"message":"%s -> ERROR: Can't download daily.cvd from https://database.example.com/daily.cvd"}`,
			at.UTC().Format(time.RFC3339), i, at.UTC().Format(time.ANSIC))})
	}
	f.produceBatch(place{"clamav", 0}, records, 0)

	text := responseConfiguration(t, f, server.URL)
	first := start(t, text)
	select {
	case <-receiver.hangs:
	case <-first.ended:
		t.Fatalf("the gateway ended\n%s", first.log.tail())
	case <-time.After(time.Minute):
		t.Fatalf("the receiver was not asked %d times\n%s", before+1, first.log.tail())
	}
	if n := f.committedOf("clamav"); n >= alerts {
		t.Errorf("offset %d is committed while a receiver does not have what it was asked for", n)
	}
	first.kill()
	receiver.recover()

	second := start(t, text)
	eventually(t, time.Minute, "committing the offset of the last alert", func() error {
		if n := f.committedOf("clamav"); n != alerts {
			return fmt.Errorf("%d of %d", n, alerts)
		}
		return nil
	})
	s := second.scrape()
	if n := s.sum("edrwatch_responses_total", "outcome", "failed") + s.sum("edrwatch_responses_total", "outcome", "suppressed"); n != 0 {
		t.Errorf("%.0f acts failed or were suppressed", n)
	}
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	for _, bad := range receiver.bad {
		t.Error(bad)
	}
	checkActs(t, "the webhook", receiver.acts, alerts)
	if twice := repeated(receiver.acts); twice > 1 {
		t.Errorf("the webhook got %d acts twice, want only the one that it had not answered", twice)
	}
	topic, inTopic := map[string]bool{}, map[string]int{}
	for _, m := range f.contents(f.topic("responses"), 3) {
		var a respond.Act
		if err := json.Unmarshal(m.Value, &a); err != nil {
			t.Fatal(err)
		}
		if a.Schema != respond.Schema || a.Action != "pause_rollout" || a.Alert.Status != "firing" || a.Subject.Product != "clamav" || string(m.Key) != "clamav" {
			t.Errorf("key %s: %s", m.Key, m.Value)
		}
		topic[a.Alert.ID] = true
		inTopic[a.ID]++
	}
	checkActs(t, "the topic", inTopic, alerts)
	if twice := repeated(inTopic); twice > 1 {
		t.Errorf("%d acts are in the topic twice, want at most the one that was not noted yet", twice)
	}
	if len(topic) != alerts {
		t.Errorf("the topic tells of %d alerts, want %d", len(topic), alerts)
	}
	if letters := f.letters(); len(letters) > 0 {
		t.Errorf("%d dead letters, the first: %s", len(letters), letters[0].Value)
	}
}

// checkActs holds that every act arrived, and after one kill twice at most.
func checkActs(t *testing.T, where string, times map[string]int, want int) {
	t.Helper()
	if len(times) != want {
		t.Errorf("%s got %d acts, want %d", where, len(times), want)
	}
	for id, n := range times {
		if n > 2 {
			t.Errorf("%s got act %s %d times", where, id, n)
		}
	}
}

// repeated counts the acts that arrived more than once.
func repeated(times map[string]int) (n int) {
	for _, k := range times {
		if k > 1 {
			n++
		}
	}
	return n
}

// committedOf is the group's offset in the one partition of a topic; 0 without.
func (f *feed) committedOf(topic string) int64 {
	f.t.Helper()
	name := f.topic(topic)
	answer, err := f.client.OffsetFetch(f.t.Context(), &kafka.OffsetFetchRequest{GroupID: f.group(), Topics: map[string][]int{name: {0}}})
	if err = errors.Join(err, answerError(answer)); err != nil {
		f.t.Fatalf("asking for the committed offset of %s: %v", name, err)
	}
	return max(answer.Topics[name][0].CommittedOffset, 0)
}

func answerError(a *kafka.OffsetFetchResponse) error {
	if a == nil {
		return nil
	}
	return a.Error
}
