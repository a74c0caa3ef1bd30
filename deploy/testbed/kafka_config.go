//go:build unix

package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	portsPerNode = 5
	clusterID    = "4L6g3nShT-eMCtK--X86sw"

	testUser     = "edrwatch"
	testPassword = "testbed-password"
)

type kafkaPorts struct{ plain, controller, sasl, saslTLS, mtls int }

func (n *kafkaNode) configFile() string { return filepath.Join(n.dir, "server.properties") }

// kafkaJVM returns the flags of a JVM that starts fast and stays small.
func kafkaJVM(libs string) []string {
	return []string{
		"-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Djava.awt.headless=true", "-cp", filepath.Join(libs, "*"),
	}
}

// newKafkaSecurity makes the certificates and the user of a secured cluster in dir.
func newKafkaSecurity(dir string) (*KafkaSecurity, error) {
	certs, err := NewCertificates(dir)
	if err != nil {
		return nil, err
	}
	// Kafka reads the private key and its certificate chain from one file.
	var keystore []byte
	for _, file := range []string{certs.ServerKeyFile, certs.ServerCertFile, certs.CAFile} {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading certificate: %w", err)
		}
		keystore = append(keystore, content...)
	}
	if err := os.WriteFile(keystoreFile(certs), keystore, 0o644); err != nil {
		return nil, fmt.Errorf("writing key store: %w", err)
	}
	return &KafkaSecurity{User: testUser, Password: testPassword, Certificates: certs}, nil
}

func keystoreFile(c *Certificates) string {
	return filepath.Join(filepath.Dir(c.CAFile), "kafka-keystore.pem")
}

// formatStorage prepares the data directory of a new broker.
func formatStorage(ctx context.Context, java, libs string, node *kafkaNode, security *KafkaSecurity) error {
	args := append(kafkaJVM(libs), "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", node.configFile())
	if security != nil {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, security.User, security.Password))
		}
	}
	return runTool(ctx, node.dir, nil, filepath.Join(java, "bin", "java"), args...)
}

// properties returns the configuration of a node.
func (s *KafkaServer) properties(node *kafkaNode) string {
	var voters []string
	for _, n := range s.nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", n.id, loopback(n.ports.controller)))
	}
	listeners := []string{"PLAINTEXT://" + loopback(node.ports.plain)}
	if s.security != nil {
		listeners = append(listeners,
			"SASL_PLAINTEXT://"+loopback(node.ports.sasl),
			"SASL_SSL://"+loopback(node.ports.saslTLS),
			"SSL://"+loopback(node.ports.mtls))
	}
	advertised := strings.Join(listeners, ",")
	replicas := min(3, len(s.nodes))
	insync := max(1, replicas-1)
	var b strings.Builder
	set := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }
	set("process.roles", "broker,controller")
	set("node.id", node.id)
	set("controller.quorum.voters", strings.Join(voters, ","))
	set("listeners", advertised+",CONTROLLER://"+loopback(node.ports.controller))
	set("advertised.listeners", advertised)
	set("controller.listener.names", "CONTROLLER")
	set("inter.broker.listener.name", "PLAINTEXT")
	set("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL")
	set("log.dirs", filepath.Join(node.dir, "data"))
	set("auto.create.topics.enable", false)
	set("default.replication.factor", replicas)
	set("min.insync.replicas", insync)
	set("offsets.topic.replication.factor", replicas)
	set("offsets.topic.num.partitions", 4)
	set("transaction.state.log.replication.factor", replicas)
	set("transaction.state.log.min.isr", insync)
	set("transaction.state.log.num.partitions", 4)
	set("group.initial.rebalance.delay.ms", 0)
	// A dead broker is noticed after this time: the shortest that a busy machine bears.
	set("broker.session.timeout.ms", 6000)
	// Records of past years, such as those of 19 July 2024, must not expire.
	set("log.retention.ms", -1)
	set("log.cleaner.dedupe.buffer.size", 4<<20)
	set("num.network.threads", 2)
	set("num.io.threads", 2)
	if s.security != nil {
		s.security.properties(set)
	}
	return b.String()
}

// properties adds the settings of the secured listeners.
func (s *KafkaSecurity) properties(set func(key string, value any)) {
	set("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512")
	for _, listener := range []string{"sasl_plaintext", "sasl_ssl"} {
		prefix := "listener.name." + listener + "."
		set(prefix+"plain.sasl.jaas.config",
			fmt.Sprintf("org.apache.kafka.common.security.plain.PlainLoginModule required user_%s=%q;", s.User, s.Password))
		for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
			set(prefix+mechanism+".sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required;")
		}
	}
	set("ssl.keystore.type", "PEM")
	set("ssl.keystore.location", keystoreFile(s.Certificates))
	set("ssl.truststore.type", "PEM")
	set("ssl.truststore.location", s.CAFile)
	set("listener.name.ssl.ssl.client.auth", "required")
}
