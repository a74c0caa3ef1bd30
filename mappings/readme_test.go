package mappings

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeNamesEveryEvent keeps the tables of README.md complete.
func TestReadmeNamesEveryEvent(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	for _, mapping := range libraryPlan(t).mappings {
		for name := range mapping.events {
			if !strings.Contains(readme, "`"+name+"`") {
				t.Errorf("README.md does not say what %s makes of %s", mapping.dataset, name)
			}
		}
	}
	for _, name := range transformNames() {
		if !strings.Contains(readme, name) {
			t.Errorf("README.md does not name the conversion %s", name)
		}
	}
}
