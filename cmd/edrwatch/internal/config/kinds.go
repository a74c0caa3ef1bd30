package config

import (
	filesource "github.com/edrwatch/edrwatch/sources/file"

	"github.com/edrwatch/edrwatch/sinks/elasticsearch"
	"github.com/edrwatch/edrwatch/sinks/store"
)

// sourceKinds returns the types of sources.
func sourceKinds() []kind {
	return []kind{
		{"file", func() any { c := filesource.DefaultConfig(); return &c }},
	}
}

// sinkKinds returns the types of sinks.
func sinkKinds() []kind {
	return []kind{
		{"elasticsearch", func() any { c := elasticsearch.DefaultConfig(); return &c }},
		{"store", func() any { c := store.DefaultConfig(); return &c }},
	}
}

// deadLetterKinds returns the types of dead letters, the default first.
func deadLetterKinds() []kind {
	return []kind{
		{"store", func() any { c := store.DefaultConfig(); return &c }},
	}
}
