package httpx

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
)

// NewTransport returns an HTTP transport that keeps up to connections idle
// connections to a server.
func NewTransport(c tlsconf.Config, log *slog.Logger, connections int) (*http.Transport, error) {
	conf, err := c.Client(log)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   max(connections, 2),
		ForceAttemptHTTP2:     true,
	}, nil
}
