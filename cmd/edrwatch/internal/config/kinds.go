package config

import (
	"github.com/edrwatch/edrwatch/sinks/elasticsearch"
	filesink "github.com/edrwatch/edrwatch/sinks/file"
	kafkasink "github.com/edrwatch/edrwatch/sinks/kafka"
	"github.com/edrwatch/edrwatch/sinks/splunk"
	"github.com/edrwatch/edrwatch/sinks/store"
	"github.com/edrwatch/edrwatch/sinks/webhook"
	filesource "github.com/edrwatch/edrwatch/sources/file"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// sourceKinds returns the types of sources.
func sourceKinds() []kind {
	return []kind{
		{"kafka", func() any { c := kafkasource.DefaultConfig(); return &c }},
		{"file", func() any { c := filesource.DefaultConfig(); return &c }},
	}
}

// sinkKinds returns the types of sinks.
func sinkKinds() []kind {
	return []kind{
		{"elasticsearch", func() any { c := elasticsearch.DefaultConfig(); return &c }},
		{"splunk", func() any { c := splunk.DefaultConfig(); return &c }},
		{"kafka", func() any { c := kafkasink.DefaultConfig(); return &c }},
		{"file", func() any { c := filesink.DefaultConfig(); return &c }},
		{"store", func() any { c := store.DefaultConfig(); return &c }},
	}
}

// responderKinds returns the types of responders.
func responderKinds() []kind {
	return []kind{
		{"webhook", func() any { c := webhook.DefaultConfig(); return &c }},
		{"kafka", func() any { c := kafkasink.DefaultResponderConfig(); return &c }},
		{"alertmanager", func() any { c := webhook.DefaultAlertmanagerConfig(); return &c }},
	}
}

// deadLetterKinds returns the types of dead letters, the default first.
func deadLetterKinds() []kind {
	return []kind{
		{"file", func() any {
			c := filesink.DefaultConfig()
			c.Path = "dead-letter.ndjson"
			return &c
		}},
		{"kafka", func() any { c := kafkasink.DefaultConfig(); return &c }},
	}
}

// Component is a type of a list of components, as the configuration knows it.
type Component struct {
	List string // sources, sinks, responders or dead_letter
	Type string
	// New returns a pointer to the Config of the type's package, with its defaults.
	New func() any
}

// Components returns every type that can be configured, list by list. What is not here does not exist.
func Components() []Component {
	var all []Component
	for _, list := range []struct {
		name  string
		kinds []kind
	}{
		{"sources", sourceKinds()}, {"sinks", sinkKinds()}, {"responders", responderKinds()}, {"dead_letter", deadLetterKinds()},
	} {
		for _, k := range list.kinds {
			all = append(all, Component{list.name, k.name, k.make})
		}
	}
	return all
}
