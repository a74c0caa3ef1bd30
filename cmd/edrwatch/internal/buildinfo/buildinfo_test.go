package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestVersionTellsTagOrCommit(t *testing.T) {
	const hash = "26f4c1ad0b3e5a77c0ffee001122334455667788"
	stamps := []debug.BuildSetting{{Key: "vcs.revision", Value: hash}, {Key: "vcs.time", Value: "2026-11-30T12:00:00Z"}, {Key: "vcs.modified", Value: "false"}}
	dirty := append(stamps[:2:2], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	const pseudo = "v0.0.0-20261130120000-26f4c1ad0b3e"
	for _, tc := range []struct {
		name, main  string
		settings    []debug.BuildSetting
		tag, commit string
		want        string
	}{
		{"go run", "(devel)", nil, "", "", "edrwatch devel (go1.26)"},
		{"go run -buildvcs=true", "(devel)", stamps, "", "", "edrwatch devel+26f4c1ad0b3e (go1.26)"},
		{"changed sources", "(devel)", dirty, "", "", "edrwatch devel+26f4c1ad0b3e.dirty (go1.26)"},
		{"go build in a clone", pseudo, stamps, "", "", "edrwatch " + pseudo + " (go1.26)"},
		{"go install of a release", "v1.2.3", nil, "", "", "edrwatch v1.2.3 (go1.26)"},
		{"image of a release", "(devel)", nil, "v1.2.3", hash, "edrwatch v1.2.3 (commit 26f4c1ad0b3e, go1.26)"},
		{"image of a commit", "(devel)", nil, "", hash, "edrwatch devel+26f4c1ad0b3e (go1.26)"},
		{"a short commit", "(devel)", nil, "", "26f4c1a", "edrwatch devel+26f4c1a (go1.26)"},
	} {
		info := &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: tc.main}, Settings: tc.settings}
		if got := read(info, tc.tag, tc.commit).String(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	if got := Read(); got.Version == "" || got.Go == "" {
		t.Errorf("this test: %+v", got)
	}
}
