//go:build unix

package testbed

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeESConfig writes the configuration directory of a node that keeps its data in
// dir. The directory holds the distribution's own configuration already; its logging
// is kept because the node does not start with a plainer one: the first use of a
// calendar must come before the node gives up the right to load one.
func writeESConfig(dir, config string, ports []int, setup esSetup, security *ESAccess) error {
	settings := append([]string{
		"cluster.name: edrwatch-testbed",
		"node.name: testbed",
		"path.data: " + filepath.Join(dir, "data"),
		"path.logs: " + filepath.Join(dir, "logs"),
		"http.host: 127.0.0.1",
		"transport.host: 127.0.0.1",
		fmt.Sprintf("http.port: %d", ports[0]),
		fmt.Sprintf("transport.port: %d", ports[1]),
		"discovery.type: single-node",
		// A test must not depend on how full the machine's disk is.
		"cluster.routing.allocation.disk.threshold_enabled: false",
		"xpack.security.autoconfiguration.enabled: false",
		fmt.Sprintf("xpack.security.enabled: %t", security != nil),
	}, setup.settings...)
	files := map[string]string{
		"jvm.options": strings.Join([]string{
			"-Xms1g", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
			"-Djava.io.tmpdir=${ES_TMPDIR}", "",
		}, "\n"),
	}
	if security != nil {
		settings = append(settings,
			"xpack.security.http.ssl.enabled: true",
			"xpack.security.http.ssl.key: "+filepath.Base(security.ServerKeyFile),
			"xpack.security.http.ssl.certificate: "+filepath.Base(security.ServerCertFile),
			"xpack.security.http.ssl.certificate_authorities: "+filepath.Base(security.CAFile),
		)
		hash, err := hashPassword(security.Password)
		if err != nil {
			return err
		}
		files["users"] = security.User + ":" + hash + "\n"
		files["users_roles"] = "superuser:" + security.User + "\n"
	}
	files["elasticsearch.yml"] = strings.Join(settings, "\n") + "\n"
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(config, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("writing Elasticsearch configuration: %w", err)
		}
	}
	return nil
}

// hashPassword hashes a password as Elasticsearch's file realm reads it: PBKDF2
// with HMAC-SHA-512, "{PBKDF2}iterations$salt$hash", salt and hash of 32 bytes.
func hashPassword(password string) (string, error) {
	const iterations = 10000
	salt := make([]byte, 32)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("generating salt: %w", err)
	}
	key, err := pbkdf2.Key(sha512.New, password, salt, iterations, 32)
	if err != nil {
		return "", fmt.Errorf("hashing password: %w", err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("{PBKDF2}%d$%s$%s", iterations, b64(salt), b64(key)), nil
}
