//go:build unix

package testbed

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	esStart = 4 * time.Minute
	esStop  = time.Minute

	// nobody is the user that Elasticsearch runs as when the test is root, which it refuses to be.
	nobody = 65534
)

// ESOption changes how [Elasticsearch] sets up its node.
type ESOption func(*esSetup)

type esSetup struct {
	settings []string
	secure   bool
}

// ESSetting adds a line to elasticsearch.yml, such as
// "indexing_pressure.memory.limit", "1mb".
func ESSetting(key, value string) ESOption {
	return func(s *esSetup) { s.settings = append(s.settings, key+": "+value) }
}

// ESSecurity turns on TLS, passwords and API keys; see [ESServer.Security].
func ESSecurity() ESOption { return func(s *esSetup) { s.secure = true } }

// ESServer is a running single-node Elasticsearch with the testbed's plugin. What
// it lacks in comparison with a full distribution is in the README beside this file.
type ESServer struct {
	port     int
	command  command
	process  *process
	client   *http.Client
	security *ESAccess
}

// ESAccess is a superuser of a node with [ESSecurity].
type ESAccess struct {
	User, Password string
	*Certificates
}

// Elasticsearch starts a node that lives as long as the test.
func Elasticsearch(t testing.TB, options ...ESOption) *ESServer {
	t.Helper()
	s := &Shared{}
	t.Cleanup(s.Close)
	return s.Elasticsearch(t, options...)
}

func startElasticsearch(ctx context.Context, cache *Cache, dir string, options ...ESOption) (*ESServer, error) {
	var setup esSetup
	for _, option := range options {
		option(&setup)
	}
	java, err := findJava()
	if err != nil {
		return nil, err
	}
	home, err := cache.Elasticsearch(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &ESServer{port: ports[0], client: &http.Client{Transport: &http.Transport{}}}
	var credential *syscall.Credential
	if os.Geteuid() == 0 {
		credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		// That user may be barred from the cache, which often lies in root's home.
		own := filepath.Join(dir, "home")
		if err := linkTree(home, own); err != nil {
			return nil, fmt.Errorf("copying Elasticsearch: %w", err)
		}
		home = own
	}
	config := filepath.Join(dir, "config")
	if err := os.CopyFS(config, os.DirFS(filepath.Join(home, "config"))); err != nil {
		return nil, fmt.Errorf("copying Elasticsearch's configuration: %w", err)
	}
	for _, sub := range []string{"data", "logs", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("creating Elasticsearch directory: %w", err)
		}
	}
	if setup.secure {
		if err := s.secure(config); err != nil {
			return nil, err
		}
	}
	if err := writeESConfig(dir, config, ports, setup, s.security); err != nil {
		return nil, err
	}
	if credential != nil {
		if err := giveTree(dir, home, nobody); err != nil {
			return nil, err
		}
	}
	s.command = command{
		name: "elasticsearch",
		path: filepath.Join(home, "bin", "elasticsearch"),
		env: []string{
			"ES_JAVA_HOME=" + java,
			"ES_PATH_CONF=" + config,
			"ES_TMPDIR=" + filepath.Join(dir, "tmp"),
			"HOME=" + dir,
			"CLI_JAVA_OPTS=-Xmx32m -XX:TieredStopAtLevel=1",
			"ES_JAVA_OPTS=",
		},
		dir:        dir,
		logFile:    filepath.Join(dir, "logs", "server.log"),
		credential: credential,
	}
	if err := s.start(ctx); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

// giveTree gives a directory to a user, except what lies in keep.
func giveTree(dir, keep string, uid int) error {
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == keep:
			return fs.SkipDir
		}
		return os.Chown(path, uid, uid)
	})
	if err != nil {
		return fmt.Errorf("giving the server directory to user %d: %w", uid, err)
	}
	return nil
}

func (s *ESServer) start(ctx context.Context) (err error) {
	if s.process, err = s.command.start(); err != nil {
		return err
	}
	return s.process.await(ctx, esStart, func(ctx context.Context) error {
		status, body, err := s.do(ctx, http.MethodGet, "/_cluster/health?wait_for_status=yellow&timeout=1s", "")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("cluster health: status %d: %s", status, body)
		}
		return err
	})
}

// URL returns the address of the HTTP API, without a slash at the end.
func (s *ESServer) URL() string {
	if s.security != nil {
		return "https://" + loopback(s.port)
	}
	return "http://" + loopback(s.port)
}

// Security returns the access data of a node with [ESSecurity], otherwise nil.
func (s *ESServer) Security() *ESAccess { return s.security }

// Do sends a request to the node, as superuser when it has security, and returns
// status and body. A body whose path ends in _bulk is NDJSON, any other is JSON.
func (s *ESServer) Do(t testing.TB, method, path, body string) (status int, answer []byte) {
	t.Helper()
	status, answer, err := s.do(t.Context(), method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, answer
}

func (s *ESServer) do(ctx context.Context, method, path, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("building request: %w", err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		if strings.HasSuffix(req.URL.Path, "_bulk") {
			req.Header.Set("Content-Type", "application/x-ndjson")
		}
	}
	if s.security != nil {
		req.SetBasicAuth(s.security.User, s.security.Password)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("sending request: %w", err)
	}
	defer resp.Body.Close()
	var answer bytes.Buffer
	if _, err := io.Copy(&answer, resp.Body); err != nil {
		return 0, nil, fmt.Errorf("reading answer: %w", err)
	}
	return resp.StatusCode, answer.Bytes(), nil
}

// Stop stops the node in an orderly way.
func (s *ESServer) Stop(t testing.TB) {
	t.Helper()
	s.client.CloseIdleConnections()
	if err := s.process.stop(esStop); err != nil {
		t.Fatalf("stopping: %v", err)
	}
}

// Kill kills the node with SIGKILL.
func (s *ESServer) Kill(testing.TB) { s.kill() }

// Restart starts the node again on the same address with the same data, killing
// it when it still runs, and waits until it is ready.
func (s *ESServer) Restart(t testing.TB) {
	t.Helper()
	s.kill()
	if err := s.start(t.Context()); err != nil {
		t.Fatalf("restarting: %v", err)
	}
}

func (s *ESServer) kill() {
	s.client.CloseIdleConnections()
	if s.process != nil {
		s.process.kill()
	}
}

func (s *ESServer) logTails() []string { return []string{s.command.logTail()} }

// secure makes the certificates and the user of a secured node in its config directory.
func (s *ESServer) secure(config string) error {
	certs, err := NewCertificates(config)
	if err != nil {
		return err
	}
	s.security = &ESAccess{User: testUser, Password: testPassword, Certificates: certs}
	ca, err := os.ReadFile(certs.CAFile)
	if err != nil {
		return fmt.Errorf("reading authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return errors.New("reading authority: no certificate in it")
	}
	s.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	return nil
}
