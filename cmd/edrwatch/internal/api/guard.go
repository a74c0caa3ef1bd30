package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// policy permits the console's own files and nothing else.
const policy = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// readOnly refuses methods that could change something, and bodies, before
// anything looks at the request; and it sets the headers that every answer has.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, problem{Message: "everything here is read-only: expected GET, found " + clean(r.Method)})
		case r.ContentLength != 0:
			h.Set("Connection", "close")
			fail(w, http.StatusRequestEntityTooLarge, problem{Message: "expected a request without a body"})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// secured adds what protects people with a browser: only known names in the
// Host header, and no requests that other sites make.
func secured(hosts []string, next http.Handler) http.Handler {
	return readOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch site := r.Header.Get("Sec-Fetch-Site"); {
		case !knownHost(r.Host, hosts):
			fail(w, http.StatusMisdirectedRequest, problem{Message: "unknown host name in the request: add it to hosts of the data listener"})
		case (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") != "navigate":
			fail(w, http.StatusForbidden, problem{Message: "requests of other sites are refused"})
		default:
			next.ServeHTTP(w, r)
		}
	}))
}

// knownHost reports whether a Host header cannot come from a name that an
// attacker has pointed at this machine (DNS rebinding): an IP address,
// localhost, or a configured name.
func knownHost(header string, hosts []string) bool {
	name, _, err := net.SplitHostPort(header)
	if err != nil {
		name = header
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	return name == "localhost" || slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// clean makes a token of a request fit for a message.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 20)]
}
