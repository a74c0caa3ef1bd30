package decode

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/decode/registry"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Names with a meaning of their own among the decoders.
const (
	auto = "auto"
	none = "none"
)

// Config says which values are decoded before they are mapped. Its keys stand
// among those of a source.
type Config struct {
	// Decoders are the encodings that are recognised: gzip, zstd, cbor, avro (which
	// needs a schema registry); auto for all of them; or none.
	Decoders []string `yaml:"decoders"`
	// SchemaRegistry holds the schemas of values in Confluent's wire format: Avro,
	// or JSON with a JSON schema.
	SchemaRegistry registry.Config `yaml:"schema_registry"`
}

// DefaultConfig returns the defaults: everything is recognised, and decoded where
// no setting is needed for it.
func DefaultConfig() Config {
	return Config{Decoders: []string{auto}, SchemaRegistry: registry.DefaultConfig()}
}

// Validate reports every setting that cannot work.
func (c *Config) Validate() error {
	var errs []error
	allowed := append(Names(), auto, none)
	for i, name := range c.Decoders {
		switch {
		case !slices.Contains(allowed, name):
			hint := ""
			if nearest, ok := strict.Nearest(name, allowed); ok {
				hint = fmt.Sprintf(": did you mean %q?", nearest)
			}
			errs = append(errs, fmt.Errorf("decoders[%d]: expected one of %s, found %q%s", i, strings.Join(allowed, ", "), name, hint))
		case (name == auto || name == none) && len(c.Decoders) > 1:
			errs = append(errs, fmt.Errorf("decoders[%d]: expected %s to stand alone", i, name))
		case name == "avro" && !c.SchemaRegistry.Enabled():
			errs = append(errs, fmt.Errorf("decoders[%d]: avro needs schema_registry.urls", i))
		}
	}
	if err := c.SchemaRegistry.Validate(); err != nil {
		errs = append(errs, underRegistry(err)...)
	}
	if c.SchemaRegistry.Enabled() && !slices.Contains(c.enabled(), "avro") {
		errs = append(errs, fmt.Errorf("schema_registry.urls: nothing asks the registry: add avro to decoders"))
	}
	return errors.Join(errs...)
}

// underRegistry names the keys of the registry from the source.
func underRegistry(err error) []error {
	parts := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		parts = several.Unwrap()
	}
	for i, part := range parts {
		parts[i] = fmt.Errorf("schema_registry.%w", part)
	}
	return parts
}

// enabled returns the decoders that are used, in the order in which they are
// asked.
func (c *Config) enabled() []string {
	if len(c.Decoders) == 1 && c.Decoders[0] == none {
		return nil
	}
	return slices.DeleteFunc(Names(), func(name string) bool {
		return len(c.Decoders) > 0 && !slices.Contains(c.Decoders, auto) && !slices.Contains(c.Decoders, name)
	})
}
