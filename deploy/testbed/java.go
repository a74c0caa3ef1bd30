//go:build unix

package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// oldestJava is the Java release that both servers need at least.
const oldestJava = 17

// findJava returns the home of the Java installation in JAVA_HOME, or else of the
// java program on PATH.
func findJava() (home string, err error) {
	const advice = "run \"apt-get install openjdk-17-jdk-headless\" or set JAVA_HOME"
	home = os.Getenv("JAVA_HOME")
	if home == "" {
		java, err := exec.LookPath("java")
		if err != nil {
			return "", fmt.Errorf("java is not installed: %s", advice)
		}
		if java, err = filepath.EvalSymlinks(java); err != nil {
			return "", fmt.Errorf("finding java: %w", err)
		}
		home = filepath.Dir(filepath.Dir(java))
	}
	release, err := os.ReadFile(filepath.Join(home, "release"))
	if err != nil {
		return "", fmt.Errorf("%s is not a Java installation: %w; %s", home, err, advice)
	}
	version := regexp.MustCompile(`JAVA_VERSION="(\d+)`).FindSubmatch(release)
	if version == nil {
		return "", fmt.Errorf("%s names no JAVA_VERSION: %s", filepath.Join(home, "release"), advice)
	}
	if n, err := strconv.Atoi(string(version[1])); err != nil || n < oldestJava {
		return "", fmt.Errorf("java in %s is release %s, expected %d or newer: %s", home, version[1], oldestJava, advice)
	}
	return home, nil
}

// findJDKTool returns a program of the Java development kit, such as javac.
func findJDKTool(home, name string) (string, error) {
	path := filepath.Join(home, "bin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not in the Java installation %s: run \"apt-get install openjdk-17-jdk-headless\" or let JAVA_HOME name a JDK", name, home)
	}
	return path, nil
}
