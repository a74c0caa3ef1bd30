package checks

import (
	"os"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

func TestSystemdUnit(t *testing.T) {
	file, err := os.Open("../systemd/edrwatch.service")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sections, err := unit.DeserializeSections(file)
	if err != nil {
		t.Fatal(err)
	}
	service := map[string]string{}
	for _, section := range sections {
		for _, entry := range section.Entries {
			if section.Section == "Service" {
				service[entry.Name] = entry.Value
			}
		}
	}
	for name, want := range map[string]string{
		"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateDevices": "yes",
		"CapabilityBoundingSet": "", "MemoryDenyWriteExecute": "yes", "RestrictNamespaces": "yes", "SystemCallArchitectures": "native",
		"RestartPreventExitStatus": "2 78",
	} {
		if found, ok := service[name]; !ok || found != want {
			t.Errorf("%s: expected %q, found %q", name, want, found)
		}
	}
}
