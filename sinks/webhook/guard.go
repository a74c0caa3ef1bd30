package webhook

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// special are networks that are no place for a webhook although they look like
// ordinary unicast (IANA's special-purpose registries).
func special() []netip.Prefix {
	var list []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "2002::/16", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

// public reports whether an address belongs to the internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(special(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// guard is called with the address that a connection goes to, after the name
// was resolved: a name that points elsewhere by now does not get around it.
func guard(network, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s %s is no address", network, address)
	}
	if !public(a.Addr()) {
		return fmt.Errorf("%s is not a public address: set allow_private if the receiver is in your own network", a.Addr())
	}
	return nil
}

// newClient returns a client that obeys the guard, and no proxy, whose
// addresses could not be guarded.
func newClient(c tlsconf.Config, allowPrivate bool, timeout time.Duration, log *slog.Logger) (*http.Client, error) {
	transport, err := httpx.NewTransport(c, log, 2)
	if err != nil {
		return nil, err
	}
	transport.Proxy = nil
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if !allowPrivate {
		dialer.Control = guard
	}
	transport.DialContext = dialer.DialContext
	return &http.Client{
		Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// allowed reports whether a host may be asked: it is in the list, or under an
// entry that begins with a dot.
func allowed(host string, list []string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(list, func(entry string) bool {
		entry = strings.ToLower(entry)
		return host == entry || strings.HasPrefix(entry, ".") && strings.HasSuffix(host, entry)
	})
}
