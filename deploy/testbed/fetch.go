//go:build unix

package testbed

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Versions of the servers. The Maven files and checksums beside this file pin
// every artifact that belongs to them.
const (
	KafkaVersion         = "4.3.1"
	ElasticsearchVersion = "8.19.21"
)

const mavenCopy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

//go:embed kafka elasticsearch es-plugin
var sources embed.FS

// Cache holds fetched servers, ready to start. Any number of processes may use
// one directory at once.
type Cache struct {
	// Dir is the directory. Its content can be deleted at any time when no test runs.
	Dir string
	// Progress receives a line at the start and at the end of every long step.
	Progress io.Writer
}

// DefaultCache is in $EDRWATCH_TESTBED_DIR, or else in edrwatch-testbed of the
// user's cache directory, and reports progress on standard error.
func DefaultCache() (*Cache, error) {
	dir := os.Getenv("EDRWATCH_TESTBED_DIR")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("finding a cache directory: %w; set EDRWATCH_TESTBED_DIR", err)
		}
		dir = filepath.Join(user, "edrwatch-testbed")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the testbed cache: %w", err)
	}
	return &Cache{Dir: dir, Progress: os.Stderr}, nil
}

// Kafka returns the directory that holds the broker's jars, fetching them when
// they are not there.
func (c *Cache) Kafka(ctx context.Context) (string, error) {
	return c.once("kafka-"+KafkaVersion, "Apache Kafka "+KafkaVersion+" (45 MB)", func(stage string) error {
		return maven(ctx, "kafka", stage)
	})
}

// once returns the directory name of the cache, which build fills when it does
// not exist. What build leaves becomes visible only as a whole.
func (c *Cache) once(name, title string, build func(stage string) error) (dir string, err error) {
	dir = filepath.Join(c.Dir, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unlock, err := lock(c.Dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // Another process fetched it while this one waited.
	}
	// Nobody else builds while the lock is held: the directory was left by a process that died.
	stale, _ := filepath.Glob(filepath.Join(c.Dir, "stage-*"))
	for _, dir := range stale {
		_ = os.RemoveAll(dir)
	}
	stage, err := os.MkdirTemp(c.Dir, "stage-")
	if err != nil {
		return "", fmt.Errorf("creating staging directory: %w", err)
	}
	defer os.RemoveAll(stage)
	began := time.Now()
	fmt.Fprintf(c.Progress, "testbed: fetching %s into %s\n", title, dir)
	if err := build(stage); err != nil {
		return "", fmt.Errorf("fetching %s: %w", title, err)
	}
	if err := os.Chmod(stage, 0o755); err != nil {
		return "", fmt.Errorf("publishing %s: %w", title, err)
	}
	if err := os.Rename(stage, dir); err != nil {
		return "", fmt.Errorf("publishing %s: %w", title, err)
	}
	fmt.Fprintf(c.Progress, "testbed: fetched %s in %.1f s\n", title, time.Since(began).Seconds())
	return dir, nil
}

// maven downloads what the Maven file of a server names into dir and verifies it.
func maven(ctx context.Context, server, dir string) error {
	mvn, err := findTool("mvn", "maven")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "testbed-maven-")
	if err != nil {
		return fmt.Errorf("creating Maven directory: %w", err)
	}
	defer os.RemoveAll(work)
	pom, err := fs.ReadFile(sources, server+"/pom.xml")
	if err != nil {
		return fmt.Errorf("reading Maven file: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o644); err != nil {
		return fmt.Errorf("writing Maven file: %w", err)
	}
	if err := runTool(ctx, work, nil, mvn, "-q", "-B", "-Dstyle.color=never", "--strict-checksums", mavenCopy, "-DincludeScope=runtime", "-DoutputDirectory="+dir); err != nil {
		return err
	}
	sums, err := fs.ReadFile(sources, server+"/SHA256SUMS")
	if err != nil {
		return fmt.Errorf("reading checksums: %w", err)
	}
	if err := verify(dir, string(sums)); err != nil {
		return fmt.Errorf("verifying the download against %s/SHA256SUMS: %w", server, err)
	}
	return nil
}

// findTool finds a program, or says which Debian package brings it.
func findTool(name, debian string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: run \"apt-get install %s\" or put %s on PATH", name, debian, name)
	}
	return path, nil
}

// runTool runs a program to its end; its output is part of the error when it fails.
func runTool(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("running %s: %w\n%s", filepath.Base(name), err, lastLines(strings.TrimSpace(string(out)), 30))
	}
	return nil
}
