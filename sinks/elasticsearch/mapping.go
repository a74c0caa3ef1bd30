package elasticsearch

import (
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
)

// object is a JSON object. encoding/json writes its keys in order, so that the
// generated templates do not change by themselves.
type object = map[string]any

// ignoreAbove is ECS's limit for keywords in characters. Four bytes a
// character stay below Lucene's limit of 32,766 bytes a term.
const ignoreAbove = 1024

// mapped reports whether a field has an explicit mapping in the templates, so
// that Kibana knows it before the first document has it: what analysts pivot
// on, and everything of our own. All other names of the dictionary get their
// type from exact dynamic templates when they first occur.
func mapped(f *ecs.Field) bool {
	if f.Custom {
		return true
	}
	set, rest, _ := strings.Cut(f.Name, ".")
	switch set {
	case "@timestamp", "message", "tags", "labels", "ecs", "edr", "event", "error", "rule", "related", "agent",
		"data_stream", "device", "organization", "package", "group":
		return true
	case "host":
		return !under(rest, "entity", "cpu", "disk", "network", "boot", "risk")
	case "observer":
		return !under(rest, "egress", "ingress", "geo")
	case "process":
		return !under(rest, "entry_leader", "session_leader", "group_leader", "previous", "elf", "pe", "macho", "io", "tty", "entry_meta",
			"attested_user", "attested_groups", "supplemental_groups", "saved_user", "saved_group", "real_user", "real_group", "responsible", "endpoint_security_client") &&
			(!under(rest, "parent") || under(rest, "parent.name", "parent.pid", "parent.executable", "parent.command_line", "parent.entity_id", "parent.start"))
	case "service":
		return !under(rest, "entity", "origin", "target")
	case "file", "dll":
		return !under(rest, "elf", "macho", "pe", "x509", "fork_name")
	case "threat":
		return under(rest, "framework", "tactic", "technique", "group", "software")
	case "user":
		return !under(rest, "changes", "effective", "target", "entity", "risk")
	case "network":
		return !under(rest, "inner", "vlan")
	case "source", "destination":
		return under(rest, "ip", "port", "address", "domain", "mac")
	case "log":
		return under(rest, "level", "logger", "file")
	case "container", "cloud":
		return under(rest, "id", "name", "provider", "region", "account", "instance", "availability_zone")
	}
	return false
}

// under reports whether name is one of the prefixes or lies below one.
func under(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool {
		return strings.HasPrefix(name, p) && (len(name) == len(p) || name[len(p)] == '.')
	})
}

// fieldMapping returns the mapping of a field that has no fields below it.
func fieldMapping(f *ecs.Field) object {
	switch f.Type {
	case "keyword":
		if f.Name == "event.original" {
			// The raw record: kept, never searched (ECS says the same).
			return object{"type": "keyword", "index": false, "doc_values": false}
		}
		return object{"type": "keyword", "ignore_above": ignoreAbove}
	case "object", "flattened":
		// Of free shape: one field, so that it cannot make thousands of them.
		return object{"type": "flattened", "ignore_above": ignoreAbove}
	case "scaled_float":
		return object{"type": "scaled_float", "scaling_factor": 1000}
	}
	return object{"type": f.Type}
}

// inferred reports whether Elasticsearch gives a field its dictionary type by
// itself from the JSON that we write.
func inferred(f *ecs.Field) bool {
	switch f.Type {
	case "keyword", "long", "boolean":
		return f.Name != "event.original"
	}
	return false
}

// mappings returns the mappings that all streams share.
func mappings(dict *ecs.Dictionary, vendorRoots []string) object {
	properties := object{}
	exact := map[string][]string{} // of a type: names with a dynamic template
	var roots []string
	flat := map[string]bool{}
	for _, root := range vendorRoots {
		flat[root] = !isSchemaRoot(dict, root)
	}
	for _, name := range dict.Names() {
		id, _ := dict.Lookup(name)
		f := dict.Field(id)
		root, _, nested := strings.Cut(name, ".")
		if nested && f.Custom && !isSchemaRoot(dict, root) {
			// A vendor's root holds fields that nobody listed as well: it
			// stays one flattened field.
			flat[root] = true
			continue
		}
		if nested && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
		switch {
		case !dict.Layout().Place(id).Leaf:
		case mapped(f):
			place(properties, strings.Split(name, "."), fieldMapping(f))
		case !inferred(f):
			exact[f.Type] = append(exact[f.Type], name)
		}
	}
	for _, root := range roots {
		if _, ok := properties[root]; !ok {
			// Known, so that it is not taken for a vendor's.
			properties[root] = object{"type": "object"}
		}
	}
	for root, is := range flat {
		if is {
			properties[root] = object{"type": "flattened", "ignore_above": ignoreAbove}
		}
	}
	return object{
		"dynamic":           true,
		"date_detection":    false,
		"numeric_detection": false,
		"dynamic_templates": dynamicTemplates(exact),
		"properties":        properties,
	}
}

// isSchemaRoot reports whether the dictionary has a field below root that no
// user's file added.
func isSchemaRoot(dict *ecs.Dictionary, root string) bool {
	for id := range dict.Len() {
		f := dict.Field(ecs.ID(id))
		if !f.Custom && strings.HasPrefix(f.Name, root+".") {
			return true
		}
	}
	return false
}

// place puts a mapping under the path in nested properties.
func place(properties object, path []string, mapping object) {
	for ; len(path) > 1; path = path[1:] {
		parent, ok := properties[path[0]].(object)
		if !ok {
			parent = object{"properties": object{}}
			properties[path[0]] = parent
		}
		properties = parent["properties"].(object)
	}
	properties[path[0]] = mapping
}

// dynamicTemplates gives names that have no explicit mapping their type. They
// list exact names: patterns such as Elastic's own *.location or *.start would
// catch, and reject, fields of other meaning.
func dynamicTemplates(exact map[string][]string) []object {
	var list []object
	add := func(name string, template object) { list = append(list, object{name: template}) }
	types := make([]string, 0, len(exact))
	for t := range exact {
		types = append(types, t)
	}
	slices.Sort(types)
	for _, t := range types {
		add("edrwatch_"+t, object{"path_match": exact[t], "mapping": fieldMapping(&ecs.Field{Type: t})})
	}
	add("edrwatch_vendor", object{
		"match_mapping_type": "object", "path_match": "*", "path_unmatch": "*.*",
		"mapping": object{"type": "flattened", "ignore_above": ignoreAbove},
	})
	add("edrwatch_text", object{
		"match_mapping_type": "string",
		"mapping":            object{"type": "keyword", "ignore_above": ignoreAbove},
	})
	add("edrwatch_number", object{"match_mapping_type": "double", "mapping": object{"type": "double"}})
	return list
}
