package elasticsearch

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// Templates says what set-up installs.
type Templates struct {
	// RetainedBy is what deletes old documents: "lifecycle" (the data stream's
	// own), "ilm" (an ILM policy that also rolls over) or "none".
	RetainedBy string `yaml:"retained_by"`
	// Retention is how long each stream keeps documents, such as 90d, by
	// stream: telemetry, metrics, alerts, gateway.
	Retention map[string]string `yaml:"retention"`
	// Priority is that of the index templates. It must be above those of the
	// built-in logs-*-* (100) and of Fleet's packages (200).
	Priority int `yaml:"priority"`
	// FailureStore keeps documents that do not fit the mapping beside the
	// stream; set-up leaves it out on versions that do not have it.
	FailureStore bool `yaml:"failure_store"`
	// FieldLimit bounds the fields of an index. Fields beyond it are stored
	// but cannot be searched.
	FieldLimit int `yaml:"field_limit"`
	// VendorRoots are the objects that hold vendors' own fields. Each becomes
	// one flattened field, whatever comes below it. Roots that are not listed
	// are recognised by themselves when the first document has them.
	VendorRoots []string `yaml:"vendor_roots"`
}

// How old documents are deleted.
const (
	ByLifecycle = "lifecycle"
	ByILM       = "ilm"
	ByNothing   = "none"
)

// DefaultTemplates returns the defaults.
func DefaultTemplates() Templates {
	return Templates{
		RetainedBy: ByLifecycle,
		Retention: map[string]string{
			event.Telemetry.String(): "30d",
			event.Metrics.String():   "30d",
			event.Alerts.String():    "365d",
			event.Gateway.String():   "30d",
		},
		Priority:     250,
		FailureStore: true,
		FieldLimit:   4000,
		VendorRoots:  []string{"crowdstrike", "defender", "microsoft", "sentinelone", "system", "windows", "winlog"},
	}
}

var timeValue = regexp.MustCompile(`^[1-9][0-9]*[dhms]$`)

func (t Templates) validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("templates."+format, args...)) }
	if !slices.Contains([]string{ByLifecycle, ByILM, ByNothing}, t.RetainedBy) {
		fail("retained_by: expected lifecycle, ilm or none, found %q", t.RetainedBy)
	}
	for _, s := range event.Streams() {
		if r := t.Retention[s.String()]; t.RetainedBy != ByNothing && !timeValue.MatchString(r) {
			fail("retention.%s: expected a duration such as 30d, found %q", s, r)
		}
	}
	for name := range t.Retention {
		if !slices.ContainsFunc(event.Streams(), func(s event.Stream) bool { return s.String() == name }) {
			fail("retention: expected telemetry, metrics, alerts or gateway, found %q", name)
		}
	}
	if t.Priority <= 200 {
		fail("priority: expected more than 200, found %d", t.Priority)
	}
	if t.FieldLimit < 2500 {
		fail("field_limit: expected at least 2500, which our own fields need, found %d", t.FieldLimit)
	}
	for _, root := range t.VendorRoots {
		if root == "" || strings.ContainsAny(root, ".*") {
			fail("vendor_roots: expected names without '.' and '*', found %q", root)
		}
	}
	return errors.Join(errs...)
}
