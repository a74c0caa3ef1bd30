// Package registrytest is a schema registry for tests: as strict as Confluent's in
// what it takes, and as faulty as a test wants in what it answers.
package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Reference names a version of a subject.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// Schema is what is registered.
type Schema struct {
	Schema     string      `json:"schema"`
	Type       string      `json:"schemaType,omitempty"`
	References []Reference `json:"references,omitempty"`
}

// Server is a registry. Its methods are safe for concurrent use.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	schemas  map[int]Schema
	subjects map[string]Schema // by subject/version
	asked    map[string]int
	instead  http.HandlerFunc
	auth     string // the Authorization that is asked for
}

// New starts a registry that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := Unstarted(t)
	s.Start()
	return s
}

// Unstarted returns a registry for the test to configure and start.
func Unstarted(t testing.TB) *Server {
	t.Helper()
	s := &Server{schemas: map[int]Schema{}, subjects: map[string]Schema{}, asked: map[string]int{}}
	s.Server = httptest.NewUnstartedServer(s)
	t.Cleanup(s.Close)
	return s
}

// Add registers a schema under an id.
func (s *Server) Add(id int, schema Schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schemas[id] = schema
}

// AddVersion registers a schema as a version of a subject, for references.
func (s *Server) AddVersion(subject string, version int, schema Schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subjects[fmt.Sprintf("%s/%d", subject, version)] = schema
}

// Answer lets h answer every request from now on; nil ends that.
func (s *Server) Answer(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead = h
}

// Fail answers every request with a status from now on.
func (s *Server) Fail(status int) {
	s.Answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>no</html>", status) })
}

// Demand refuses requests without this Authorization header.
func (s *Server) Demand(authorization string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth = authorization
}

// Asked returns how often a path was asked for.
func (s *Server) Asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	instead, auth := s.instead, s.auth
	s.mu.Unlock()
	switch {
	case instead != nil:
		instead(w, r)
	case auth != "" && r.Header.Get("Authorization") != auth:
		refuse(w, http.StatusUnauthorized, 401, "Unauthorized")
	case r.Method != http.MethodGet || r.URL.RawQuery != "":
		refuse(w, http.StatusMethodNotAllowed, 405, "HTTP 405 Method Not Allowed")
	case !strings.Contains(r.Header.Get("Accept"), "application/vnd.schemaregistry.v1+json"):
		refuse(w, http.StatusNotAcceptable, 406, "HTTP 406 Not Acceptable")
	case r.URL.Path == "/schemas/types":
		answer(w, []string{"JSON", "PROTOBUF", "AVRO"})
	default:
		s.find(w, r)
	}
}

// find answers with a schema.
func (s *Server) find(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text, ok := strings.CutPrefix(r.URL.Path, "/schemas/ids/"); ok {
		id, err := strconv.Atoi(text)
		if schema, ok := s.schemas[id]; err == nil && ok {
			answer(w, schema)
			return
		}
		refuse(w, http.StatusNotFound, 40403, "Schema "+text+" not found")
		return
	}
	subject, version, ok := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/subjects/"), "/versions/")
	if !ok {
		refuse(w, http.StatusNotFound, 404, "HTTP 404 Not Found")
		return
	}
	for name, schema := range s.subjects {
		at := strings.LastIndexByte(name, '/')
		if strings.ReplaceAll(name[:at], "/", "%2F") == subject && name[at+1:] == version {
			answer(w, schema)
			return
		}
	}
	refuse(w, http.StatusNotFound, 40401, "Subject '"+subject+"' not found.")
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	_ = json.NewEncoder(w).Encode(v) // A client that went away does not matter.
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error_code": code, "message": message})
}
