package checks

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// rules is the format of a Prometheus rule file, as far as we use it.
type rules struct {
	Groups []struct {
		Name     string         `json:"name"`
		Interval model.Duration `json:"interval,omitempty"`
		Rules    []struct {
			Alert         string            `json:"alert"`
			Expr          string            `json:"expr"`
			For           model.Duration    `json:"for,omitempty"`
			KeepFiringFor model.Duration    `json:"keep_firing_for,omitempty"`
			Labels        map[string]string `json:"labels"`
			Annotations   map[string]string `json:"annotations"`
		} `json:"rules"`
	} `json:"groups"`
}

func TestPrometheusRules(t *testing.T) {
	src, err := os.ReadFile("../prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file rules
	if err := yaml.UnmarshalStrict(src, &file); err != nil {
		t.Fatal(err)
	}
	exported := metrics(t)
	names := map[string]bool{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if names[rule.Alert] || rule.Alert == "" {
				t.Errorf("alert %q: expected a name of its own", rule.Alert)
			}
			names[rule.Alert] = true
			if !slices.Contains([]string{"warning", "critical"}, rule.Labels["severity"]) || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("alert %s: expected a severity, a summary and a description", rule.Alert)
			}
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(rule.Expr)
			if err != nil {
				t.Errorf("alert %s: %v", rule.Alert, err)
				continue
			}
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				if v, ok := node.(*parser.VectorSelector); ok && strings.HasPrefix(v.Name, "edrwatch_") && !exported[v.Name] {
					t.Errorf("alert %s asks for %s, which README.md does not document", rule.Alert, v.Name)
				}
				return nil
			})
		}
	}
	if len(names) == 0 {
		t.Error("no alerts")
	}
}

// metrics returns the metrics that README.md documents; its table is tested
// against what the gateway registers.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range regexp.MustCompile(`edrwatch_[a-z_]+`).FindAllString(string(readme), -1) {
		found[name] = true
	}
	return found
}
