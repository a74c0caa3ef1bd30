package app

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline/decode"
	filesink "github.com/edrwatch/edrwatch/sinks/file"
	"github.com/edrwatch/edrwatch/sinks/store"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// EmbeddedTopics are the topics that the embedded broker has from the start.
func EmbeddedTopics() []string {
	return []string{"edr.crowdstrike.fdr", "edr.windows", "edr.defender", "edr.metrics", "edr.native"}
}

// EmbeddedConfig says where the evaluation set-up keeps its data and listens.
type EmbeddedConfig struct {
	Dir          string // broker data, store and dead letters
	Listen       string // console and API
	HealthListen string
}

// Embedded returns the configuration of the evaluation set-up around a running
// embedded broker: every topic that begins with "edr." goes into the embedded
// store, dead letters into a file.
func Embedded(broker *Broker, e EmbeddedConfig) config.Config {
	cfg := config.Default()
	cfg.Cluster = "embedded"
	if e.Listen != "" {
		cfg.HTTP.Listen = e.Listen
	}
	if e.HealthListen != "" {
		cfg.HTTP.HealthListen = e.HealthListen
	}
	source := kafkasource.DefaultConfig()
	source.Brokers = []string{broker.Addr()}
	source.Topics, source.TopicPattern = nil, `edr\..+`
	source.MetadataInterval = time.Second
	source.Group = "edrwatch"
	cfg.Sources = []config.Source{{Name: "embedded", Type: "kafka", Decode: decode.DefaultConfig(), Settings: &source}}
	keep := store.DefaultConfig()
	keep.Path = filepath.Join(e.Dir, "store.db")
	cfg.Sinks = []config.Sink{{Name: "store", Type: "store", Required: true, Settings: &keep}}
	dead := filesink.DefaultConfig()
	dead.Path = filepath.Join(e.Dir, "dead-letter.ndjson")
	cfg.DeadLetter = config.DeadLetter{Type: "file", Settings: &dead}
	return cfg
}

// DataDir is where the evaluation set-up keeps its data unless --data says otherwise:
// edrwatch below the user's state directory (XDG Base Directory Specification).
func DataDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "edrwatch"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding a data directory: %w: name one with --data", err)
	}
	return filepath.Join(home, ".local", "state", "edrwatch"), nil
}
