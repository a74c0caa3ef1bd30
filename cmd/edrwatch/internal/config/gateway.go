package config

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Gateway says what the gateway tells about itself.
type Gateway struct {
	// Name tells this gateway from others of the cluster in what it says about itself (edr.gateway.name); the host's name when
	// it is empty.
	Name string `yaml:"name"`
	// Heartbeat is the time between two documents (logs-edr.gateway-*) that say that the gateway lives, so that a SIEM notices
	// when it does not. Its start, stop and reloads are written, too. 0 is never.
	Heartbeat time.Duration `yaml:"heartbeat"`
}

// Validate reports every setting that makes no sense.
func (g *Gateway) Validate() error {
	if len(g.Name) > 128 || strings.ContainsFunc(g.Name, unicode.IsControl) {
		return fmt.Errorf("name: expected at most 128 bytes without control characters, found %q", g.Name)
	}
	if g.Heartbeat != 0 && (g.Heartbeat < time.Second || g.Heartbeat > time.Hour) {
		return fmt.Errorf("heartbeat: expected 1s to 1h, or 0 for none, found %s", g.Heartbeat)
	}
	return nil
}

// Validate reports every setting that makes no sense.
func (f *Fleet) Validate() error {
	if f.Documents != 0 && (f.Documents < time.Minute || f.Documents > 24*time.Hour) {
		return fmt.Errorf("documents: expected 1m to 24h, or 0 for none, found %s", f.Documents)
	}
	if f.MaxHold < time.Second || f.MaxHold > 24*time.Hour {
		return fmt.Errorf("max_hold: expected 1s to 24h, found %s", f.MaxHold)
	}
	return nil
}
