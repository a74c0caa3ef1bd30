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

// networks are address ranges by what may be asked there.
type networks struct {
	// never are ranges that hold no receiver, wherever it runs: link-local
	// (clouds answer there with credentials), metadata services at other addresses,
	// multicast, and IPv6 ranges that carry an IPv4 address and so could smuggle
	// any other (NAT64, 6to4, Teredo, IPv4-compatible, IPv4-translated).
	never []netip.Prefix
	// inner are loopback, private and special-purpose ranges (IANA's registries,
	// RFC 6890).
	inner []netip.Prefix
}

func newNetworks() networks {
	parse := func(texts ...string) (list []netip.Prefix) {
		for _, t := range texts {
			list = append(list, netip.MustParsePrefix(t))
		}
		return list
	}
	return networks{
		never: parse(
			"0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "fe80::/10", "fec0::/10", "ff00::/8",
			"64:ff9b::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "100::/64",
			"100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::254/128", // Alibaba's, Azure's, AWS's
		),
		inner: parse(
			"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7",
			"192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32",
		),
	}
}

// refuse says why an address may not be asked; nil if it may.
func (n networks) refuse(a netip.Addr, allowPrivate bool) error {
	a = a.Unmap().WithZone("")
	within := func(p netip.Prefix) bool { return p.Contains(a) }
	compatible := a.Is6() && netip.MustParsePrefix("::/96").Contains(a) && !a.IsLoopback()
	switch {
	case compatible || slices.ContainsFunc(n.never, within):
		return fmt.Errorf("%s is a link-local, metadata, multicast or reserved address, where no receiver is", a)
	case !allowPrivate && slices.ContainsFunc(n.inner, within):
		return fmt.Errorf("%s is not a public address: set allow_private if the receiver is in your own network", a)
	}
	return nil
}

// control returns what a dialer calls with the address that a connection goes
// to, after the name was resolved: a name that points to another address by now does not
// get around it.
func (n networks) control(allowPrivate bool) func(network, address string, _ syscall.RawConn) error {
	return func(network, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%s %s is no address", network, address)
		}
		return n.refuse(a.Addr(), allowPrivate)
	}
}

// newClient returns a client that obeys the guard, and no proxy, whose
// addresses could not be guarded.
func newClient(c tlsconf.Config, allowPrivate bool, timeout time.Duration, log *slog.Logger) (*http.Client, error) {
	transport, err := httpx.NewTransport(c, log, 2)
	if err != nil {
		return nil, err
	}
	transport.Proxy = nil
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: newNetworks().control(allowPrivate)}
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
