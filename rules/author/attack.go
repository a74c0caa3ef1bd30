package author

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules/internal/spec"
)

// attackVersion is the release of MITRE ATT&CK Enterprise in attack.tsv.
const attackVersion = "v18.1"

// attackTable lists tactics and techniques with the tactics that they serve.
//
//go:embed attack.tsv
var attackTable string

// attackObject is a tactic or technique of ATT&CK.
type attackObject struct {
	name    string
	tactics []string
	state   string // revoked or deprecated; empty while in use.
}

// readAttack reads the table by id.
func readAttack() map[string]attackObject {
	objects := map[string]attackObject{}
	for line := range strings.Lines(attackTable) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cells) == 4 {
			objects[cells[0]] = attackObject{name: cells[1], tactics: strings.Split(cells[2], ","), state: cells[3]}
		}
	}
	return objects
}

// checkThreats warns of ids that ATT&CK does not have, or no longer uses, and
// of techniques that do not serve their tactic.
func checkThreats(c *spec.Checker, threats []spec.Threat, known map[string]attackObject) {
	for _, t := range threats {
		if t.Framework != "MITRE ATT&CK" {
			continue
		}
		checkAttack(c, t.Tactic.ID, known)
		for _, technique := range t.Technique {
			checkAttack(c, technique.ID, known)
			object, ok := known[technique.ID]
			if ok && t.Tactic.ID != "" && object.state == "" && !slices.Contains(object.tactics, t.Tactic.ID) {
				c.Warn("threat", fmt.Sprintf("technique %s (%s) does not serve tactic %s in ATT&CK %s", technique.ID, object.name, t.Tactic.ID, attackVersion),
					"it serves "+strings.Join(object.tactics, ", "))
			}
			for _, sub := range technique.Subtechnique {
				checkAttack(c, sub.ID, known)
				if !strings.HasPrefix(sub.ID, technique.ID+".") {
					c.Warn("threat", fmt.Sprintf("%s is not a sub-technique of %s", sub.ID, technique.ID), "")
				}
			}
		}
	}
}

func checkAttack(c *spec.Checker, id string, known map[string]attackObject) {
	object, ok := known[id]
	switch {
	case id == "":
	case !ok:
		hint := "see https://attack.mitre.org"
		ids := make([]string, 0, len(known))
		for other := range known {
			ids = append(ids, other)
		}
		slices.Sort(ids)
		if near, found := strict.Nearest(id, ids); found {
			hint = fmt.Sprintf("did you mean %s (%s)?", near, known[near].name)
		}
		c.Warn("threat", fmt.Sprintf("ATT&CK %s has no %s", attackVersion, id), hint)
	case object.state != "":
		c.Warn("threat", fmt.Sprintf("%s (%s) is %s in ATT&CK %s", id, object.name, object.state, attackVersion), "see https://attack.mitre.org/techniques/"+strings.ReplaceAll(id, ".", "/"))
	}
}
