package tlsconf

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.pem")
	if err := os.WriteFile(text, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		conf Config
		want string
	}{
		{Config{}, ""},
		{Config{CAFile: filepath.Join(dir, "absent.pem")}, "reading tls.ca_file"},
		{Config{CAFile: text}, "holds no PEM certificate"},
		{Config{CertFile: text}, "belong together"},
		{Config{CertFile: text, KeyFile: text}, "reading tls.cert_file and tls.key_file"},
	} {
		_, err := test.conf.Client(slog.New(slog.DiscardHandler))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.conf, err, test.want)
		}
	}
	var log strings.Builder
	conf, err := Config{InsecureSkipVerify: true}.Client(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || !conf.InsecureSkipVerify || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("insecure_skip_verify: %v, log %q", err, log.String())
	}
}
