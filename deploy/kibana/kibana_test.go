package kibana

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/secret"
)

// TestImportSendsAllObjects checks what Kibana gets, and that its key goes
// nowhere else.
func TestImportSendsAllObjects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	redirects := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if redirects {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		file, _, err := r.FormFile("file")
		if err != nil {
			t.Error(err)
			return
		}
		sent, err := io.ReadAll(file)
		if err != nil || !bytes.Equal(sent, Objects()) {
			t.Errorf("%d bytes were sent (%v), want the %d of the file", len(sent), err, len(Objects()))
		}
		if r.URL.String() != "/base/s/soc/api/saved_objects/_import?overwrite=true" || r.Header.Get("kbn-xsrf") == "" || r.Header.Get("Authorization") != "ApiKey a2V5" {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
		fmt.Fprintf(w, `{"success":true,"successCount":%d}`, bytes.Count(sent, []byte("\n")))
	}))
	defer server.Close()
	cfg := Config{URL: server.URL + "/base/", Space: "soc", APIKey: secret.New("a2V5")}
	if n, err := Import(t.Context(), cfg); err != nil || n < 9 {
		t.Errorf("%d objects, %v", n, err)
	}
	redirects = true
	if _, err := Import(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("a redirect: %v", err)
	}
}

// TestImportSaysWhatToDo: an error names the cause and the remedy.
func TestImportSaysWhatToDo(t *testing.T) {
	for want, answer := range map[string]struct {
		code int
		text string
	}{
		"may write Saved Objects Management":              {http.StatusForbidden, `{"message":"no"}`},
		"does the space exist":                            {http.StatusNotFound, `{}`},
		"it answered 503":                                 {http.StatusServiceUnavailable, "later"},
		"is the address that of Kibana":                   {http.StatusOK, "<html>"},
		"dashboard edrwatch-overview: missing_references": {http.StatusOK, `{"success":false,"successCount":3,"errors":[{"id":"edrwatch-overview","type":"dashboard","error":{"type":"missing_references"}}]}`},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(answer.code)
			fmt.Fprint(w, answer.text)
		}))
		if _, err := Import(t.Context(), Config{URL: server.URL}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d %s: %v, want an error that says %q", answer.code, answer.text, err, want)
		}
		server.Close()
	}
	for _, cfg := range []Config{{URL: "kibana:5601"}, {URL: "http://u:p@kibana"}, {URL: "http://kibana", Space: "a/b"}} {
		if _, err := Import(t.Context(), cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
