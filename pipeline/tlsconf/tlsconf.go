// Package tlsconf is how every client of edrwatch, whatever its protocol, is configured
// to use TLS: authorities, certificate and key from files, version 1.2 or
// later, the server verified unless that is switched off with a warning.
package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
)

// Config says how a server is verified and how this client proves who it is. The
// zero value verifies against the system's authorities.
type Config struct {
	// CAFile holds PEM certificates of the authorities to trust instead of the
	// system's.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile are this client's PEM certificate and key (mTLS).
	// They are read for each new connection, so they can be renewed in place.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ServerName is the name to verify when it is not that of the address.
	ServerName string `yaml:"server_name"`
	// InsecureSkipVerify accepts any server: for a trial only.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
}

// Validate checks what can be checked without reading files.
func (c Config) Validate() error {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return fmt.Errorf("tls: cert_file and key_file belong together, found only one of them")
	}
	return nil
}

// Client returns the configuration of a TLS client: version 1.2 or later,
// verified unless insecure_skip_verify is set, which is logged as a warning.
func (c Config) Client(log *slog.Logger) (*tls.Config, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify}
	if c.InsecureSkipVerify {
		log.Warn("TLS certificates are not verified: anyone on the network can read and change what is sent; set ca_file instead of insecure_skip_verify",
			"setting", "insecure_skip_verify")
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading tls.ca_file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading tls.ca_file: %s holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile == "" {
		return conf, nil
	}
	if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
		return nil, fmt.Errorf("reading tls.cert_file and tls.key_file: %w", err)
	}
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading tls.cert_file and tls.key_file: %w", err)
		}
		return &pair, nil
	}
	return conf, nil
}
