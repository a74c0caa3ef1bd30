// Package buildinfo says which build of edrwatch this is: the tag or the commit
// that it was built from.
package buildinfo

import (
	"runtime/debug"
	"strings"
)

// The linker sets these two where git is not at hand during the build, as in a
// container image:
//
//	go build -ldflags "-X $PKG.tag=v1.2.3 -X $PKG.commit=$(git rev-parse HEAD)"
//
// with PKG=github.com/edrwatch/edrwatch/cmd/edrwatch/internal/buildinfo. They
// are variables only because the linker can set nothing else; nobody writes them.
var tag, commit string

// Info is what is known of a build.
type Info struct {
	// Version names the build: its tag, else Go's pseudo-version, else devel,
	// with the commit behind it where that is known (devel+26f4c1ad0b3e).
	Version string `json:"version"`
	// Revision is the commit, "" when it is not known.
	Revision string `json:"revision,omitempty"`
	// Time is when the commit was made, in RFC 3339; "" when it is not known.
	Time string `json:"time,omitempty"`
	// Modified says that the sources differed from the commit.
	Modified bool `json:"modified,omitempty"`
	// Go is the version of the compiler.
	Go string `json:"go"`
}

// Read returns the build of the running program.
func Read() Info {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return read(info, tag, commit)
}

func read(info *debug.BuildInfo, tag, commit string) Info {
	b := Info{Revision: commit, Go: info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			if commit == "" {
				b.Revision = s.Value
			}
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	switch stamped := info.Main.Version; {
	case tag != "":
		b.Version = tag
	case commit == "" && stamped != "" && stamped != "(devel)":
		b.Version = stamped
	default:
		b.Version = "devel"
		if b.Revision != "" {
			b.Version += "+" + short(b.Revision)
		}
		if b.Modified {
			b.Version += ".dirty"
		}
	}
	return b
}

// String returns the build on one line.
func (b Info) String() string {
	var notes []string
	if b.Revision != "" && !strings.Contains(b.Version, short(b.Revision)) {
		notes = append(notes, "commit "+short(b.Revision))
	}
	if b.Go != "" {
		notes = append(notes, b.Go)
	}
	text := "edrwatch " + b.Version
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

// short is a commit as Go's pseudo-versions write it.
func short(commit string) string { return commit[:min(12, len(commit))] }
