package engine

import (
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// fieldList is a list of strings for a field of every alert of a rule.
type fieldList struct {
	field  ecs.ID
	values []string
}

// threatFields flattens a rule's threat entries into ECS's lists.
func threatFields(threats []spec.Threat) []fieldList {
	var list []fieldList
	add := func(field ecs.ID, value string) {
		if value == "" {
			return
		}
		for i := range list {
			if list[i].field == field {
				list[i].values = append(list[i].values, value)
				return
			}
		}
		list = append(list, fieldList{field, []string{value}})
	}
	for i, t := range threats {
		if i == 0 {
			add(ecs.ThreatFramework, t.Framework)
		}
		add(ecs.ThreatTacticID, t.Tactic.ID)
		add(ecs.ThreatTacticName, t.Tactic.Name)
		add(ecs.ThreatTacticReference, t.Tactic.Reference)
		for _, technique := range t.Technique {
			add(ecs.ThreatTechniqueID, technique.ID)
			add(ecs.ThreatTechniqueName, technique.Name)
			add(ecs.ThreatTechniqueReference, technique.Reference)
			for _, sub := range technique.Subtechnique {
				add(ecs.ThreatTechniqueSubtechniqueID, sub.ID)
				add(ecs.ThreatTechniqueSubtechniqueName, sub.Name)
				add(ecs.ThreatTechniqueSubtechniqueReference, sub.Reference)
			}
		}
	}
	return list
}
