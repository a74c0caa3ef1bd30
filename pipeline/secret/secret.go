// Package secret keeps passwords, tokens and keys out of logs, error messages, metrics and diagnostics: a String prints
// as [redacted] whichever way it is printed, and only Reveal gives the text.
//
// A secret may be backed by a file, as Kubernetes secrets and systemd credentials are. Its text is read when the secret
// is made and again by Refresh, so that whoever is refused with the old password can try the rotated one.
package secret

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

const redacted = "[redacted]"

// MaxFileSize is the largest content of a file that is accepted as a secret, in bytes.
const MaxFileSize = 64 << 10

// String is a secret text. The zero String is empty. Copies share one backing file and its current text. All methods
// are safe for concurrent use, except those that unmarshal.
//
// The text is behind two pointers because package fmt prints unexported fields without asking their methods, and follows
// one pointer when the verb does not suit it; so it shows an address at most.
type String struct{ kept *kept }

type kept struct {
	path string // Empty when there is no file.
	mu   sync.RWMutex
	text *string // Never nil.
}

// New returns a secret with a fixed text.
func New(text string) String {
	if text == "" {
		return String{}
	}
	return String{&kept{text: &text}}
}

// FromFile returns a secret that is backed by a file. White space around the content does not belong to the secret.
// A file that is missing, empty or larger than MaxFileSize is an error.
func FromFile(path string) (String, error) {
	text, err := readFile(path)
	if err != nil {
		return String{}, err
	}
	return String{&kept{path: path, text: &text}}, nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	if len(content) > MaxFileSize {
		return "", fmt.Errorf("reading secret: %s has more than %d bytes", path, MaxFileSize)
	}
	text := string(bytes.TrimSpace(content))
	if text == "" {
		return "", fmt.Errorf("reading secret: %s is empty", path)
	}
	return text, nil
}

// Reveal returns the text. Do not put it into anything that outlives its use.
func (s String) Reveal() string {
	if s.kept == nil {
		return ""
	}
	s.kept.mu.RLock()
	defer s.kept.mu.RUnlock()
	return *s.kept.text
}

// Refresh reads the backing file again and reports whether the text has changed. After an error the old text stays.
// Without a backing file nothing changes.
func (s String) Refresh() (changed bool, err error) {
	if s.Path() == "" {
		return false, nil
	}
	text, err := readFile(s.kept.path)
	if err != nil {
		return false, err
	}
	s.kept.mu.Lock()
	defer s.kept.mu.Unlock()
	changed = text != *s.kept.text
	s.kept.text = &text
	return changed, nil
}

// Path returns the path of the backing file, or "" when there is none. It is not secret.
func (s String) Path() string {
	if s.kept == nil {
		return ""
	}
	return s.kept.path
}

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.Reveal() == "" }

// Equal compares the text with another in a time that does not tell where they differ.
func (s String) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(text)) == 1
}

// UnmarshalText makes a secret of a text.
func (s *String) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}

// UnmarshalFile makes a secret of a file, see FromFile. Package strict calls it for values written ${file:/path}.
func (s *String) UnmarshalFile(path string) error {
	read, err := FromFile(path)
	if err != nil {
		return err
	}
	*s = read
	return nil
}

// String returns "[redacted]", or "" when the secret is empty.
func (s String) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString returns what String returns.
func (s String) GoString() string { return s.String() }

// Format writes what String returns, whatever the verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText returns what String returns.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON returns what String returns as a JSON string.
func (s String) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalYAML returns what String returns.
func (s String) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue returns what String returns.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Redact replaces every occurrence of the secret in a text, such as an error message of a library that quotes a request.
func (s String) Redact(text string) string {
	if s.IsZero() {
		return text
	}
	return strings.ReplaceAll(text, s.Reveal(), redacted)
}
