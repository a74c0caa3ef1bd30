package api

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Config says where the two listeners listen and what they permit.
type Config struct {
	Data       DataConfig       `yaml:"data"`
	Operations OperationsConfig `yaml:"operations"`
}

// DataConfig is the listener of the console and the JSON API.
type DataConfig struct {
	// Address is host:port. The default answers on this machine only.
	Address string `yaml:"address"`
	// Hosts are names, besides localhost and IP addresses, under which the
	// listener is reached, such as the one of a reverse proxy.
	Hosts []string `yaml:"hosts"`
	// MaxConnections bounds the connections open at once; more wait.
	MaxConnections int `yaml:"max_connections"`
	// MaxStreams bounds the browsers that follow alerts at once.
	MaxStreams int `yaml:"max_streams"`
	// QueryTimeout bounds one search.
	QueryTimeout time.Duration `yaml:"query_timeout"`
}

// OperationsConfig is the listener of health and metrics.
type OperationsConfig struct {
	// Address is host:port. A kubelet needs one that it can reach, such as :8687.
	Address string `yaml:"address"`
}

// DefaultConfig returns the settings that hold when a file says nothing.
func DefaultConfig() Config {
	return Config{
		Data:       DataConfig{Address: "127.0.0.1:8686", MaxConnections: 128, MaxStreams: 32, QueryTimeout: 10 * time.Second},
		Operations: OperationsConfig{Address: "127.0.0.1:8687"},
	}
}

// Validate reports everything that is wrong with the settings.
func (c Config) Validate() error {
	var errs []error
	for _, a := range []struct{ key, address string }{{"data.address", c.Data.Address}, {"operations.address", c.Operations.Address}} {
		if _, _, err := net.SplitHostPort(a.address); err != nil {
			errs = append(errs, fmt.Errorf("%s: expected host:port such as 127.0.0.1:8686, found %q", a.key, a.address))
		}
	}
	if c.Data.Address == c.Operations.Address && !isPortZero(c.Data.Address) {
		errs = append(errs, fmt.Errorf("operations.address: expected another address than data.address, found %q for both", c.Data.Address))
	}
	if c.Data.MaxConnections < 1 {
		errs = append(errs, fmt.Errorf("data.max_connections: expected at least 1, found %d", c.Data.MaxConnections))
	}
	if c.Data.MaxStreams < 0 || c.Data.MaxStreams >= c.Data.MaxConnections {
		errs = append(errs, fmt.Errorf("data.max_streams: expected 0 to %d (below data.max_connections), found %d", c.Data.MaxConnections-1, c.Data.MaxStreams))
	}
	if c.Data.QueryTimeout <= 0 || c.Data.QueryTimeout > writeTimeout {
		errs = append(errs, fmt.Errorf("data.query_timeout: expected up to %v, found %v", writeTimeout, c.Data.QueryTimeout))
	}
	return errors.Join(errs...)
}

func isPortZero(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && port == "0"
}
