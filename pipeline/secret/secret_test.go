package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/edrwatch/edrwatch/pipeline/secret"
)

const canary = "c4n4ry-hunter2"

type settings struct {
	Password secret.String  `json:"password"`
	Pointer  *secret.String `json:"pointer"`
	hidden   secret.String
	List     []secret.String
	Map      map[string]secret.String
}

func TestNothingPrintsTheSecret(t *testing.T) {
	s := secret.New(canary)
	in := settings{s, &s, s, []secret.String{s}, map[string]secret.String{"k": s}}
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%20s", "%!"} {
		out[verb] = fmt.Sprintf(verb, s)
		out["*"+verb] = fmt.Sprintf(verb, &s)
		out["struct "+verb] = fmt.Sprintf(verb, in)
		out["*struct "+verb] = fmt.Sprintf(verb, &in)
	}
	encode := func(name string, text []byte, err error) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		out[name] = string(text)
	}
	text, err := json.Marshal(in)
	encode("json", text, err)
	text, err = yaml.Marshal(in)
	encode("yaml", text, err)
	text, err = xml.Marshal(s)
	encode("xml", text, err)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("m", "secret", s, "settings", in, "pointer", &in, "error", fmt.Errorf("refused: %v", s))
	}
	out["slog"] = log.String()
	out["error"] = errors.Join(fmt.Errorf("%w %v", errors.New("x"), s)).Error()
	out["panic"] = func() (text string) {
		defer func() { text = fmt.Sprint(recover()) }()
		panic(in)
	}()
	for how, text := range out {
		if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s shows the secret: %s", how, text)
		}
	}
	for how, want := range map[string]string{"%v": "[redacted]", "%#v": "[redacted]", "%q": "[redacted]", "%T": "secret.String"} {
		if out[how] != want {
			t.Errorf("%s prints %q, want %q", how, out[how], want)
		}
	}
	if s.Reveal() != canary {
		t.Errorf("Reveal gives %q", s.Reveal())
	}
}

func TestEmptySecret(t *testing.T) {
	var s secret.String
	if text, err := json.Marshal(s); !s.IsZero() || s.Reveal() != "" || s.String() != "" || string(text) != `""` || err != nil {
		t.Errorf("%q %s %v", s.Reveal(), text, err)
	}
	if changed, err := s.Refresh(); changed || err != nil {
		t.Error(changed, err)
	}
	if !secret.New("").IsZero() || s.Redact("a text") != "a text" {
		t.Error("the empty secret is not empty")
	}
}

func TestFileIsReadAgainOnRefresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(" old\n")
	var s secret.String
	if err := s.UnmarshalFile(path); err != nil {
		t.Fatal(err)
	}
	other := s // Copies follow.
	if s.Reveal() != "old" || s.Path() != path || s.String() != "[redacted]" {
		t.Errorf("%q from %q", s.Reveal(), s.Path())
	}
	if changed, err := s.Refresh(); changed || err != nil {
		t.Error(changed, err)
	}
	write("new\r\n")
	if changed, err := s.Refresh(); !changed || err != nil || other.Reveal() != "new" || !other.Equal("new") || other.Equal("old") {
		t.Error(changed, err, other.Reveal())
	}
	write("")
	if changed, err := s.Refresh(); changed || err == nil || s.Reveal() != "new" {
		t.Error(changed, err, s.Reveal())
	}
}

func TestFileErrorsNameThePath(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("x"), secret.MaxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "missing"), dir, large} {
		if _, err := secret.FromFile(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := secret.FromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if _, err := s.Refresh(); err != nil || s.Reveal() != canary {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestRedact(t *testing.T) {
	if got := secret.New(canary).Redact("Bearer " + canary + "!"); got != "Bearer [redacted]!" {
		t.Error(got)
	}
}
