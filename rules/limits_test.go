package rules

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// TestLimitsOfRules has rules and directories beyond what is allowed. Each is
// refused with its place, what was found and what is allowed.
func TestLimitsOfRules(t *testing.T) {
	test := func(n int, body string) string {
		return fmt.Sprintf("condition: has(host.name)\ntests:\n%s", strings.Repeat("  - name: t\n    expect: [{by: +1m, alerts: 0}]\n"+body, n))
	}
	many := func(n int, line string) string { return strings.Repeat("  - "+line+"\n", n) }
	for _, tc := range []struct{ name, rest, want string }{
		{"exceptions", "condition: has(host.name)\nexceptions:\n" + many(257, "{name: n, when: has(host.name), owner: o, expires: 2030-01-01}"),
			"r.yml:10:3: exceptions has 257 entries, at most 256 are allowed (name the hosts in a list that one exception uses)"},
		{"severity mapping", "condition: has(host.name)\nseverity_mapping:\n" + many(65, "{when: has(host.name), severity: low}"), "r.yml:10:3: severity_mapping has 65 entries, at most 64 are allowed"},
		{"risk mapping", "condition: has(host.name)\nrisk_score_mapping:\n" + many(65, "{when: has(host.name), risk_score: 1}"), "r.yml:10:3: risk_score_mapping has 65 entries, at most 64 are allowed"},
		{"group_by", "condition: has(host.name)\ngroup_by: [" + strings.Repeat("host.name, ", 16) + "host.id]", "r.yml:9:11: group_by has 17 entries, at most 16 are allowed"},
		{"tests", test(501, ""), "r.yml:10:3: tests has 501 entries, at most 500 are allowed (split the rule)"},
		{"events of a test", test(1, "    events: [{at: +1m, repeat: {count: 200000}, set: {host.name: a}}, {at: +1m, set: {host.name: a}}]\n"), "test \"t\" has 200001 events, at most 200000 are allowed"},
		{"a fleet of a test", test(1, "    fleet: [{agents: 1000, every: 1s, until: +366d, set: {host.name: a}}]\n"), "test \"t\" has 2147483647 events, at most 200000 are allowed"},
		{"events of all tests", test(6, "    events: [{at: +1m, repeat: {count: 200000}, set: {host.name: a}}]\n"), "the tests have 1200000 events in all, at most 1000000 are allowed"},
		{"a test of centuries", test(1, "    events: [{at: +200000w, set: {host.name: a}}]\n"), "expected a time after the start such as +5m, found \"+200000w\""},
		{"a test of years", test(1, "    events: [{at: +367d, set: {host.name: a}}]\n"), "\"+367d\" is more than 366d after the start: let the test begin later with clock"},
		{"a repetition of years", test(1, "    events: [{at: +1m, repeat: {count: 200000, every: 31d}, set: {host.name: a}}]\n"), "test \"t\": 200000 events every 31d last longer than 366d"},
	} {
		_, err := ParseFile("r.yml", []byte(ruleYAML(1, "match", tc.rest)))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s\ngot  %.300v\nwant %s", tc.name, err, tc.want)
		}
	}
}

// TestLimitsOfSets has directories of rules that are something else.
func TestLimitsOfSets(t *testing.T) {
	several := strings.Repeat("---\nlist: l\nitems: [a]\n", 4000)
	manyRules, manyBytes := fstest.MapFS{}, fstest.MapFS{}
	for i := range 10 {
		manyRules[fmt.Sprintf("%d.yml", i)] = &fstest.MapFile{Data: []byte(several)}
	}
	filler := &fstest.MapFile{Data: []byte(strings.Repeat(strings.Repeat("#", 1000)+"\n", 1047))}
	for i := range 70 {
		manyBytes[fmt.Sprintf("%03d.yml", i)] = filler
	}
	for _, tc := range []struct {
		name string
		tree fstest.MapFS
		want string
	}{
		{"a large file", fstest.MapFS{"a.yml": {Data: make([]byte, 2<<20)}}, "a.yml: file has more than the 1048576 bytes that are allowed (split it)"},
		{"a list of a million", fstest.MapFS{"a.yml": {Data: []byte("list: l\nitems: [" + strings.Repeat("a,", 200_000) + "a]")}}, "a.yml:2:262154: more than 131072 list entries in one file (split it)"},
		{"many rules", manyRules, "5.yml:1:1: more than 20000 rules, lists and macros in all, too many with this file (is this a directory of rules?"},
		{"many bytes", manyBytes, "064.yml:1:1: the rule files have more than 67108864 bytes in all, too many with this one"},
	} {
		_, err := Parse(tc.tree)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s\ngot  %.500v\nwant %s", tc.name, err, tc.want)
		}
	}
}
