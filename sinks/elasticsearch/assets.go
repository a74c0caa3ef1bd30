package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// AssetsVersion is the version of the generated assets. It grows whenever what
// [Assets] generates changes; set-up never replaces a newer version.
const AssetsVersion = 2

// Asset is one thing that set-up installs: an HTTP request that can be sent
// again and again.
type Asset struct {
	Kind   string // ilm_policy, component_template, index_template or index
	Name   string
	Method string
	Path   string
	Body   []byte // JSON, indented, with a newline at the end

	mappings []byte // of an index: what one that exists gets instead
}

// File is the name under which the asset stands in deploy/elasticsearch.
func (a Asset) File() string { return a.Kind + "-" + a.Name + ".json" }

// The component templates that all index templates are composed of. Those
// called @custom are the user's: set-up never writes them.
const (
	fieldsTemplate   = "edrwatch-fields"
	settingsTemplate = "edrwatch-settings"
	customTemplate   = "edrwatch@custom"
)

// Assets generates what Elasticsearch needs to know before the first document,
// in the order of installation: field types from the dictionary, settings, an
// index template for each stream, and for the newest states of agents and alerts
// a template and the index of the namespace.
func Assets(dict *ecs.Dictionary, cfg Templates, namespace string) ([]Asset, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var assets []Asset
	add := func(kind, path, name string, body object) error {
		text, err := json.MarshalIndent(body, "", "  ")
		if err != nil {
			return fmt.Errorf("generating %s %s: %w", kind, name, err)
		}
		assets = append(assets, Asset{Kind: kind, Name: name, Method: http.MethodPut, Path: path + name, Body: append(text, '\n')})
		return nil
	}
	component := func(name string, template object) error {
		return add("component_template", "/_component_template/", name,
			object{"version": AssetsVersion, "_meta": meta(), "template": template})
	}
	if err := component(fieldsTemplate, object{"mappings": mappings(dict, cfg.VendorRoots)}); err != nil {
		return nil, err
	}
	if err := component(settingsTemplate, object{"settings": settings(cfg)}); err != nil {
		return nil, err
	}
	for _, s := range event.Streams() {
		name := "edrwatch-" + s.String()
		if cfg.RetainedBy == ByILM {
			if err := add("ilm_policy", "/_ilm/policy/", name, policy(cfg.Retention[s.String()])); err != nil {
				return nil, err
			}
		}
		if err := add("index_template", "/_index_template/", name, indexTemplate(cfg, s, name)); err != nil {
			return nil, err
		}
	}
	for _, s := range event.Streams() {
		index := latestIndex(s, namespace)
		if index == "" {
			continue
		}
		if err := add("index_template", "/_index_template/", latestTemplate(s), latestIndexTemplate(dict, cfg, s)); err != nil {
			return nil, err
		}
		if err := add("index", "/", index+latestGeneration, latestIndexBody(s, namespace)); err != nil {
			return nil, err
		}
		var err error
		if assets[len(assets)-1].mappings, err = json.Marshal(latestMappings(dict, s)); err != nil {
			return nil, fmt.Errorf("generating the mappings of %s: %w", index, err)
		}
	}
	return assets, nil
}

func meta() object {
	return object{"managed": true, "managed_by": "edrwatch", "version": AssetsVersion, "ecs_version": ecs.Version}
}

// settings leaves what others know better (shards, index.mode, refresh) as the
// cluster has it.
func settings(cfg Templates) object {
	return object{"index": object{
		"mapping": object{
			"total_fields": object{
				"limit": cfg.FieldLimit,
				// A document with too many fields is stored all the same.
				"ignore_dynamic_beyond_limit": true,
			},
		},
		// Free text in Kibana's search bar asks these and not 2,000 fields.
		"query": object{"default_field": []string{
			"message", "event.action", "event.id", "host.name", "agent.id", "rule.id", "rule.name",
			"edr.alert.kind", "edr.alert.reason", "edr.alert.id", "process.name", "service.name", "user.name", "error.message",
		}},
	}}
}

func policy(retention string) object {
	return object{"policy": object{
		"_meta": meta(),
		"phases": object{
			"hot": object{"actions": object{"rollover": object{"max_age": rolloverAge(retention), "max_primary_shard_size": "50gb"}}},
			// Counted from the rollover.
			"delete": object{"min_age": retention, "actions": object{"delete": object{}}},
		},
	}}
}

// rolloverAge keeps an index from outliving a short retention by much.
func rolloverAge(retention string) string {
	if strings.HasSuffix(retention, "d") && len(retention) > 2 {
		return "7d"
	}
	return "1d"
}

func indexTemplate(cfg Templates, s event.Stream, name string) object {
	typ, dataset := s.DataStream()
	template := object{
		"mappings": object{"properties": object{"data_stream": object{"properties": object{
			"type":      object{"type": "constant_keyword", "value": typ},
			"dataset":   object{"type": "constant_keyword", "value": dataset},
			"namespace": object{"type": "constant_keyword"},
		}}}},
	}
	switch cfg.RetainedBy {
	case ByLifecycle:
		template["lifecycle"] = object{"data_retention": cfg.Retention[s.String()]}
	case ByILM:
		template["settings"] = object{"index": object{"lifecycle": object{"name": name}}}
	}
	if cfg.FailureStore {
		template["data_stream_options"] = object{"failure_store": object{"enabled": true}}
	}
	return object{
		"version":                            AssetsVersion,
		"_meta":                              meta(),
		"index_patterns":                     []string{typ + "-" + dataset + "-*"},
		"priority":                           cfg.Priority,
		"data_stream":                        object{},
		"composed_of":                        []string{fieldsTemplate, settingsTemplate, customTemplate, name + "@custom"},
		"ignore_missing_component_templates": []string{customTemplate, name + "@custom"},
		"template":                           template,
	}
}
