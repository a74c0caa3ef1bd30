package kafka

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
)

// Config is the YAML of a Kafka source.
type Config struct {
	Brokers []string `yaml:"brokers,required"` // host:port
	Group   string   `yaml:"group"`            // consumer group
	// Topics by name; TopicPattern is a regular expression that must match a
	// topic's whole name. Topics that appear later are picked up.
	Topics       []string `yaml:"topics"`
	TopicPattern string   `yaml:"topic_pattern"`

	// Cluster stands in the ids of events; default is the id that the brokers
	// give. Epoch is raised when a topic was deleted and made again.
	Cluster string `yaml:"cluster"`
	Epoch   int    `yaml:"epoch"`

	// Start is where a partition without a committed offset begins: earliest or
	// latest. OutOfRange is where reading goes on when retention has passed the
	// committed offset: earliest, latest or fail.
	Start      string `yaml:"start"`
	OutOfRange string `yaml:"out_of_range"`
	// Isolation is read_committed (records of aborted transactions are not
	// delivered) or read_uncommitted.
	Isolation string `yaml:"isolation"`
	// MaxRewind caps how far before the committed offset reading begins in
	// order to rebuild the state of rules; 0 never rewinds.
	MaxRewind time.Duration `yaml:"max_rewind"`

	// BatchRecords and BatchBytes limit what a worker gets at a time.
	BatchRecords int          `yaml:"batch_records"`
	BatchBytes   strict.Bytes `yaml:"batch_bytes"`
	// FetchMinBytes and FetchMaxWait make the broker collect records (the
	// linger of a quiet topic); FetchMaxBytes is the usual size of a response.
	FetchMinBytes strict.Bytes  `yaml:"fetch_min_bytes"`
	FetchMaxWait  time.Duration `yaml:"fetch_max_wait"`
	FetchMaxBytes strict.Bytes  `yaml:"fetch_max_bytes"`
	// MaxBatchBytes caps what one compressed record batch may decompress to.
	MaxBatchBytes strict.Bytes `yaml:"max_batch_bytes"`
	// MaxInFlightBytes bounds the bytes that the whole source holds.
	MaxInFlightBytes strict.Bytes `yaml:"max_in_flight_bytes"`

	CommitInterval   time.Duration `yaml:"commit_interval"`
	MetadataInterval time.Duration `yaml:"metadata_interval"` // looking for new topics and partitions
	// DrainTimeout is how long a worker may finish its batch when its partition
	// is revoked or the source stops, before its context ends.
	DrainTimeout     time.Duration `yaml:"drain_timeout"`
	SessionTimeout   time.Duration `yaml:"session_timeout"`
	RebalanceTimeout time.Duration `yaml:"rebalance_timeout"`
	DialTimeout      time.Duration `yaml:"dial_timeout"`

	TLS  TLS  `yaml:"tls"`
	SASL SASL `yaml:"sasl"`
}

// TLS of connections to brokers: at least 1.2, verified unless insecure_skip_verify is set.
// The files are read again for every connection, so that rotated ones count.
type TLS struct {
	Enabled        bool `yaml:"enabled"`
	tlsconf.Config `yaml:",inline"`
}

// SASL authenticates connections to brokers.
type SASL struct {
	Mechanism string        `yaml:"mechanism"` // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; empty: none
	Username  string        `yaml:"username"`
	Password  secret.String `yaml:"password"`
}

// DefaultConfig returns the defaults, with the usual topics and a local broker.
func DefaultConfig() Config {
	return Config{
		Brokers:          []string{"127.0.0.1:9092"},
		Group:            "edrwatch",
		Topics:           []string{"edr.crowdstrike.fdr", "edr.windows", "edr.defender", "edr.metrics"},
		Start:            "earliest",
		OutOfRange:       "earliest",
		Isolation:        "read_committed",
		MaxRewind:        6 * time.Hour,
		BatchRecords:     500,
		BatchBytes:       1 << 20,
		FetchMinBytes:    1,
		FetchMaxWait:     500 * time.Millisecond,
		FetchMaxBytes:    1 << 20,
		MaxBatchBytes:    16 << 20,
		MaxInFlightBytes: 64 << 20,
		CommitInterval:   time.Second,
		MetadataInterval: 10 * time.Second,
		DrainTimeout:     5 * time.Second,
		SessionTimeout:   30 * time.Second,
		RebalanceTimeout: 30 * time.Second,
		DialTimeout:      10 * time.Second,
	}
}

// Validate returns every setting that cannot work, each named by its key.
func (c *Config) Validate() error {
	var problems []error
	problem := func(key, expected string, found any) {
		problems = append(problems, fmt.Errorf("%s: expected %s, found %v", key, expected, found))
	}
	if len(c.Brokers) == 0 {
		problem("brokers", "at least one host:port", "none")
	}
	for _, broker := range c.Brokers {
		if host, port, err := net.SplitHostPort(broker); err != nil || host == "" || port == "" {
			problem("brokers", "host:port", fmt.Sprintf("%q", broker))
		}
	}
	if c.Group == "" {
		problem("group", "a name", "none")
	}
	if len(c.Topics) == 0 && c.TopicPattern == "" {
		problem("topics", "topics or topic_pattern", "neither")
	}
	if _, err := regexp.Compile(c.TopicPattern); err != nil {
		problem("topic_pattern", "a regular expression", err)
	}
	oneOf := func(key, found string, known ...string) {
		for _, k := range known {
			if k == found {
				return
			}
		}
		problem(key, strings.Join(known, " or "), fmt.Sprintf("%q", found))
	}
	oneOf("start", c.Start, "earliest", "latest")
	oneOf("out_of_range", c.OutOfRange, "earliest", "latest", "fail")
	oneOf("isolation", c.Isolation, "read_committed", "read_uncommitted")
	positive := func(key string, value int64, found any) {
		if value <= 0 {
			problem(key, "more than 0", found)
		}
	}
	positive("batch_records", int64(c.BatchRecords), c.BatchRecords)
	for key, value := range map[string]strict.Bytes{
		"batch_bytes": c.BatchBytes, "fetch_min_bytes": c.FetchMinBytes, "fetch_max_bytes": c.FetchMaxBytes, "max_batch_bytes": c.MaxBatchBytes,
	} {
		positive(key, int64(value), value)
		if value > c.MaxInFlightBytes/2 {
			problem(key, fmt.Sprintf("at most half of max_in_flight_bytes (%v)", c.MaxInFlightBytes), value)
		}
	}
	for key, value := range map[string]time.Duration{
		"fetch_max_wait": c.FetchMaxWait, "commit_interval": c.CommitInterval, "metadata_interval": c.MetadataInterval,
		"session_timeout": c.SessionTimeout, "rebalance_timeout": c.RebalanceTimeout, "dial_timeout": c.DialTimeout,
	} {
		positive(key, int64(value), value)
	}
	if c.DrainTimeout < 0 || c.DrainTimeout >= c.RebalanceTimeout {
		problem("drain_timeout", fmt.Sprintf("less than rebalance_timeout (%v)", c.RebalanceTimeout), c.DrainTimeout)
	}
	if c.MaxRewind < 0 {
		problem("max_rewind", "0 or more", c.MaxRewind)
	}
	problems = append(problems, c.TLS.validate(), c.SASL.validate())
	return errors.Join(problems...)
}

func (t *TLS) validate() error {
	if !t.Enabled && *t != (TLS{}) {
		return errors.New("tls.enabled: expected true, because other tls settings are given, found false")
	}
	return t.Config.Validate()
}

func (s *SASL) validate() error {
	switch s.Mechanism {
	case "":
		if s.Username != "" || !s.Password.IsZero() {
			return errors.New("sasl.mechanism: expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, because a user is given, found none")
		}
		return nil
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		if s.Username == "" || s.Password.IsZero() {
			return errors.New("sasl: expected username and password, found none")
		}
		return nil
	}
	return fmt.Errorf("sasl.mechanism: expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, found %q", s.Mechanism)
}
