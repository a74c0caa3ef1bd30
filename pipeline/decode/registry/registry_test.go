package registry_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edrwatch/edrwatch/pipeline/decode/registry"
	"github.com/edrwatch/edrwatch/pipeline/decode/registry/registrytest"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/pipeline/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// join is the compile step of these tests: the schemas in their order.
func join(d *registry.Definition) (string, error) {
	if strings.Contains(d.Schemas[len(d.Schemas)-1], "broken") {
		return "", errors.New("it is broken")
	}
	return d.Type + ": " + strings.Join(d.Schemas, " "), nil
}

type registryOption func(*registry.Config, *registry.Settings)

func newRegistry(t *testing.T, s *registrytest.Server, options ...registryOption) *registry.Registry[string] {
	t.Helper()
	cfg, set := registry.DefaultConfig(), registry.Settings{Source: "kafka"}
	cfg.URLs = []string{s.URL}
	for _, o := range options {
		o(&cfg, &set)
	}
	r, err := registry.New(cfg, join, set)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestASchemaIsAskedForOnce(t *testing.T) {
	s := registrytest.New(t)
	s.Add(7, registrytest.Schema{Schema: `"string"`})
	r := newRegistry(t, s)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if got, err := r.Schema(t.Context(), 7); err != nil || got != `AVRO: "string"` {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	group.Wait()
	if n := s.Asked("/schemas/ids/7"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestReferencesComeFirst follows references over two ways to the same subject,
// whose name needs escaping.
func TestReferencesComeFirst(t *testing.T) {
	s := registrytest.New(t)
	base := registrytest.Reference{Name: "Base", Subject: "a/base", Version: 3}
	s.AddVersion("a/base", 3, registrytest.Schema{Schema: "base"})
	for _, name := range []string{"left", "right"} {
		s.AddVersion(name, 1, registrytest.Schema{Schema: name, References: []registrytest.Reference{base}})
	}
	s.Add(1, registrytest.Schema{Schema: "top", References: []registrytest.Reference{
		{Name: "Left", Subject: "left", Version: 1}, {Name: "Right", Subject: "right", Version: 1}, base,
	}})
	if got, err := newRegistry(t, s).Schema(t.Context(), 1); err != nil || got != "AVRO: base left right top" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestWhatAnAnswerMeans holds what condemns a record, and what only makes it wait.
func TestWhatAnAnswerMeans(t *testing.T) {
	json := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		class  fault.Class
		reason fault.Reason
	}{
		"no such schema":           {json(404, `{"error_code":40403,"message":"Schema 9 not found"}`), fault.Permanent, fault.UnknownSchema},
		"a wrong path":             {json(404, `{"error_code":404,"message":"HTTP 404 Not Found"}`), fault.Operator, fault.Misconfigured},
		"a proxy's 404":            {json(404, `<html>`), fault.Operator, fault.Misconfigured},
		"unauthorized":             {json(401, ``), fault.Operator, fault.Unauthorized},
		"forbidden":                {json(403, `{"error_code":40301}`), fault.Operator, fault.Unauthorized},
		"an error of the server":   {json(500, `{"error_code":50001}`), fault.Transient, fault.Unavailable},
		"a gateway's error":        {json(502, ``), fault.Transient, fault.Unavailable},
		"too many requests":        {json(429, ``), fault.Transient, fault.Overloaded},
		"a page":                   {json(200, `<html>log in</html>`), fault.Transient, fault.Garbled},
		"nothing":                  {json(200, ``), fault.Transient, fault.Garbled},
		"no schema":                {json(200, `{}`), fault.Transient, fault.Garbled},
		"more than is read":        {json(200, strings.Repeat(" ", 5<<20)), fault.Transient, fault.Garbled},
		"a schema of no use":       {json(200, `{"schema":"broken"}`), fault.Permanent, fault.UnknownSchema},
		"a connection that breaks": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fault.Transient, fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.New(t)
			s.Answer(c.answer)
			r := newRegistry(t, s)
			_, err := r.Schema(t.Context(), 9)
			if f := fault.Of(err); f == nil || f.Class != c.class || f.Reason != c.reason {
				t.Errorf("got %v, want %v %v", err, c.class, c.reason)
			}
			if err != nil && !strings.Contains(err.Error(), "schema 9") {
				t.Errorf("the schema is not named: %v", err)
			}
			// What condemns a record is kept, what passes is asked again.
			asked := s.Asked("/schemas/ids/9")
			_, _ = r.Schema(t.Context(), 9)
			if again := s.Asked("/schemas/ids/9") > asked; again == (c.class == fault.Permanent) {
				t.Errorf("asked again: %v", again)
			}
			if broken := r.Health(t.Context()) != nil; broken == (c.class == fault.Permanent) {
				t.Errorf("unhealthy: %v", broken)
			}
			s.Answer(nil)
			s.Add(9, registrytest.Schema{Schema: "fine"})
			if err := r.Health(t.Context()); err != nil {
				t.Errorf("unhealthy after the registry came back: %v", err)
			}
		})
	}
}

// TestOneSchemaThatCannotBeAskedForIsUnhealthy has a registry that answers, and
// refuses one schema: what waits for it is not forgotten for what else is fine.
func TestOneSchemaThatCannotBeAskedForIsUnhealthy(t *testing.T) {
	s, other := registrytest.New(t), registrytest.New(t)
	for id := range 3 {
		other.Add(id, registrytest.Schema{Schema: fmt.Sprint(id)})
	}
	s.Answer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/schemas/ids/1" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		other.ServeHTTP(w, r)
	})
	r := newRegistry(t, s)
	for id := range int32(3) {
		if _, err := r.Schema(t.Context(), id); (err != nil) != (id == 1) {
			t.Fatal(id, err)
		}
	}
	if r.Check(t.Context()) != nil {
		t.Error("the registry answers")
	}
	if err := r.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "schema 1") {
		t.Errorf("health: %v", err)
	}
	s.Answer(other.ServeHTTP)
	if err := r.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRedirectsAreNotFollowed keeps credentials and requests from servers that
// nobody configured.
func TestRedirectsAreNotFollowed(t *testing.T) {
	other := registrytest.New(t)
	other.Add(1, registrytest.Schema{Schema: "elsewhere"})
	s := registrytest.New(t)
	s.Answer(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
	})
	_, err := newRegistry(t, s).Schema(t.Context(), 1)
	if f := fault.Of(err); f == nil || f.Class != fault.Operator || !strings.Contains(err.Error(), "redirects") {
		t.Error(err)
	}
	if other.Asked("/schemas/ids/1") != 0 {
		t.Error("the other server was asked")
	}
}

func TestTheNextServerIsAsked(t *testing.T) {
	down, up := registrytest.New(t), registrytest.New(t)
	down.Fail(http.StatusServiceUnavailable)
	up.Add(1, registrytest.Schema{Schema: "one"})
	up.Add(2, registrytest.Schema{Schema: "two"})
	r := newRegistry(t, up, func(c *registry.Config, _ *registry.Settings) { c.URLs = []string{down.URL, up.URL} })
	for id := range int32(2) {
		if _, err := r.Schema(t.Context(), id+1); err != nil {
			t.Error(err)
		}
	}
	if n := down.Asked("/schemas/ids/2"); n != 0 {
		t.Errorf("the one that is down was asked %d times more", n)
	}
}

// TestAnUnknownIDIsAskedForLater registers a schema after a record named it.
func TestAnUnknownIDIsAskedForLater(t *testing.T) {
	s := registrytest.New(t)
	now := time.Unix(0, 0)
	r := newRegistry(t, s, func(_ *registry.Config, set *registry.Settings) { set.Now = func() time.Time { return now } })
	if _, err := r.Schema(t.Context(), 5); fault.Of(err).Reason != fault.UnknownSchema {
		t.Fatal(err)
	}
	s.Add(5, registrytest.Schema{Schema: "late"})
	if _, err := r.Schema(t.Context(), 5); err == nil {
		t.Error("it was asked for at once")
	}
	now = now.Add(time.Minute)
	if _, err := r.Schema(t.Context(), 5); err != nil {
		t.Error(err)
	}
}

// TestForgedIDsDoNotDisplaceSchemas names many ids that do not exist.
func TestForgedIDsDoNotDisplaceSchemas(t *testing.T) {
	s := registrytest.New(t)
	s.Add(1, registrytest.Schema{Schema: "one"})
	r := newRegistry(t, s, func(c *registry.Config, _ *registry.Settings) { c.MaxSchemas = 4 })
	for id := range int32(20) {
		_, _ = r.Schema(t.Context(), 1)
		_, _ = r.Schema(t.Context(), 100+id)
	}
	if n := s.Asked("/schemas/ids/1"); n != 1 {
		t.Errorf("the schema was asked for %d times", n)
	}
}

// TestTheLeastUsedSchemaGoes bounds what is kept.
func TestTheLeastUsedSchemaGoes(t *testing.T) {
	s := registrytest.New(t)
	for id := range 3 {
		s.Add(id, registrytest.Schema{Schema: fmt.Sprint(id)})
	}
	r := newRegistry(t, s, func(c *registry.Config, _ *registry.Settings) { c.MaxSchemas = 2 })
	for _, id := range []int32{0, 1, 0, 2, 0, 1} {
		if _, err := r.Schema(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if s.Asked("/schemas/ids/0") != 1 || s.Asked("/schemas/ids/1") != 2 {
		t.Errorf("asked for 0 %d times, for 1 %d times", s.Asked("/schemas/ids/0"), s.Asked("/schemas/ids/1"))
	}
}

// TestCredentials tries both ways to authenticate, and a token that is rotated.
func TestCredentials(t *testing.T) {
	s := registrytest.New(t)
	s.Add(1, registrytest.Schema{Schema: "one"})
	s.Add(2, registrytest.Schema{Schema: "two"})
	s.Demand("Basic dXNlcjpodW50ZXIy")
	basic := newRegistry(t, s, func(c *registry.Config, _ *registry.Settings) { c.Username, c.Password = "user", secret.New("hunter2") })
	if _, err := basic.Schema(t.Context(), 1); err != nil {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := secret.FromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s.Demand("Bearer new")
	r := newRegistry(t, s, func(c *registry.Config, _ *registry.Settings) { c.Token = token })
	_, err = r.Schema(t.Context(), 2)
	if f := fault.Of(err); f == nil || f.Class != fault.Operator || f.Reason != fault.Unauthorized || strings.Contains(err.Error(), "old") {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Schema(t.Context(), 2); err != nil {
		t.Error(err)
	}
}

// TestMutualTLS verifies the server by a file of authorities and shows a
// certificate of its own.
func TestMutualTLS(t *testing.T) {
	cert, key := selfSigned(t)
	s := registrytest.Unstarted(t)
	clients := x509.NewCertPool()
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	clients.AppendCertsFromPEM(text)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	s.StartTLS()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Add(1, registrytest.Schema{Schema: "one"})
	r := newRegistry(t, s, func(c *registry.Config, _ *registry.Settings) {
		c.TLS.CAFile, c.TLS.CertFile, c.TLS.KeyFile = ca, cert, key
	})
	if _, err := r.Schema(t.Context(), 1); err != nil {
		t.Error(err)
	}
	for name, option := range map[string]registryOption{
		"no certificate": func(c *registry.Config, _ *registry.Settings) { c.TLS.CAFile = ca },
		"no authority":   func(c *registry.Config, _ *registry.Settings) { c.TLS.CertFile, c.TLS.KeyFile = cert, key },
	} {
		_, err := newRegistry(t, s, option).Schema(t.Context(), 1)
		if f := fault.Of(err); f == nil || f.Class != fault.Transient {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestWhoWaitsCanGo gives up a lookup whose answer does not come.
func TestWhoWaitsCanGo(t *testing.T) {
	s := registrytest.New(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	s.Answer(func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	defer close(release)
	r := newRegistry(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := r.Schema(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestConfigurationThatCannotWork(t *testing.T) {
	for want, change := range map[string]func(*registry.Config){
		"urls: expected an address":            func(c *registry.Config) { c.URLs = []string{"registry:8081"} },
		"urls: an address carries credentials": func(c *registry.Config) { c.URLs = []string{"http://u:hunter2@registry"} },
		"carries a query":                      func(c *registry.Config) { c.URLs = []string{"http://registry?a=b"} },
		"token: expected either":               func(c *registry.Config) { c.Username, c.Password, c.Token = "u", secret.New("p"), secret.New("t") },
		"username: expected username and":      func(c *registry.Config) { c.Username = "u" },
		"tls: cert_file":                       func(c *registry.Config) { c.TLS.CertFile = "x" },
		"urls: expected the address":           func(c *registry.Config) { c.URLs, c.Token = nil, secret.New("t") },
		"timeout:":                             func(c *registry.Config) { c.Timeout = 0 },
		"max_schemas:":                         func(c *registry.Config) { c.MaxSchemas = 0 },
		"unknown_for:":                         func(c *registry.Config) { c.UnknownFor = 0 },
	} {
		cfg := registry.DefaultConfig()
		cfg.URLs = []string{"https://registry.example:8081/base"}
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if off := registry.DefaultConfig(); off.Validate() != nil || off.Enabled() || slices.Contains(off.URLs, "") {
		t.Error("the defaults have no registry and are valid")
	}
}
