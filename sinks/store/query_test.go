package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

func filled(t *testing.T) *Store {
	t.Helper()
	s := open(t, nil)
	beat := doc("beat", start, "sensor-heartbeat", "PC-1", "a1",
		`"@timestamp":"2024-07-19T04:00:00.000Z","host":{"name":"PC-1","ip":["10.0.0.1","fe80::1"],"os":{"type":"windows"}},"agent":{"id":"a1","type":"crowdstrike-falcon"},`+
			`"edr":{"resource":{"cpu_pct":12.5,"threads":40},"isolated":false},"crowdstrike":{"ConfigIDBase":"65994753","Count":7}`)
	tamper := doc("tamper", start+10*second, "tamper-attempt", "web-02", "a2",
		`"host":{"name":"web-02"},"agent":{"id":"a2"},"message":"tried \"sc stop\" 100% of it","event":{"created":"2024-07-19T04:00:11.250Z"},"edr":{"isolated":true,"tamper":{"target":"C:\\Windows\\x.sys"}}`)
	tamper.Rules = []string{"tamper-attempt", "other_rule"}
	metric := doc("metric", start+20*second, "resource-usage", "web-03", "a3", `"host":{"name":"web-03"},"edr":{"resource":{"cpu_pct":96}},"labels":{"team":"größe"}`)
	metric.Stream = event.Metrics
	write(t, s, beat, tamper, metric, alert("al", "ep", start+30*second, "firing", "critical", "tamper", "web-02"))
	return s
}

func TestSearchText(t *testing.T) {
	s := filled(t)
	for _, tc := range []struct{ text, want string }{
		{"", "al metric tamper beat"},
		{"  ", "al metric tamper beat"},
		{"event.action:sensor-heartbeat", "beat"},
		{"action:sensor-*", "beat"},
		{"host.name:pc-1", "beat"},
		{"host:WEB-0*", "al metric tamper"},
		{"host.name:web-0* AND NOT stream:alerts", "metric tamper"},
		{"host.name:web-0* -stream:alerts", "metric tamper"},
		{"host.os.type:*", "beat"},
		{"NOT host.os.type:*", "al metric tamper"},
		{"NOT host.os.type:linux", "al metric tamper beat"},
		{"host.ip:10.0.0.1", "beat"},
		{"host.ip:fe80::*", "beat"},
		{"edr.resource.cpu_pct:>90", "metric"},
		{"edr.resource.cpu_pct>=12.5", "metric beat"},
		{"edr.resource.cpu_pct:12.5", "beat"},
		{"edr.resource.threads<41", "beat"},
		{"edr.isolated:true", "tamper"},
		{"edr.isolated:false", "beat"},
		{"@timestamp>=2024-07-19T04:00:20Z", "al metric"},
		{"@timestamp<2024-07-20", "al metric tamper beat"},
		{"event.created:2024-07-19T04:00:11.25Z", "tamper"},
		{"event.created>2024-07-19T04:00:11.25Z", ""},
		{"rule:tamper-attempt", "tamper"},
		{"rule:tamper*", "tamper"},
		{"rule:otherXrule", ""},
		{"edr.rules:OTHER_RULE", "tamper"},
		{"rule:*", "al tamper"},
		{"severity>=high", "al"},
		{"severity:<high", ""},
		{"severity<=critical kind:tamper status:firing", "al"},
		{"edr.alert.hosts:other-host", "al"},
		{"agent.id:a1 OR agent.id:a3", "metric beat"},
		{"(agent:a1 OR agent:a3) edr.resource.threads:*", "beat"},
		{"NOT (agent:a1 OR agent:a3)", "al tamper"},
		{`"sc stop"`, "tamper"},
		{`message:"tried \"sc stop\" 100% of it"`, "tamper"},
		{`\"sc`, "tamper"},
		{`100%`, "tamper"},
		{`100_`, ""},
		{`edr.tamper.target:c:\\windows\\*.sys`, "tamper"},
		{`"c:\\windows"`, "tamper"},
		{"größe", "metric"},
		{"cpu_pct", ""}, // the name of a field is no value
		{"wind*", "tamper beat"},
		{"crowdstrike.ConfigIDBase:65994753", "beat"},
		{"crowdstrike.Count>6", "beat"},
		{"crowdstrike.Nothing:*", ""},
		{"and or", ""},
		{"id:beat", "beat"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			page, err := s.Search(t.Context(), Query{Text: tc.text})
			if err != nil {
				t.Fatal(err)
			}
			if got := ids(page.Docs); got != tc.want {
				t.Errorf("found %q, want %q", got, tc.want)
			}
			if page.Total != len(page.Docs) || page.More {
				t.Errorf("total %d of %d, more %v", page.Total, len(page.Docs), page.More)
			}
		})
	}
}

func TestSearchTextErrors(t *testing.T) {
	s := filled(t)
	for _, tc := range []struct {
		text     string
		position int
		message  string
	}{
		{"host.nam:x", 1, `unknown field "host.nam": did you mean host.name?`},
		{"größe AND hots:x", 11, `unknown field "hots": did you mean host?`},
		{"http://x", 1, `to search for text with a colon, put it in quotes`},
		{"host.os:windows", 1, "it is a level above fields, such as host.os.family"},
		{"host:", 6, "expected a value after host, found nothing"},
		{"host: web", 6, "expected a value after host"},
		{"(host:a", 1, "expected a closing parenthesis"},
		{"host:a)", 7, "expected the end of the search"},
		{"host:a AND", 11, "expected a word or field:value, found nothing"},
		{"AND b", 1, "expected a word or field:value, found AND"},
		{"a OR OR b", 6, "found OR"},
		{`message:"open`, 9, "expected a closing quote"},
		{`a"b`, 2, "expected a quote at the beginning"},
		{`a\`, 2, "expected a character after the backslash"},
		{"edr.resource.cpu_pct:high", 22, "expected a number"},
		{"edr.isolated:maybe", 14, "expected true or false"},
		{"@timestamp>yesterday", 12, "expected a time such as"},
		{"severity>big", 10, "expected one of info, low, medium, high, critical"},
		{"stream:logs", 8, "expected one of telemetry, metrics, alerts, gateway"},
		{"rule>5", 1, "rule ids have no order"},
		{"a\xff", 1, "expected UTF-8"},
		{strings.Repeat("(", 40) + "a", 18, "parentheses within each other"},
		{strings.Repeat("-", 40) + "a", 18, "levels"},
		{strings.Repeat("a ", 70), 129, "expected at most 64 terms"},
		{strings.Repeat("a", 5000), 4097, "expected a search of up to 4096 bytes"},
	} {
		t.Run(tc.text[:min(len(tc.text), 30)], func(t *testing.T) {
			_, err := s.Search(t.Context(), Query{Text: tc.text})
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("err = %v", err)
			}
			if syntax.Position != tc.position || !strings.Contains(syntax.Message, tc.message) {
				t.Errorf("%v, want position %d: %s", err, tc.position, tc.message)
			}
		})
	}
}

func TestSearchFilters(t *testing.T) {
	s := filled(t)
	for _, tc := range []struct {
		name string
		q    Query
		want string
	}{
		{"stream", Query{Streams: []event.Stream{event.Metrics}}, "metric"},
		{"streams", Query{Streams: []event.Stream{event.Metrics, event.Alerts}}, "al metric"},
		{"from is inclusive, to exclusive", Query{From: start + 10*second, To: start + 20*second}, "tamper"},
		{"action", Query{Action: "Sensor-Heartbeat"}, "beat"},
		{"host", Query{Host: "web-02"}, "al tamper"},
		{"agent", Query{Agent: "a3"}, "metric"},
		{"severity and kind", Query{Severity: "critical", Kind: "tamper", Status: "firing"}, "al"},
		{"rule", Query{Rule: "other_rule"}, "tamper"},
		{"a rule is no pattern", Query{Rule: "other%"}, ""},
		{"quotes are text", Query{Host: "x' OR '1'='1"}, ""},
		{"text and filter", Query{Text: "web-02", Streams: []event.Stream{event.Telemetry}}, "tamper"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			page, err := s.Search(t.Context(), tc.q)
			if err != nil || ids(page.Docs) != tc.want {
				t.Errorf("found %q, want %q, %v", ids(page.Docs), tc.want, err)
			}
		})
	}
}

func TestPagesCoverEverythingOnce(t *testing.T) {
	s := open(t, nil)
	var docs []*event.Document
	for i := range 95 {
		d := doc(fmt.Sprint(i), start+int64(i/10)*second, "other", "a", "", "") // ten share a time
		if i%7 == 0 {
			d = alert(fmt.Sprint(i), fmt.Sprint("ep", i), d.Time, "firing", "low", "other", "a")
		}
		docs = append(docs, d)
	}
	write(t, s, docs...)
	seen := map[string]bool{}
	last := start + 100*second
	q := Query{Limit: 20}
	for page := range 10 {
		p, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if page == 0 && (p.Total != 95 || p.More) {
			t.Errorf("total %d, more %v", p.Total, p.More)
		}
		for _, d := range p.Docs {
			if seen[d.ID] || d.Time > last {
				t.Errorf("%s again or out of order", d.ID)
			}
			seen[d.ID], last = true, d.Time
		}
		text := p.Next.String()
		if text == "" {
			break
		}
		if q.Before, err = ParseCursor(text); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 95 {
		t.Errorf("%d documents over all pages", len(seen))
	}
	for _, bad := range []string{"x", "1", "1.", ".2", "1.2.3"} {
		if _, err := ParseCursor(bad); err == nil {
			t.Errorf("cursor %q was read", bad)
		}
	}
}

func TestHistogram(t *testing.T) {
	s := filled(t)
	h, err := s.Histogram(t.Context(), Query{From: start, To: start + 40*second}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if h.Interval != 5*time.Second || len(h.Buckets) != 8 {
		t.Fatalf("%d buckets of %v", len(h.Buckets), h.Interval)
	}
	var total int64
	for _, b := range h.Buckets {
		total += b.Count
	}
	if total != 4 || h.Buckets[6].By[event.Alerts] != 1 || h.Buckets[4].By[event.Metrics] != 1 {
		t.Errorf("buckets %+v", h.Buckets)
	}
	if h, err = s.Histogram(t.Context(), Query{Text: "host:web*"}, 0); err != nil || len(h.Buckets) == 0 || h.Buckets[0].Count != 1 {
		t.Errorf("unbounded: %+v, %v", h, err)
	}
	if h, err = s.Histogram(t.Context(), Query{Text: "host:nowhere"}, 0); err != nil || len(h.Buckets) != 0 {
		t.Errorf("of nothing: %+v, %v", h, err)
	}
}

func TestNiceIntervalNeverNeedsMoreBuckets(t *testing.T) {
	for _, span := range []time.Duration{time.Nanosecond, time.Second, 59 * time.Second, time.Hour, 25 * time.Hour, 400 * 24 * time.Hour, 200 * 365 * 24 * time.Hour} {
		for _, buckets := range []int{1, 2, 10, 60, 500} {
			step := int64(niceInterval(span, buckets))
			for _, from := range []int64{start, start + 12345, start - 1} {
				to := from + int64(span)
				n := (floorTo(to-1, step) + step - floorTo(from, step)) / step
				if n > int64(max(buckets, 2)) {
					t.Errorf("%v in %d buckets: %d of %v", span, buckets, n, time.Duration(step))
				}
			}
		}
	}
}

// FuzzSearchText checks that no search crashes, leaves the parser's bounds or
// becomes SQL that the database refuses.
func FuzzSearchText(f *testing.F) {
	for _, seed := range []string{`a AND (b OR "c d") NOT host.name:x* severity>=high`, `'; DROP TABLE docs; --`, `edr.resource.cpu_pct:>1 @timestamp<2024`, `\`, `"`, `((`, `-x:*`} {
		f.Add(seed)
	}
	s := open(f, nil)
	write(f, s, alert("1", "ep", start, "firing", "high", "tamper", "pc"))
	f.Fuzz(func(t *testing.T, text string) {
		_, err := s.Search(t.Context(), Query{Text: text})
		var syntax *SyntaxError
		if err != nil && !errors.As(err, &syntax) {
			t.Fatalf("%q: %v", text, err)
		}
		if syntax != nil && (syntax.Position < 1 || syntax.Position > len(text)+1) {
			t.Errorf("%q: position %d", text, syntax.Position)
		}
		if n, _, err := s.Count(t.Context(), Query{}); n != 1 || err != nil {
			t.Fatalf("%q: %d documents afterwards, %v", text, n, err)
		}
	})
}
