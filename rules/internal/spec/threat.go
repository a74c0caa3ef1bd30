package spec

import (
	"regexp"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Threat places a rule in a framework such as MITRE ATT&CK. A file gives the
// short form attack.t1562.001, or the structured form of Elastic's detection
// rules.
type Threat struct {
	Framework string      `yaml:"framework"`
	Tactic    Tactic      `yaml:"tactic"`
	Technique []Technique `yaml:"technique"`
}

// Tactic is why an adversary acts.
type Tactic struct {
	ID        string `yaml:"id"`
	Name      string `yaml:"name"`
	Reference string `yaml:"reference"`
}

// Technique is how an adversary acts.
type Technique struct {
	ID           string      `yaml:"id"`
	Name         string      `yaml:"name"`
	Reference    string      `yaml:"reference"`
	Subtechnique []Technique `yaml:"subtechnique"`
}

// plainThreat is Threat without its decoder.
type plainThreat Threat

// DecodeYAML reads either form.
func (t *Threat) DecodeYAML(n strict.Node) error {
	if n.Kind() == strict.Mapping {
		plain := plainThreat{Framework: "MITRE ATT&CK"}
		if err := n.Decode(&plain); err != nil {
			return err
		}
		*t = Threat(plain)
		return nil
	}
	tag, ok := n.Scalar()
	m := shortThreat(strings.ToLower(tag))
	if !ok || m == nil {
		return n.Errorf("expected a technique such as attack.t1562.001 or a mapping, found %s", n.Describe())
	}
	*t = *m
	return nil
}

func shortThreat(tag string) *Threat {
	m := regexp.MustCompile(`^attack\.(t\d{4})(\.\d{3})?$`).FindStringSubmatch(tag)
	if m == nil {
		return nil
	}
	id := strings.ToUpper(m[1])
	known := attack()
	t := &Threat{Framework: "MITRE ATT&CK"}
	technique := Technique{ID: id, Name: known[id].name, Reference: "https://attack.mitre.org/techniques/" + id + "/"}
	if tactic, ok := tactics()[known[id].tactic]; ok {
		t.Tactic = Tactic{ID: known[id].tactic, Name: tactic, Reference: "https://attack.mitre.org/tactics/" + known[id].tactic + "/"}
	}
	if m[2] != "" {
		sub := id + m[2]
		technique.Subtechnique = []Technique{{
			ID: sub, Name: known[sub].name, Reference: "https://attack.mitre.org/techniques/" + id + "/" + m[2][1:] + "/",
		}}
	}
	t.Technique = []Technique{technique}
	return t
}

type attackEntry struct{ name, tactic string }

// attack names the techniques of MITRE ATT&CK Enterprise that the health of a
// security agent touches. An id that is not here is kept without a name.
func attack() map[string]attackEntry {
	return map[string]attackEntry{
		"T1014":     {"Rootkit", "TA0005"},
		"T1070":     {"Indicator Removal", "TA0005"},
		"T1070.001": {"Clear Windows Event Logs", ""},
		"T1489":     {"Service Stop", "TA0040"},
		"T1499":     {"Endpoint Denial of Service", "TA0040"},
		"T1529":     {"System Shutdown/Reboot", "TA0040"},
		"T1543":     {"Create or Modify System Process", "TA0003"},
		"T1543.003": {"Windows Service", ""},
		"T1553":     {"Subvert Trust Controls", "TA0005"},
		"T1562":     {"Impair Defenses", "TA0005"},
		"T1562.001": {"Disable or Modify Tools", ""},
		"T1562.002": {"Disable Windows Event Logging", ""},
		"T1562.004": {"Disable or Modify System Firewall", ""},
		"T1562.006": {"Indicator Blocking", ""},
		"T1562.009": {"Safe Mode Boot", ""},
	}
}

func tactics() map[string]string {
	return map[string]string{"TA0003": "Persistence", "TA0005": "Defense Evasion", "TA0040": "Impact"}
}
