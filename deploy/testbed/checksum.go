//go:build unix

package testbed

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// verify compares the files of dir with sums, in the format of sha256sum(1). A
// missing, changed or unlisted file is an error that names it.
func verify(dir, sums string) error {
	want := map[string]string{}
	for scan := bufio.NewScanner(strings.NewReader(sums)); scan.Scan(); {
		sum, name, ok := strings.Cut(scan.Text(), "  ")
		if !ok {
			return fmt.Errorf("reading checksums: expected \"SUM  NAME\", found %q", scan.Text())
		}
		want[name] = sum
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading download: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		sum, listed := want[entry.Name()]
		if !listed {
			errs = append(errs, fmt.Errorf("%s: not in the list of checksums", entry.Name()))
			continue
		}
		delete(want, entry.Name())
		got, err := sha256File(filepath.Join(dir, entry.Name()))
		if err != nil {
			errs = append(errs, err)
		} else if got != sum {
			errs = append(errs, fmt.Errorf("%s: expected SHA-256 %s, found %s", entry.Name(), sum, got))
		}
	}
	for name := range want {
		errs = append(errs, fmt.Errorf("%s: missing", name))
	}
	return errors.Join(errs...)
}

func sha256File(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("opening download: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// fingerprint is a short hash over the names and contents of the files that match
// the patterns; what is built from those files is cached under it.
func fingerprint(files fs.FS, patterns ...string) (string, error) {
	h := sha256.New()
	for _, pattern := range patterns {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			return "", fmt.Errorf("matching %s: %w", pattern, err)
		}
		for _, name := range names {
			content, err := fs.ReadFile(files, name)
			if err != nil {
				return "", fmt.Errorf("hashing sources: %w", err)
			}
			fmt.Fprintf(h, "%s %d\n", name, len(content))
			h.Write(content)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}
