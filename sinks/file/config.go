package file

import (
	"fmt"
	"io"
	"log/slog"
)

// Stdout is the path that stands for standard output.
const Stdout = "-"

// Config is what an operator sets of a file sink or a file dead letter.
type Config struct {
	// Path is the file to append to; "-" is standard output. Its directory
	// must exist. A new file is readable by its owner only.
	Path string `yaml:"path"`
	// Sync waits until the disk has the lines before they count as written.
	Sync bool `yaml:"sync"`
}

// DefaultConfig returns the defaults: standard output.
func DefaultConfig() Config { return Config{Path: Stdout, Sync: true} }

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Path == "" {
		return fmt.Errorf(`path: expected the name of a file, or "-" for standard output, found nothing`)
	}
	return nil
}

// Settings are what the composition root gives to a Sink or a DeadLetter.
type Settings struct {
	Name   string
	Logger *slog.Logger
	// Stdout is where Path "-" goes; nil is the process's standard output.
	Stdout io.Writer
}
