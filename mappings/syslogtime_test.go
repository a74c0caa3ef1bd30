package mappings

import (
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// TestSyslogTime reads headers with and without a year, about New Year too.
func TestSyslogTime(t *testing.T) {
	at := func(s string) time.Time {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	const never = ""
	for _, tc := range []struct{ header, arrived, want string }{
		{"<134>Jul 19 04:10:01 dsm-01", "2024-07-19T04:10:02Z", "2024-07-19T04:10:01Z"},
		{"Jul  9 04:10:01 dsm-01", "2024-07-19T04:10:02Z", "2024-07-09T04:10:01Z"},
		{"<134>Dec 31 23:59:59 dsm-01", "2025-01-01T00:00:03Z", "2024-12-31T23:59:59Z"},
		{"<134>Jan  1 00:00:01 dsm-01", "2024-12-31T23:59:58Z", "2025-01-01T00:00:01Z"},
		{"<134>Feb 29 12:00:00 dsm-01", "2024-03-01T00:00:00Z", "2024-02-29T12:00:00Z"},
		{"<134>2024-07-19T06:10:01+02:00 dsm-01", "2024-07-19T04:10:02Z", "2024-07-19T04:10:01Z"},
		{"<134>1 2024-07-19T04:10:01.5Z dsm-01 -", "2024-07-19T04:10:02Z", "2024-07-19T04:10:01.5Z"},
		{"<134>Foo 19 04:10:01 dsm-01", "2024-07-19T04:10:02Z", never}, {"<134>", "2024-07-19T04:10:02Z", never}, {"", "2024-07-19T04:10:02Z", never},
		{"<134>Jul 42 04:10:01 dsm-01", "2024-07-19T04:10:02Z", never},
	} {
		ns, _, ok := syslogTime(tc.header, at(tc.arrived).UnixNano())
		if ok != (tc.want != never) || ok && time.Unix(0, ns).UTC().Format(time.RFC3339Nano) != tc.want {
			t.Errorf("%q: got %v, %v; want %q", tc.header, time.Unix(0, ns).UTC(), ok, tc.want)
		}
	}
	if _, _, ok := syslogTime("<134>Jul 19 04:10:01 dsm-01", 0); ok {
		t.Error("a time without a year was read without knowing the year")
	}
}

// TestManagerNamesTheComputer maps what Deep Security's manager says of a
// computer: the computer is the target, the time the syslog header's, in the
// manager's zone.
func TestManagerNamesTheComputer(t *testing.T) {
	const record = `<134>Jul 19 06:10:01 dsm-01 CEF:0|Trend Micro|Deep Security Manager|20.0.864|740|Agent/Appliance Error|8|src=192.0.2.10 suser=System target=srv-0042.example.com msg=Anti-Malware Engine Offline TrendMicroDsTenant=Primary TrendMicroDsTenantId=0`
	happened := time.Date(2024, 7, 19, 4, 10, 1, 0, time.UTC)
	e := mappedAt(t, libraryPlan(t), "syslog", record, happened.Add(2*time.Second))
	if got := e.Str(ecs.HostName); got != "srv-0042.example.com" {
		t.Errorf("the host is %q", got)
	}
	if got := time.Unix(0, e.Timestamp()).UTC(); !got.Equal(happened) {
		t.Errorf("it happened at %v", got)
	}
	if e.Str(ecs.AgentType) != "trend-micro-deep-security" || e.Str(ecs.EDRProvenanceVoice) != "server" || e.Str(ecs.EDRState) != "degraded" {
		t.Errorf("got %s", e.AppendJSON(nil))
	}
}
