package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Responses says whether, and how often, responders are asked to act on alerts.
type Responses struct {
	// Enabled sends what rules ask for. Otherwise every act is written as an event (event.action: response-taken) and none is sent.
	Enabled bool `yaml:"enabled"`
	// MaxPerHour bounds how often one action is asked of one responder. An act over the bound is asked for when the alert comes again; the end of an act that was sent is not bounded.
	MaxPerHour int `yaml:"max_per_hour"`
	// Required says that an alert is done only when all responders have what it asks for. Otherwise it goes to the dead letter
	// when a responder does not take it in time (pipeline.optional_patience).
	Required bool `yaml:"required"`
}

// Validate reports every setting that makes no sense.
func (r *Responses) Validate() error {
	if r.MaxPerHour < 1 {
		return fmt.Errorf("max_per_hour: expected 1 or more, found %d", r.MaxPerHour)
	}
	return nil
}

// Responder is an entry of the responders.
type Responder struct {
	// Name of the responder in rules, metrics, logs and environment variables: lower-case letters, digits, - and _.
	Name string `yaml:"name,required"`
	// Type decides which other keys there are.
	Type string `yaml:"type"`
	// NotifyFrom asks for notify about every alert of at least this severity, firing and resolved, whatever its rule says.
	NotifyFrom string `yaml:"notify_from"`
	// Settings points to the Config of the type's package.
	Settings any `yaml:"-"`
}

// Validate reports what is wrong with the keys that all types share.
func (r *Responder) Validate() error {
	var errs []error
	if r.NotifyFrom != "" && !slices.Contains(ecs.Severities(), r.NotifyFrom) {
		errs = append(errs, fmt.Errorf("notify_from: expected one of %v, found %q", ecs.Severities(), r.NotifyFrom))
	}
	if v, ok := r.Settings.(validator); ok {
		errs = append(errs, v.Validate())
	}
	return errors.Join(errs...)
}

func (r *Responder) kinds() []kind            { return responderKinds() }
func (r *Responder) kindName() *string        { return &r.Type }
func (r *Responder) settings() any            { return r.Settings }
func (r *Responder) setSettings(settings any) { r.Settings = settings }

// DecodeYAML reads an entry with the keys of its type.
func (r *Responder) DecodeYAML(n strict.Node) error {
	type plain Responder
	return decodeVariant(n, r, (*plain)(r))
}
