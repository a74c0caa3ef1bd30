package expression

import (
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

func dictionary(tb testing.TB, custom ...ecs.Field) *ecs.Dictionary {
	tb.Helper()
	d, err := ecs.New(custom...)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func compile(tb testing.TB, dict *ecs.Dictionary, source string) *Expression {
	tb.Helper()
	x, problems, _ := Compile(strict.Text{Value: source, File: "r.yml", Line: 1, Column: 1}, dict)
	if x == nil {
		tb.Fatalf("%s: %v", source, problems)
	}
	return x
}

// sample is an event with a bit of everything and much missing.
func sample(dict *ecs.Dictionary) *event.Event {
	e := event.New(dict)
	e.Set(ecs.Timestamp, event.Time(1721362140000000000))
	e.Set(ecs.EventCreated, event.Time(1721362150000000000))
	e.SetString(ecs.EventAction, "resource-usage")
	e.Set(ecs.EventCategory, event.StringList([]string{"process", "host"}))
	e.SetString(ecs.AgentVersion, "7.9.1")
	e.SetString(ecs.HostName, "PC-1")
	e.Set(ecs.HostIP, event.StringList([]string{"fe80::1", "10.1.2.3"}))
	e.Set(ecs.EDRResourceCPUPct, event.Float(85))
	e.Set(ecs.EDRResourceMemoryBytes, event.Int(500_000_000))
	e.Set(ecs.EDRTamperBlocked, event.Bool(true))
	return e
}

func TestEval(t *testing.T) {
	dict := dictionary(t)
	e := sample(dict)
	for source, want := range map[string]Truth{
		`event.action == "resource-usage"`:                                     True,
		`event.action != "resource-usage"`:                                     False,
		`event.action == "resource-usage" and edr.resource.cpu_pct >= 80`:      True,
		`80 <= edr.resource.cpu_pct`:                                           True,
		`edr.resource.cpu_pct > 85`:                                            False,
		`edr.resource.memory_bytes / 1000000 == 500`:                           True,
		`edr.resource.memory_bytes / 0 > 1`:                                    Unknown,
		`edr.state == "disabled"`:                                              Unknown,
		`edr.state != "disabled"`:                                              Unknown,
		`not (edr.state == "disabled")`:                                        Unknown,
		`edr.state not in ["disabled"]`:                                        Unknown,
		`edr.state in ["disabled"]`:                                            Unknown,
		`edr.state == "disabled" or edr.resource.cpu_pct > 80`:                 True,
		`edr.state == "disabled" and edr.resource.cpu_pct < 80`:                False,
		`edr.state == "disabled" and edr.resource.cpu_pct > 80`:                Unknown,
		`has(edr.state)`:                                                       False,
		`not has(edr.state)`:                                                   True,
		`(edr.state ?? "unknown") == "unknown"`:                                True,
		`(edr.restart.count ?? 0) > 0`:                                         False,
		`event.category == "host"`:                                             True,
		`event.category == "file"`:                                             False,
		`event.category != "host"`:                                             False,
		`"process" in event.category`:                                          True,
		`"process" not in event.category`:                                      False,
		`event.category in ["file", "host"]`:                                   True,
		`event.category contains "ro"`:                                         True,
		`event.category startsWith "ho"`:                                       True,
		`event.category endsWith "zz"`:                                         False,
		`event.category matches "^h.st$"`:                                      True,
		`len(event.category) == 2`:                                             True,
		`len(host.name) == 4`:                                                  True,
		`lower(host.name) == "pc-1"`:                                           True,
		`upper("a") + "b" == "Ab"`:                                             Unknown, // Not compiled: see below.
		`version(agent.version) < version("7.11")`:                             True,
		`version(agent.version) >= version("7.9")`:                             True,
		`cidrMatch(host.ip, "10.0.0.0/8", "192.168.0.0/16")`:                   True,
		`cidrMatch(host.ip, "172.16.0.0/12")`:                                  False,
		`edr.tamper.blocked`:                                                   True,
		`not edr.tamper.blocked`:                                               False,
		`edr.tamper.blocked == false`:                                          False,
		`edr.resource.cpu_pct in 80..90`:                                       True,
		`edr.resource.cpu_pct in [85, 86]`:                                     True,
		`edr.resource.cpu_pct > 80 ? event.action == "resource-usage" : false`: True,
		`(edr.state == "x" ? 1 : 2) == 2`:                                      Unknown,
		`event.created - field("@timestamp") > duration("5s")`:                 True,
		`event.created - field("@timestamp") > duration("1m")`:                 False,
		`event.created > field("@timestamp")`:                                  True,
		`any(event.category, # startsWith "pro")`:                              True,
		`none(event.category, # == "host")`:                                    False,
		`abs(edr.resource.cpu_pct - 90) <= 5`:                                  True,
		`trim(host.name) == "PC-1"`:                                            True,
		`trim(edr.state) == ""`:                                                Unknown,
		`event.category[0] == "process"`:                                       True,
		`-edr.resource.cpu_pct < -80`:                                          True,
		`2 ** 3 == 8`:                                                          True,
	} {
		x, problems, _ := Compile(strict.Text{Value: source}, dict)
		if strings.HasPrefix(source, "upper") {
			if x != nil {
				t.Errorf("%s compiled", source)
			}
			continue
		}
		if x == nil {
			t.Errorf("%s: %v", source, problems)
			continue
		}
		if got := x.Eval(&Env{Event: e}); got != want {
			t.Errorf("%s = %s, want %s", source, got, want)
		}
	}
}
