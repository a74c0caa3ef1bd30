//go:build unix

package testbed

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCacheBuildsOnceForAllAndLeavesNothingAfterFailure(t *testing.T) {
	cache := &Cache{Dir: t.TempDir(), Progress: io.Discard}
	_, err := cache.once("server", "a server", func(stage string) error {
		return errors.Join(os.WriteFile(filepath.Join(stage, "half"), nil, 0o644), errors.New("disk full"))
	})
	if err == nil || !strings.Contains(err.Error(), "fetching a server: disk full") {
		t.Fatalf("error %v", err)
	}

	var builds atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := cache.once("server", "a server", func(stage string) error {
				builds.Add(1)
				return os.WriteFile(filepath.Join(stage, "whole"), nil, 0o644)
			})
			if err != nil {
				t.Error(err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 || entries[0].Name() != "whole" {
				t.Errorf("cache holds %v, expected the file of the successful build alone", entries)
			}
		})
	}
	wg.Wait()
	if builds.Load() != 1 {
		t.Errorf("%d builds, expected 1", builds.Load())
	}
}

func TestMissingToolsAreNamedWithTheirPackages(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	if _, err := findTool("mvn", "maven"); err == nil || !strings.Contains(err.Error(), `apt-get install maven`) {
		t.Errorf("without Maven: %v", err)
	}
	if _, err := findJava(); err == nil || !strings.Contains(err.Error(), `apt-get install openjdk-17-jdk-headless`) {
		t.Errorf("without Java: %v", err)
	}
	home := t.TempDir()
	t.Setenv("JAVA_HOME", home)
	if err := os.WriteFile(filepath.Join(home, "release"), []byte(`JAVA_VERSION="11.0.2"`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := findJava(); err == nil || !strings.Contains(err.Error(), "release 11, expected 17 or newer") {
		t.Errorf("with Java 11: %v", err)
	}
	if _, err := findJDKTool(home, "javac"); err == nil || !strings.Contains(err.Error(), "let JAVA_HOME name a JDK") {
		t.Errorf("without javac: %v", err)
	}
}
