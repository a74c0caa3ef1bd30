package testbed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates are PEM files of a throw-away authority: a server certificate for
// localhost and the loopback addresses, and a client certificate.
type Certificates struct {
	CAFile         string
	ServerCertFile string // certificate
	ServerKeyFile  string // PKCS #8 private key
	ClientCertFile string
	ClientKeyFile  string
}

// NewCertificates writes certificates that are valid for one day into dir.
func NewCertificates(dir string) (*Certificates, error) {
	c := &Certificates{
		CAFile:         filepath.Join(dir, "ca.pem"),
		ServerCertFile: filepath.Join(dir, "server.pem"),
		ServerKeyFile:  filepath.Join(dir, "server-key.pem"),
		ClientCertFile: filepath.Join(dir, "client.pem"),
		ClientKeyFile:  filepath.Join(dir, "client-key.pem"),
	}
	ca := certificateTemplate("testbed authority")
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	caKey, err := writeCertificate(c.CAFile, "", ca, ca, nil)
	if err != nil {
		return nil, err
	}
	server := certificateTemplate("localhost")
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if _, err := writeCertificate(c.ServerCertFile, c.ServerKeyFile, server, ca, caKey); err != nil {
		return nil, err
	}
	if _, err := writeCertificate(c.ClientCertFile, c.ClientKeyFile, certificateTemplate("edrwatch"), ca, caKey); err != nil {
		return nil, err
	}
	return c, nil
}

func certificateTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// writeCertificate signs template by parent with parentKey, or by its own new key
// when that is nil, and writes certificate and key. Anybody may read the key: a
// server that runs as another user must, and it guards nothing.
func writeCertificate(certFile, keyFile string, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generating key: %w", err)
	}
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, fmt.Errorf("signing certificate: %w", err)
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return nil, fmt.Errorf("writing certificate: %w", err)
	}
	if keyFile == "" {
		return key, nil
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding key: %w", err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o644); err != nil {
		return nil, fmt.Errorf("writing key: %w", err)
	}
	return key, nil
}
