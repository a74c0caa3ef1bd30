package store

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Config says where the store lies and how large it may become.
type Config struct {
	// Path is the database file. Its directory is created; -wal and -shm files
	// lie beside it.
	Path string `yaml:"path"`
	// MaxBytes bounds the database: over it the oldest events are evicted. The
	// write-ahead log adds up to 64 MiB.
	MaxBytes strict.Bytes `yaml:"max_bytes"`
}

// smallest is the least size with which the store works sensibly.
const smallest = 4 << 20

// DefaultConfig returns the settings that hold when a file says nothing.
func DefaultConfig() Config {
	return Config{Path: "edrwatch.db", MaxBytes: 1 << 30}
}

// Validate reports everything that is wrong with the settings.
func (c Config) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path: expected the name of the database file, found nothing"))
	}
	if c.MaxBytes < smallest {
		errs = append(errs, fmt.Errorf("max_bytes: expected at least %s, found %s", strict.Bytes(smallest), c.MaxBytes))
	}
	return errors.Join(errs...)
}

// Settings are what a store is given by the program, not by a file.
type Settings struct {
	Name    string                // label "sink" of the metrics; "store" if empty
	Logger  *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nowhere
	// Dictionary knows the names that a search may use; nil is the built-in one.
	Dictionary *ecs.Dictionary
	// VendorRoots are top-level objects, such as "crowdstrike", below which a
	// search may use any name.
	VendorRoots []string
	// Observe, if set, is called after every commit with the documents that
	// were new, in order, by one goroutine at a time. It must not block and must
	// not keep the documents.
	Observe func(docs []*event.Document)
}
