package elasticsearch

import (
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// latestGeneration numbers the concrete index behind an alias: one whose mapping
// could not be changed in place would get another number.
const latestGeneration = "-1"

// latestTemplate is the name of the index template of a stream's newest states.
func latestTemplate(s event.Stream) string {
	return "edrwatch-" + strings.TrimPrefix(strings.TrimSuffix(latestIndex(s, ""), "-"), "edr-")
}

// latestFields are the fields of the newest states that can be searched, by
// stream: names, or with a dot at the end everything below. The rest of a
// document is stored and can be read.
func latestFields(s event.Stream) []string {
	common := []string{
		"@timestamp", "message", "tags", "ecs.version", "event.id", "event.kind", "event.action", "event.module", "event.dataset", "event.type", "event.category",
		"agent.", "host.name", "host.id", "host.type", "host.os.type", "device.model.name", "edr.entity.", "edr.presence", "edr.state", "edr.mode", "edr.site",
		"edr.rollout.ring", "edr.content.", "edr.asset.",
	}
	if s == event.Alerts {
		return append(common, "edr.alert.", "edr.gateway.name", "event.severity", "event.risk_score", "event.start", "event.end", "rule.", "related.hosts",
			"threat.framework", "threat.tactic.", "threat.technique.")
	}
	return append(common, "edr.fleet.", "edr.mode_reason", "edr.isolated", "edr.privilege.")
}

// latestMappings has no dynamic fields: whatever a vendor or a rule adds, the index
// stays as it is.
func latestMappings(dict *ecs.Dictionary, s event.Stream) object {
	properties, wanted := object{}, latestFields(s)
	for _, name := range dict.Names() {
		id, _ := dict.Lookup(name)
		f := dict.Field(id)
		if !dict.Layout().Place(id).Leaf || f.Custom && !isSchemaRoot(dict, strings.SplitN(name, ".", 2)[0]) {
			continue
		}
		for _, w := range wanted {
			if name == w || strings.HasSuffix(w, ".") && strings.HasPrefix(name, w) {
				place(properties, strings.Split(name, "."), fieldMapping(f))
				break
			}
		}
	}
	return object{"dynamic": false, "date_detection": false, "_meta": meta(), "properties": properties}
}

// latestIndexTemplate is the template of the index that holds the newest states of
// a stream.
func latestIndexTemplate(dict *ecs.Dictionary, cfg Templates, s event.Stream) object {
	name := latestTemplate(s)
	return object{
		"version":                            AssetsVersion,
		"_meta":                              meta(),
		"index_patterns":                     []string{latestIndex(s, "*")},
		"priority":                           cfg.Priority,
		"composed_of":                        []string{name + "@custom"},
		"ignore_missing_component_templates": []string{name + "@custom"},
		"template": object{
			// A document an agent or alert: one shard holds millions of them.
			"settings": object{"index": object{"number_of_shards": 1}},
			"mappings": latestMappings(dict, s),
		},
	}
}

// latestIndexBody creates the concrete index with its alias. The gateway writes to
// the alias and asks that it is one, so that no index comes into being by a write.
func latestIndexBody(s event.Stream, namespace string) object {
	return object{"aliases": object{latestIndex(s, namespace): object{"is_write_index": true}}}
}

// latestPatterns are the names that rights are granted on.
func latestPatterns() []string { return latestIndices("*") }

// latestPrivileges are what the gateway needs there: index includes updates, and no
// reading of what it does not name.
func latestPrivileges() []string { return []string{"index"} }
