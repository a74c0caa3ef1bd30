package api

import (
	"bufio"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// ask sends a GET request and reads the JSON answer into answer, if not nil.
func (h *harness) ask(t *testing.T, path string, answer any) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "127.0.0.1:8686"
	w := httptest.NewRecorder()
	h.data.ServeHTTP(w, r)
	if answer != nil {
		if w.Code != http.StatusOK {
			t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
		}
		if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
			t.Fatalf("GET %s: %v", path, err)
		}
	}
	return w
}

func TestDayIsAnswered(t *testing.T) {
	h := serve(t, nil, fleetDay(t, 40)...)
	type docs struct {
		Events []struct {
			ID, Time, Host string
			Document       map[string]any
		}
		Alerts []struct {
			ID, Status, Severity, Started, Updated string
			Documents                              int
		}
		Total *int
		Next  string
	}
	var page docs
	h.ask(t, "/api/v1/events?q=action:sensor-heartbeat&limit=10&to=2024-07-19T04:00:00Z", &page)
	if len(page.Events) != 10 || page.Total == nil || *page.Total <= 10 || page.Next == "" || page.Events[0].Document["@timestamp"] != page.Events[0].Time {
		t.Errorf("events: %d of %v, next %q", len(page.Events), page.Total, page.Next)
	}
	var second docs
	h.ask(t, "/api/v1/events?q=action:sensor-heartbeat&limit=10&to=2024-07-19T04:00:00Z&cursor="+page.Next, &second)
	if len(second.Events) != 10 || second.Total != nil || second.Events[0].ID == page.Events[9].ID || second.Events[0].Time > page.Events[9].Time {
		t.Errorf("second page: %+v", second)
	}
	var one struct{ ID string }
	h.ask(t, "/api/v1/events/"+page.Events[3].ID, &one)
	if one.ID != page.Events[3].ID {
		t.Errorf("event %q, want %q", one.ID, page.Events[3].ID)
	}
	var chart struct {
		Interval float64 `json:"interval_seconds"`
		Buckets  []struct{ Count, Alerts int }
	}
	h.ask(t, "/api/v1/events/histogram?buckets=30&stream=alerts", &chart)
	alerts := 0
	for _, b := range chart.Buckets {
		alerts += b.Alerts
	}
	if alerts != 8 || len(chart.Buckets) == 0 || len(chart.Buckets) > 30 {
		t.Errorf("histogram: %d alerts in %d buckets", alerts, len(chart.Buckets))
	}
	var list docs
	h.ask(t, "/api/v1/alerts?status=firing&severity=critical", &list)
	if len(list.Alerts) != 1 || list.Alerts[0].ID != "a1f3" || list.Alerts[0].Documents != 2 || list.Alerts[0].Started == list.Alerts[0].Updated {
		t.Errorf("alerts: %+v", list.Alerts)
	}
	var alert struct {
		Alert   struct{ Status string }
		Rule    *Rule
		History []struct{ ID string }
	}
	h.ask(t, "/api/v1/alerts/a1f3", &alert)
	if alert.Alert.Status != "firing" || alert.Rule == nil || alert.Rule.Note == "" || len(alert.History) != 2 || alert.History[0].ID != "al-1" {
		t.Errorf("alert: %+v", alert)
	}
	var summary struct {
		Counts []struct {
			Status, Kind string
			Count        int
		}
	}
	if h.ask(t, "/api/v1/alerts/summary", &summary); len(summary.Counts) != 6 {
		t.Errorf("summary: %+v", summary)
	}
	var status struct {
		Gateway Status
		Store   struct{ Newest string }
	}
	if h.ask(t, "/api/v1/status", &status); status.Gateway.Records["mapped"] != 18234 || !strings.HasPrefix(status.Store.Newest, "2024-07-19T0") {
		t.Errorf("status: %+v", status)
	}
	var rules struct{ Rules []Rule }
	if h.ask(t, "/api/v1/rules", &rules); len(rules.Rules) != 1 {
		t.Errorf("rules: %+v", rules)
	}
}

func TestEmptyStoreIsAnswered(t *testing.T) {
	h := serve(t, nil)
	for path, want := range map[string]string{
		"/api/v1/events": `"events":[]`, "/api/v1/alerts": `"alerts":[]`, "/api/v1/fleet?offset=5": `"agents":[]`,
		"/api/v1/events/histogram": `"buckets":[]`, "/api/v1/alerts/summary": `"counts":[]`, "/api/v1/status": `"newest":null`,
	} {
		if w := h.ask(t, path, nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestBadRequestsSayWhatIsWrong(t *testing.T) {
	h := serve(t, nil)
	for _, tc := range []struct {
		path, parameter, message string
		status, position         int
	}{
		{"/api/v1/events?q=" + url.QueryEscape("größe AND hots:x"), "q", `did you mean host?`, 400, 11},
		{"/api/v1/events/histogram?q=" + url.QueryEscape("(host:a"), "q", "expected a closing parenthesis", 400, 1},
		{"/api/v1/alerts?q=" + url.QueryEscape(`severity>big`), "q", "expected one of info, low", 400, 10},
		{"/api/v1/events?limit=0", "limit", "expected a number from 1 to 1000", 400, 0},
		{"/api/v1/events?limit=5&limit=6", "limit", "expected one value, found 2", 400, 0},
		{"/api/v1/events?from=yesterday", "from", "expected a time such as", 400, 0},
		{"/api/v1/events?stream=logs", "stream", "expected telemetry, metrics", 400, 0},
		{"/api/v1/events?cursor=abc", "cursor", "expected the cursor of a page", 400, 0},
		{"/api/v1/events?hots=x", "hots", "did you mean host?", 400, 0},
		{"/api/v1/events?a%zz", "query string", "percent-encoded", 400, 0},
		{"/api/v1/events/histogram?buckets=9999", "buckets", "1 to 500", 400, 0},
		{"/api/v1/fleet?sort=" + url.QueryEscape("id;drop table agents"), "query string", "", 400, 0},
		{"/api/v1/fleet?sort=colour", "sort", "expected one of", 400, 0},
		{"/api/v1/fleet?desc=yes", "desc", "expected true or false", 400, 0},
		{"/api/v1/rules?x=1", "x", "unknown parameter", 400, 0},
		{"/api/v1/events/nothing", "", "not in the store", 404, 0},
		{"/api/v1/alerts/nothing", "", "not in the store", 404, 0},
		{"/api/v1/rollout", "", "no such route", 404, 0},
		{"/api/v2/events", "", "no such route", 404, 0},
	} {
		t.Run(tc.path, func(t *testing.T) {
			w := h.ask(t, tc.path, nil)
			var answer struct{ Error problem }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			e := answer.Error
			if tc.parameter == "query string" {
				tc.parameter = e.Parameter // ParseQuery words it
			}
			if w.Code != tc.status || e.Parameter != tc.parameter || e.Position != tc.position || !strings.Contains(e.Message, tc.message) {
				t.Errorf("%d %+v", w.Code, e)
			}
		})
	}
}

// TestNothingChangesState sends every method to every route, without any
// credentials, and finds the store as it was.
func TestNothingChangesState(t *testing.T) {
	h := serve(t, nil, fleetDay(t, 4)...)
	before := h.ask(t, "/api/v1/status", nil).Body.String()
	paths := []string{"/", "/index.html", "/main.js", "/api/", "/api/v1/stream", "/nothing", "/../etc/passwd"}
	for _, r := range h.data.routes() {
		paths = append(paths, strings.ReplaceAll(r.pattern, "{id}", "a1f3"))
	}
	for _, path := range paths {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"} {
			r := httptest.NewRequest(method, "http://localhost/", strings.NewReader(`{"x":1}`))
			r.URL.Path = path
			w := httptest.NewRecorder()
			h.data.ServeHTTP(w, r)
			if w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s permits other origins", method, path)
			}
		}
	}
	after := h.ask(t, "/api/v1/status", nil).Body.String()
	cut := regexp.MustCompile(`"now":"[^"]*"`)
	if cut.ReplaceAllString(before, "") != cut.ReplaceAllString(after, "") {
		t.Errorf("status before %s\nafter %s", before, after)
	}
}

func TestGuards(t *testing.T) {
	h := serve(t, func(c *DataConfig) { c.Hosts = []string{"siem.example"} })
	for _, tc := range []struct {
		name, host string
		header     map[string]string
		body       string
		want       int
	}{
		{name: "localhost", host: "localhost:8686", want: 200},
		{name: "an IPv4 address", host: "192.0.2.7:8686", want: 200},
		{name: "an IPv6 address", host: "[::1]:8686", want: 200},
		{name: "a configured name", host: "SIEM.example", want: 200},
		{name: "a rebound name", host: "attacker.example:8686", want: 421},
		{name: "a name that ends like a known one", host: "localhost.attacker.example", want: 421},
		{name: "no host", host: "", want: 421},
		{name: "another site", host: "localhost", header: map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, want: 403},
		{name: "another port of this machine", host: "localhost", header: map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, want: 403},
		{name: "a link from another site", host: "localhost", header: map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, want: 200},
		{name: "a body", host: "localhost", body: "x", want: 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/api/v1/rules", strings.NewReader(tc.body))
			r.Host = tc.host
			for k, v := range tc.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.data.ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tc.want)
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": policy, "X-Frame-Options": "DENY"} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q", name, got)
				}
			}
		})
	}
}

// TestHostileTextStaysText sends what tries to be markup, a script, a line of
// a stream or a terminal's command, and finds it inside JSON strings only.
func TestHostileTextStaysText(t *testing.T) {
	for _, text := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "</script><svg/onload=alert(1)>", `javascript:alert(1)`, `[x](javascript:alert(1))`,
		"\x1b]0;owned\x07", "\u202egpj.exe", "line\r\nevent: alert\r\ndata: {}\r\n\r\n", "{{constructor.constructor('alert(1)')()}}", "' OR 1=1 --", "\u2028\u2029",
	} {
		t.Run(text, func(t *testing.T) {
			h := serve(t, nil, docOf(t, "e", event.Telemetry, start, "other", text, "a1", map[string]any{"message": text, "agent": map[string]any{"id": "a1", "type": text}}),
				alertOf(t, "al", "ep", start, text, text, text, text, text, text, map[string]any{"reason": text}))
			for _, path := range []string{"/api/v1/events", "/api/v1/alerts", "/api/v1/alerts/ep", "/api/v1/fleet", "/api/v1/fleet/summary", "/api/v1/alerts/summary", "/api/v1/events?q=" + url.QueryEscape(`"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)+`"`)} {
				w := h.ask(t, path, &map[string]any{})
				if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
					t.Errorf("%s: Content-Type %q", path, got)
				}
				if strings.ContainsAny(w.Body.String(), "<>\x1b\r\u2028") {
					t.Errorf("%s answers with characters that need escaping: %s", path, w.Body)
				}
			}
			frame := string(frameOf(alertOf(t, "al", "ep", start, text, text, text, text, text, text, nil)))
			if n := strings.Count(frame, "\n"); n != 3 || strings.Contains(frame, "\r") {
				t.Errorf("frame of %d lines: %q", n, frame)
			}
		})
	}
}

// TestConsoleFilesCannotRunText makes sure that no file of the console uses a
// way to turn text into markup or code, or loads anything from another server.
func TestConsoleFilesCannotRunText(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|createContextualFragment|srcdoc|javascript:|\bstyle=|<script>|\son[a-z]+="|@import|url\(`)
	elsewhere := regexp.MustCompile(`(https?:)?//[a-z0-9.-]+\.[a-z]{2,}`)
	err := fs.WalkDir(console, "console", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(console, path)
		if err != nil {
			return err
		}
		if m := forbidden.FindString(string(text)); m != "" {
			t.Errorf("%s uses %q", path, m)
		}
		for _, m := range elsewhere.FindAllString(string(text), -1) {
			if !strings.HasPrefix(m, "http://www.w3.org") {
				t.Errorf("%s refers to %q", path, m)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConsoleIsServed(t *testing.T) {
	h := serve(t, nil)
	for path, want := range map[string]string{"/": "text/html", "/main.js": "text/javascript", "/style.css": "text/css", "/icon.svg": "image/svg+xml"} {
		w := h.ask(t, path, nil)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), want) || w.Body.Len() < 100 {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
	}
	for _, path := range []string{"/data.go", "/console/", "/nothing"} {
		if w := h.ask(t, path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	page := h.ask(t, "/", nil).Body.String()
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(page, -1) {
		if w := h.ask(t, "/"+m[1], nil); w.Code != http.StatusOK {
			t.Errorf("the page refers to %s: %d", m[1], w.Code)
		}
	}
}

func TestStreamTellsAlertsAsTheyCome(t *testing.T) {
	h := serve(t, func(c *DataConfig) { c.MaxStreams = 1 })
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	server, err := Listen("127.0.0.1:0", 8, h.data, nil, h.hub.Close)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	base := "http://" + server.Addr().String()
	response, err := client.Get(base + "/api/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type %q", got)
	}
	lines := bufio.NewReader(response.Body)
	next := func() (name, data string) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			line = strings.TrimSuffix(line, "\n")
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				name = v
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				data = v
			}
			if line == "" && name != "" {
				return name, data
			}
		}
	}
	if name, _ := next(); name != "ready" {
		t.Fatalf("first event %q", name)
	}
	if second, err := client.Get(base + "/api/v1/stream"); err != nil || second.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a stream over the limit: %v, %v", second, err)
	} else if err := second.Body.Close(); err != nil {
		t.Error(err)
	}
	h.write(t, docOf(t, "e", event.Telemetry, start, "other", "pc", "a1", map[string]any{}), alertOf(t, "al", "ep", start, "r1", "tamper", "high", "firing", "pc", "tampered", nil))
	name, data := next()
	var alert struct {
		ID, Status, Severity, Kind string
		AlertID                    string `json:"alert_id"`
	}
	if err := json.Unmarshal([]byte(data), &alert); err != nil || name != "alert" || alert.ID != "al" || alert.AlertID != "ep" || alert.Status != "firing" || alert.Kind != "tamper" {
		t.Errorf("%s %s, %v", name, data, err)
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("shutting down with an open stream: %v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Errorf("the stream did not end cleanly: %v", err)
	}
}

func TestSlowBrowserMissesAlertsAndIsTold(t *testing.T) {
	hub := NewHub(2)
	s, err := hub.subscribe()
	if err != nil {
		t.Fatal(err)
	}
	for range pending + 5 {
		hub.Publish([]*event.Document{alertOf(t, "al", "ep", start, "r", "tamper", "high", "firing", "pc", "x", nil)})
	}
	if n := s.missed.Load(); n != 5 || len(s.frames) != pending {
		t.Errorf("%d missed, %d waiting", n, len(s.frames))
	}
	hub.Close()
	if _, err := hub.subscribe(); err == nil {
		t.Error("subscribed to a closed hub")
	}
}
